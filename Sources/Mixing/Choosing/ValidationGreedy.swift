/// Forward selection on validation data: at each step the candidate joins with which the mixture does best, as long as
/// that is better than without it.
///
/// Where the greedy soup looks at each candidate once, in the order of what they do alone, this looks at all that are
/// left at every step: up to `n·k` mixtures for `k` chosen.
public enum ValidationGreedy {
  /// - Parameters:
  ///   - names: one for each candidate.
  ///   - maximum: how many are chosen at most.
  ///   - metric: of the mixture of these candidates, by their places; higher is better.
  /// - Returns: a selection whose scores are, for those chosen, the mixture's metric when they joined, and for the
  ///   others the metric of the last mixture that was tried with them.
  /// - Throws: `ChoosingError`, and what `metric` throws.
  public static func choose(_ names: [String], maximum: Int, metric: ([Int]) throws -> Double) throws -> Selection {
    try Selection.check(names)
    guard maximum >= 1 else { throw ChoosingError.outOfRange("maximum", Double(maximum), "1 or more") }
    var rest = Array(names.indices)
    var kept: [(index: Int, metric: Double)] = []
    var last: [Int: Double] = [:]
    func reason(_ index: Int) -> Selection.Reason {
      kept.count == maximum ? .beyond(maximum) : .noBetter(last[index] ?? 0, than: kept.last?.metric ?? 0)
    }
    while !rest.isEmpty, kept.count < maximum {
      for index in rest {
        last[index] = try GreedySoup.checked(metric(kept.map(\.index) + [index]), names[index])
      }
      func value(_ index: Int) -> Double { last[index] ?? -.infinity }
      // Of equal ones the first.
      let best = rest.reduce(rest[0]) { value($1) > value($0) ? $1 : $0 }
      if let standing = kept.last?.metric, value(best) <= standing { break }
      kept.append((best, value(best)))
      rest.removeAll { $0 == best }
    }
    let order = rest.sorted { (-(last[$0] ?? 0), $0) < (-(last[$1] ?? 0), $1) }
    return Selection(
      kept.map { Selection.Candidate(name: names[$0.index], index: $0.index, score: $0.metric, reason: nil) }
        + order.map {
          Selection.Candidate(name: names[$0], index: $0, score: last[$0] ?? 0, reason: reason($0))
        })
  }
}
