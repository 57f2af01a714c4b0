/// The greedy soup: each candidate in turn joins the average where the average then does better on validation data.
///
/// Wortsman et al. 2022, "Model soups", arXiv:2203.05482, recipe 1. Candidates come in the order of their own metric,
/// the best first; one is kept only where the mixture's metric is strictly higher than the best so far; one pass. The
/// validation data must be neither the texts that a choice by similarity has seen nor the test set.
public enum GreedySoup {
  /// - Parameters:
  ///   - names: one for each candidate.
  ///   - metric: of the mixture of these candidates, by their places; higher is better. Called `2n − 1` times at most.
  /// - Returns: a selection whose scores are the candidates' own metrics.
  /// - Throws: `ChoosingError`, and what `metric` throws.
  public static func choose(_ names: [String], metric: ([Int]) throws -> Double) throws -> Selection {
    try Selection.check(names)
    let own = try names.indices.map { try checked(metric([$0]), names[$0]) }
    let order = names.indices.sorted { (-own[$0], $0) < (-own[$1], $1) }
    var kept = [order[0]]
    var best = own[order[0]]
    var reasons: [Int: Selection.Reason] = [:]
    for index in order.dropFirst() {
      let found = try checked(metric(kept + [index]), names[index])
      if found > best {
        kept.append(index)
        best = found
      } else {
        reasons[index] = .noBetter(found, than: best)
      }
    }
    return Selection(
      order.map { Selection.Candidate(name: names[$0], index: $0, score: own[$0], reason: reasons[$0]) })
  }

  /// The soup of some adapters' numbers, and what it is of.
  ///
  /// - Parameter metric: of an average of some of them; higher is better.
  /// - Throws: `MixingError.layout`, `ChoosingError`, and what `metric` throws.
  public static func soup(
    _ candidates: [(name: String, vector: AdapterVector)], metric: (AdapterVector) throws -> Double
  ) throws -> (selection: Selection, vector: AdapterVector) {
    guard let first = candidates.first?.vector else { throw ChoosingError.noCandidates }
    for candidate in candidates { try candidate.vector.layout.check(against: first.layout) }
    func mean(_ members: [Int]) throws -> AdapterVector {
      guard members.count > 1 else { return candidates[members[0]].vector }
      // In float64, from the members each time: the mean of k floats is then rounded once.
      var sums = [Double](repeating: 0, count: first.values.count)
      for member in members {
        for (place, value) in candidates[member].vector.values.enumerated() { sums[place] += Double(value) }
      }
      return try AdapterVector(first.layout, sums.map { Float($0 / Double(members.count)) })
    }
    let selection = try choose(candidates.map(\.name)) { try metric(mean($0)) }
    return (selection, try mean(selection.indices))
  }

  static func checked(_ metric: Double, _ name: String) throws(ChoosingError) -> Double {
    guard !metric.isNaN else { throw .notFinite("The metric with '\(name)'") }
    return metric
  }
}
