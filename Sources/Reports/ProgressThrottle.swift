/// Decides which progress lines are worth printing, so that a fast loop does not spend its time on the terminal.
public struct ProgressThrottle: Equatable, Sendable {
  public enum Mode: Equatable, Sendable {
    /// A line that rewrites itself, at most this often (seconds between lines).
    case terminal(interval: Double)
    /// A log: one line every so many iterations.
    case lines(every: Int)
    /// Nothing at all.
    case off
  }

  public let mode: Mode
  private var last: Double?

  public init(_ mode: Mode) {
    self.mode = mode
  }

  /// The customary choice: ten times a second on a terminal; otherwise, and under CI or on a terminal that cannot
  /// rewrite a line (`TERM=dumb`), one line every `every` iterations.
  public init(isTerminal: Bool, environment: [String: String], every: Int) {
    let isCI = environment["CI"].map { !$0.isEmpty && $0 != "false" && $0 != "0" } ?? false
    self.init(isTerminal && !isCI && environment["TERM"] != "dumb" ? .terminal(interval: 0.1) : .lines(every: every))
  }

  /// Whether to print now. The last iteration is always printed, on a terminal also the first.
  ///
  /// - Parameter now: seconds on any clock that does not run backwards.
  public mutating func shouldPrint(at now: Double, completed: Int, total: Int?) -> Bool {
    let isLast = completed == total
    switch mode {
    case .off: return false
    case .lines(let every): return isLast || (completed > 0 && completed.isMultiple(of: max(1, every)))
    case .terminal(let interval):
      if let last, !isLast, now - last < interval { return false }
      last = now
      return true
    }
  }
}
