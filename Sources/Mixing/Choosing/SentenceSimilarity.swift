import Tensors

/// AdapterSoup's choice by sentence similarity: the adapters whose domains' texts are nearest to the novel domain's.
///
/// Chronopoulou et al. 2023, "AdapterSoup", arXiv:2302.07027. The score of a domain is the mean cosine
/// over all pairs of one of its texts and one of the novel domain's; those above 0.15 are kept, at most the five
/// highest, and averaged. For unit vectors the mean over pairs is the product of the means, so it costs one pass over
/// the texts.
///
/// Mixing by similarity in place of equal weights is from Holtermann et al. 2024, arXiv:2401.12756. With `maximum = 1`
/// the rule is the paper's single best. The texts must not be those that the mixture is tested on.
public struct SentenceSimilarity: Hashable, Sendable {
  /// A domain must have a higher score than this.
  public var threshold = 0.15
  public var maximum = 5
  /// Whether those chosen are weighted in proportion to their scores rather than equally. Scores of 0 or less weigh
  /// nothing.
  public var isWeighted = false

  public init() {}

  /// - Parameters:
  ///   - domains: one for each adapter, `[texts, width]`
  ///   - novel: `[texts, width]`
  /// - Throws: `ChoosingError`
  public func choose(_ domains: [(name: String, embeddings: Tensor)], for novel: Tensor) throws -> Selection {
    let target = try Self.meanDirection(novel, of: "the novel domain")
    let scores = try domains.map { domain in
      let direction = try Self.meanDirection(domain.embeddings, of: domain.name)
      guard direction.count == target.count else {
        throw ChoosingError.widths(domain.name, direction.count, expected: target.count)
      }
      return zip(direction, target).reduce(0) { $0 + $1.0 * $1.1 }
    }
    return try choose(domains.map(\.name), scores: scores)
  }

  /// - Throws: `ChoosingError`
  public func choose(_ names: [String], scores: [Double]) throws(ChoosingError) -> Selection {
    guard threshold.isFinite else { throw .outOfRange("threshold", threshold, "a finite number") }
    let chosen = try Selection.highest(maximum, names, scores, minimum: threshold) { $0 > threshold }
    guard isWeighted else { return chosen }
    let similarities = chosen.chosen.map { max(0, $0.score) }
    let sum = similarities.reduce(0, +)
    // A fallback may have a score of 0 or less, and is then the whole mixture all the same.
    guard sum > 0 else { return chosen }
    return Selection(chosen.candidates, weights: similarities.map { $0 / sum }, isFallback: chosen.isFallback)
  }

  /// The mean cosine over all pairs of a row of `one` and a row of `other`, `[texts, width]` each.
  ///
  /// - Throws: `ChoosingError`
  public static func meanCosine(_ one: Tensor, _ other: Tensor) throws -> Double {
    let (one, other) = (try meanDirection(one, of: "the first"), try meanDirection(other, of: "the second"))
    guard one.count == other.count else { throw ChoosingError.widths("the second", other.count, expected: one.count) }
    return zip(one, other).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// The mean of the rows, each at length 1; a row of zeros stays one, and has a cosine of 0 with everything.
  private static func meanDirection(_ embeddings: Tensor, of domain: String) throws -> [Double] {
    let rows = try Samples(embeddings, of: domain)
    var mean = [Double](repeating: 0, count: rows.width)
    for index in 0..<rows.count {
      let row = rows[index]
      let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      guard length > 0 else { continue }
      for (place, number) in row.enumerated() { mean[place] += number / length }
    }
    return mean.map { $0 / Double(rows.count) }
  }
}
