import Mixing
import Tensors

/// How adapters of several domains become a model for a domain that none of them was trained on.
public struct Soup: Sendable, Hashable {
  public enum Rule: String, CaseIterable, Sendable, Hashable {
    /// The mean of all adapters.
    case uniform
    /// AdapterSoup by the similarity of texts, arXiv:2302.07027.
    case similarity
    /// The same choice, weighted by similarity, arXiv:2401.12756.
    case similarityWeighted = "similarity-weighted"
    /// AdapterSoup by clusters of domains, arXiv:2302.07027.
    case clustering
    /// The one adapter whose domain's texts are nearest.
    case single
    /// The adapter best on the target itself: what choosing one can come to at most.
    case bestSingle = "best-single"
    /// All adapters run, their logits averaged: as many passes as there are adapters.
    case ensemble
  }

  /// A row of the table.
  public var name: String
  /// The method whose adapters are mixed, by its name.
  public var method: String
  public var rule: Rule

  public init(_ name: String, of method: String, by rule: Rule) {
    self.name = name
    self.method = method
    self.rule = rule
  }

  /// The members' weights, which add up to 1; nil for what is no mean of weights.
  ///
  /// - Parameters:
  ///   - domains: of each member its texts' features, `[texts, width]`.
  ///   - novel: of the target's, `[texts, width]`.
  func weights(_ domains: [(name: String, embeddings: Tensor)], novel: Tensor) throws -> [Double]? {
    let selection: Selection
    switch rule {
    case .uniform: return domains.map { _ in 1 / Double(domains.count) }
    case .bestSingle, .ensemble: return nil
    case .similarity: selection = try SentenceSimilarity().choose(domains, for: novel)
    case .similarityWeighted:
      var rule = SentenceSimilarity()
      rule.isWeighted = true
      selection = try rule.choose(domains, for: novel)
    case .clustering: selection = try DomainClustering().choose(domains, for: novel)
    case .single:
      var rule = SentenceSimilarity()
      rule.maximum = 1
      selection = try rule.choose(domains, for: novel)
    }
    var weights = [Double](repeating: 0, count: domains.count)
    for (place, weight) in zip(selection.indices, selection.weights) { weights[place] = weight }
    return weights
  }
}
