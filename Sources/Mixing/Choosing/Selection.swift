/// Which adapters were chosen, in which order and with which weights, and why the others were left out.
public struct Selection: Hashable, Sendable {
  public struct Candidate: Hashable, Sendable {
    public let name: String
    /// Its place in the list that was chosen from.
    public let index: Int
    /// What it was judged by; what that is, the rule says.
    public let score: Double
    /// nil for one that was chosen.
    public let reason: Reason?

    public init(name: String, index: Int, score: Double, reason: Reason?) {
      self.name = name
      self.index = index
      self.score = score
      self.reason = reason
    }
  }

  /// Why a candidate was left out.
  public enum Reason: Hashable, Sendable, CustomStringConvertible {
    /// Its score does not reach this.
    case below(Double)
    /// So many were already chosen.
    case beyond(Int)
    /// The mixture with it scores this on validation data, and the one without it that much.
    case noBetter(Double, than: Double)
    /// The mixture with it would have this FSD.
    case conflict(Double, limit: Double)
    /// The mixture with it loses this much on validation data.
    case drop(Double, limit: Double)
    /// An earlier candidate ended the choice.
    case afterEnd

    public var description: String {
      switch self {
      case .below(let minimum): "below \(minimum)"
      case .beyond(let maximum): "beyond the first \(maximum)"
      case .noBetter(let metric, let best): "with it \(metric), without it \(best)"
      case .conflict(let conflict, let limit): "with it the FSD is \(conflict), above \(limit)"
      case .drop(let drop, let limit): "with it validation loses \(drop), more than \(limit)"
      case .afterEnd: "after the end of the choice"
      }
    }
  }

  /// Those chosen, in the order of choice, then the others.
  public let candidates: [Candidate]
  /// One for each chosen adapter; they add up to 1.
  public let weights: [Double]
  /// Whether none qualified, so that the single best stands in.
  public let isFallback: Bool

  public var chosen: [Candidate] { candidates.filter { $0.reason == nil } }
  public var names: [String] { chosen.map(\.name) }
  /// The places of those chosen in the list that was chosen from.
  public var indices: [Int] { chosen.map(\.index) }

  /// - Parameter weights: nil for equal ones.
  init(_ candidates: [Candidate], weights: [Double]? = nil, isFallback: Bool = false) {
    let chosen = candidates.filter { $0.reason == nil }
    self.candidates = chosen + candidates.filter { $0.reason != nil }
    self.weights = weights ?? chosen.map { _ in 1 / Double(chosen.count) }
    self.isFallback = isFallback
  }

  /// The highest scores, at most `maximum` of those that qualify; equal ones in the order of the list. Where none
  /// qualifies, the single best: the paper of AdapterSoup does not say what then, and a mixture of none is of no use.
  ///
  /// - Throws: `ChoosingError`
  static func highest(
    _ maximum: Int, _ names: [String], _ scores: [Double], minimum: Double, qualifies: (Double) -> Bool
  ) throws(ChoosingError) -> Selection {
    try check(names)
    guard scores.count == names.count else { throw .count("scores", scores.count, expected: names.count) }
    guard maximum >= 1 else { throw .outOfRange("maximum", Double(maximum), "1 or more") }
    for (name, score) in zip(names, scores) where !score.isFinite { throw .notFinite("The score of '\(name)'") }
    let order = names.indices.sorted { (-scores[$0], $0) < (-scores[$1], $1) }
    let isFallback = !scores.contains(where: qualifies)
    return Selection(
      order.enumerated().map { place, index in
        let reason: Reason? =
          isFallback && place == 0
          ? nil
          : !qualifies(scores[index]) ? .below(minimum) : place >= maximum ? .beyond(maximum) : nil
        return Candidate(name: names[index], index: index, score: scores[index], reason: reason)
      }, isFallback: isFallback)
  }

  /// - Throws: `ChoosingError.noCandidates`, `.twice`
  static func check(_ names: [String]) throws(ChoosingError) {
    guard !names.isEmpty else { throw .noCandidates }
    var seen: Set<String> = []
    for name in names where !seen.insert(name).inserted { throw .twice(name) }
  }
}
