import Tensors

/// Greedy mixing by the signs of the weights: starting from one adapter, others join in the order in which they
/// disagree least.
///
/// The name and the purpose are those of Nguyen and Le 2024, arXiv:2402.10639, whose text we could not read: the steps
/// below are our own reading. FSD is the fraction of weights in which two adapters differ in sign (`SignStatistics`).
/// In-domain accuracy is measured with the head of the adapter that it starts from; labels are needed only for the stop
/// at a drop.
public struct SignGreedy: Hashable, Sendable {
  public enum Order: Hashable, Sendable {
    /// By the FSD to the first adapter, ascending.
    case `static`
    /// At each step the one that gives the set the least FSD.
    case adaptive
    /// By the FSD to the first adapter, descending: the worst case.
    case descending
    /// At random: the baseline. Take the mean over several seeds.
    case random(seed: UInt64)
  }

  public enum Stop: Hashable, Sendable {
    /// All up to the maximum: the curve.
    case none
    /// Before the set's FSD is above this.
    case conflict(above: Double)
    /// Before the metric is more than this below that of the first adapter alone.
    case drop(above: Double)
  }

  public var order = Order.static
  public var stop = Stop.none
  /// How many adapters, the first among them; nil for all.
  public var maximum: Int?

  public init(_ order: Order = .static, stop: Stop = .none, maximum: Int? = nil) {
    self.order = order
    self.stop = stop
    self.maximum = maximum
  }

  /// The mixture after one step.
  public struct Step: Hashable, Sendable {
    /// The members, in the order in which they joined.
    public let members: [Int]
    /// 0 for one adapter.
    public let conflict: Double
    /// nil where no metric was given.
    public let metric: Double?
  }

  public struct Result: Hashable, Sendable {
    /// Its scores are what the order went by: the FSD to the first adapter, or that of the set.
    public let selection: Selection
    /// One for each chosen adapter; the first is the first adapter alone.
    public let curve: [Step]
  }

  /// - Parameters:
  ///   - first: the adapter of the target domain, by its place.
  ///   - pairs: FSD of each two adapters, symmetric.
  ///   - set: the FSD of two adapters or more; nil for the mean over their pairs.
  ///   - metric: of a mixture, by its members' places; higher is better.
  /// - Throws: `ChoosingError`, and what `set` and `metric` throw.
  public func choose(
    from names: [String], first: Int, pairs: [[Double]], set: (([Int]) throws -> Double)? = nil,
    metric: (([Int]) throws -> Double)? = nil
  ) throws -> Result {
    try check(names, first, pairs)
    if case .drop = stop, metric == nil { throw ChoosingError.noMetric }
    func conflict(_ members: [Int]) throws -> Double {
      guard members.count > 1 else { return 0 }
      let value = try set?(members) ?? Self.meanOverPairs(members, pairs)
      guard value.isFinite else { throw ChoosingError.notFinite("The FSD of \(members.map { names[$0] })") }
      return value
    }
    func measured(_ members: [Int]) throws -> Double? {
      try metric.map { try GreedySoup.checked($0(members), names[members[members.count - 1]]) }
    }

    var rest = try ranking(names.count, first, pairs)
    var curve = [Step(members: [first], conflict: 0, metric: try measured([first]))]
    var candidates = [Selection.Candidate(name: names[first], index: first, score: 0, reason: nil)]
    let limit = maximum ?? names.count
    while !rest.isEmpty, curve.count < limit {
      let members = curve[curve.count - 1].members
      var place = 0
      if order == .adaptive {
        let conflicts = try rest.map { try conflict(members + [$0]) }
        place = conflicts.indices.reduce(0) { conflicts[$1] < conflicts[$0] ? $1 : $0 }
      }
      let next = rest.remove(at: place)
      let joined = members + [next]
      let step = Step(members: joined, conflict: try conflict(joined), metric: try measured(joined))
      let reason = reason(against: step, curve[0])
      let score = order == .adaptive ? step.conflict : pairs[first][next]
      candidates.append(Selection.Candidate(name: names[next], index: next, score: score, reason: reason))
      guard reason == nil else { break }
      curve.append(step)
    }
    let hasEnded = candidates.contains { $0.reason != nil }
    candidates += rest.map { index in
      Selection.Candidate(
        name: names[index], index: index, score: pairs[first][index], reason: hasEnded ? .afterEnd : .beyond(limit))
    }
    return Result(selection: Selection(candidates), curve: curve)
  }

  /// The mean FSD over the pairs of a set; 0 for one member.
  public static func meanOverPairs(_ members: [Int], _ pairs: [[Double]]) -> Double {
    guard members.count > 1 else { return 0 }
    var sum = 0.0
    for (place, one) in members.enumerated() { for other in members[..<place] { sum += pairs[one][other] } }
    return sum / Double(members.count * (members.count - 1) / 2)
  }

  /// The others in the order in which they are tried.
  private func ranking(_ count: Int, _ first: Int, _ pairs: [[Double]]) throws -> [Int] {
    let others = (0..<count).filter { $0 != first }
    let conflict = pairs[first]
    return switch order {
    case .adaptive: others
    case .static: others.sorted { (conflict[$0], $0) < (conflict[$1], $1) }
    case .descending: others.sorted { (-conflict[$0], $0) < (-conflict[$1], $1) }
    case .random(let seed): try Generator(seed: seed).permutation(others.count).integers().map { others[$0] }
    }
  }

  private func reason(against step: Step, _ alone: Step) -> Selection.Reason? {
    switch stop {
    case .none: return nil
    case .conflict(let limit): return step.conflict > limit ? .conflict(step.conflict, limit: limit) : nil
    case .drop(let limit):
      let drop = (alone.metric ?? 0) - (step.metric ?? 0)
      return drop > limit ? .drop(drop, limit: limit) : nil
    }
  }

  private func check(_ names: [String], _ first: Int, _ pairs: [[Double]]) throws(ChoosingError) {
    try Selection.check(names)
    guard names.indices.contains(first) else { throw .noMember(first, of: names.count) }
    guard pairs.count == names.count else { throw .count("rows of FSD", pairs.count, expected: names.count) }
    for row in pairs {
      guard row.count == names.count else { throw .count("columns of FSD", row.count, expected: names.count) }
      guard row.allSatisfy(\.isFinite) else { throw .notFinite("An FSD") }
    }
    if let maximum, maximum < 1 { throw .outOfRange("maximum", Double(maximum), "1 or more") }
    switch stop {
    case .none: break
    case .conflict(let limit):
      guard limit.isFinite else { throw .outOfRange("The highest FSD", limit, "a finite number") }
    case .drop(let limit):
      guard limit.isFinite else { throw .outOfRange("The largest drop", limit, "a finite number") }
    }
  }
}
