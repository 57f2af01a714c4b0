import Foundation

/// One line of progress in the shape that tqdm made familiar, as a function of numbers alone:
///
/// ```
/// sketch:  45%|████▌     | 450/1000 [00:12<00:15, 36.20it/s, loss=0.123]
/// ```
/// Who prints it, where, and how often (`ProgressThrottle`) is the tool's business.
public struct ProgressLine: Equatable, Sendable {
  public var label: String
  public var completed: Int
  /// `nil` where the end is unknown, which leaves the bar and the remaining time out.
  public var total: Int?
  /// Seconds since the start.
  public var elapsed: Double
  /// Iterations per second; `nil` takes the mean since the start.
  public var rate: Double?
  /// Shown at the end as `name=value`, in this order.
  public var metrics: [(name: String, value: String)]
  /// What the bar is drawn with.
  public var style: Style

  public enum Style: Equatable, Sendable {
    /// Eighths of a character cell: `████▌`.
    case blocks
    /// For terminals without Unicode (`TERM=dumb`): tenths, as digits: `####5`.
    case ascii

    /// From nothing to a full cell.
    fileprivate var cells: [Character] { Array(self == .blocks ? " ▏▎▍▌▋▊▉█" : " 123456789#") }
  }

  public init(
    _ label: String, completed: Int, total: Int?, elapsed: Double, rate: Double? = nil,
    metrics: [(name: String, value: String)] = [], style: Style = .blocks
  ) {
    self.label = label
    self.completed = completed
    self.total = total
    self.elapsed = elapsed
    self.rate = rate
    self.metrics = metrics
    self.style = style
  }

  public static func == (left: ProgressLine, right: ProgressLine) -> Bool {
    left.label == right.label && left.completed == right.completed && left.total == right.total
      && left.elapsed == right.elapsed && left.rate == right.rate && left.style == right.style
      && left.metrics.elementsEqual(right.metrics, by: ==)
  }

  /// The text, without a line end.
  ///
  /// - Parameter columns: the terminal's width: the bar fills it, and what still does not fit is cut off. With `nil`
  ///   the bar is ten cells wide.
  public func text(columns: Int? = nil) -> String {
    let rate = rate ?? (elapsed > 0 ? Double(completed) / elapsed : 0)
    let details = ([Self.speed(rate)] + metrics.map { "\($0.name)=\($0.value)" }).joined(separator: ", ")
    let prefix = label.isEmpty ? "" : "\(label): "
    guard let total, total > 0, 0...total ~= completed else {
      return Self.fitted("\(prefix)\(completed)it [\(Self.clock(elapsed)), \(details)]", columns)
    }
    let fraction = Double(completed) / Double(total)
    let remaining = rate > 0 ? Self.clock(Double(total - completed) / rate) : "?"
    let left = prefix + String(format: "%3.0f%%|", 100 * fraction)
    let right = "| \(completed)/\(total) [\(Self.clock(elapsed))<\(remaining), \(details)]"
    let width = columns.map { max(1, $0 - left.count - right.count) } ?? 10
    return Self.fitted(left + bar(fraction, width: width) + right, columns)
  }

  private func bar(_ fraction: Double, width: Int) -> String {
    let cells = style.cells
    let parts = cells.count - 1
    // A width comes from a terminal or a variable: whatever it claims, a bar stays a line.
    let width = min(width, 1_000)
    let filled = Int(fraction * Double(width * parts))
    let full = filled / parts
    guard full < width else { return String(repeating: cells[parts], count: width) }
    return String(repeating: cells[parts], count: full) + String(cells[filled % parts])
      + String(repeating: " ", count: width - full - 1)
  }

  /// `MM:SS`, or `H:MM:SS` from an hour on.
  static func clock(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "?" }
    let whole = Int(seconds)
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return hours > 0
      ? String(format: "%d:%02d:%02d", hours, minutes, whole % 60) : String(format: "%02d:%02d", minutes, whole % 60)
  }

  /// Iterations per second, or, where one takes longer than a second, seconds per iteration.
  private static func speed(_ rate: Double) -> String {
    guard rate > 0, rate.isFinite else { return "?it/s" }
    return rate < 1 ? String(format: "%5.2fs/it", 1 / rate) : String(format: "%5.2fit/s", rate)
  }

  private static func fitted(_ text: String, _ columns: Int?) -> String {
    columns.map { String(text.prefix(max(0, $0))) } ?? text
  }
}
