import Tensors

/// AdapterSoup's choice by clusters of domains: the adapters of the domains into whose clusters the novel domain's
/// texts fall.
///
/// Chronopoulou et al. 2023, "AdapterSoup", arXiv:2302.07027, after Aharoni and Goldberg 2020,
/// arXiv:2004.02105. A Gaussian mixture with as many components as domains is fitted to the domains' texts; each novel
/// text goes to its most probable component; domains are ranked by their novel texts, up to five with at least a tenth
/// of them each.
///
/// What the paper leaves open is ours: the embeddings are reduced to their 50 principal components over the domains'
/// texts; the mixture starts from k-means, which starts from the domains' means (further components, where more are
/// asked for, from centres drawn as k-means++ draws them); covariances are full, with 10⁻⁶ added to the diagonal; a
/// component belongs to the domain that most of its texts are of, so that a domain may own several components or none.
/// The paper embeds with the pretrained model itself; take the mean of its last hidden states.
public struct DomainClustering: Hashable, Sendable {
  public var maximum = 5
  /// The least part of the novel texts, `0 ... 1`.
  public var minimumShare = 0.1
  /// Principal components; fewer where the texts do not vary in as many.
  public var dimensions = 50
  /// nil for as many as there are domains.
  public var components: Int?
  /// Of the draws for components beyond the domains; without any, nothing is drawn.
  public var seed: UInt64 = 0

  public init() {}

  /// - Parameters:
  ///   - domains: one for each adapter, `[texts, width]`
  ///   - novel: `[texts, width]`
  /// - Returns: a selection whose scores are shares of the novel texts.
  /// - Throws: `ChoosingError`
  public func choose(_ domains: [(name: String, embeddings: Tensor)], for novel: Tensor) throws -> Selection {
    let hits = try hits(domains, of: novel)
    return try choose(domains.map(\.name), hits: hits, of: novel.shape[0])
  }

  /// - Parameters:
  ///   - hits: novel texts in each domain's components.
  ///   - total: novel texts.
  /// - Throws: `ChoosingError`
  public func choose(_ names: [String], hits: [Int], of total: Int) throws(ChoosingError) -> Selection {
    guard (0...1).contains(minimumShare) else { throw .outOfRange("minimumShare", minimumShare, "0 to 1") }
    guard total >= 1 else { throw .noTexts("the novel domain") }
    let shares = hits.map { Double($0) / Double(total) }
    return try Selection.highest(maximum, names, shares, minimum: minimumShare) { $0 >= minimumShare }
  }

  /// How many of the novel texts fall to each domain.
  ///
  /// - Throws: `ChoosingError`
  public func hits(_ domains: [(name: String, embeddings: Tensor)], of novel: Tensor) throws -> [Int] {
    try Selection.check(domains.map(\.name))
    guard dimensions >= 1 else { throw ChoosingError.outOfRange("dimensions", Double(dimensions), "1 or more") }
    let count = components ?? domains.count
    guard count >= 1 else { throw ChoosingError.outOfRange("components", Double(count), "1 or more") }
    let parts = try domains.map { ($0.name, try Samples($0.embeddings, of: $0.name)) }
    let unseen = ("the novel domain", try Samples(novel, of: "the novel domain"))
    _ = try Samples(joining: [parts[0], unseen])
    let whole = try Samples(joining: parts)
    let reduce = try PrincipalComponents(of: whole, limit: dimensions)
    let samples = try reduce(whole)

    let owners = parts.enumerated().flatMap { [Int](repeating: $0, count: $1.1.count) }
    let means = domains.indices.map { domain in samples.mean(of: owners.indices.filter { owners[$0] == domain }) }
    let centres = try KMeans.centres(means, upTo: count, of: samples, from: Generator(seed: seed))
    let mixture = GaussianMixture(fitting: samples, from: centres)

    var votes = [[Int]](repeating: [Int](repeating: 0, count: domains.count), count: count)
    for (owner, component) in zip(owners, mixture.labels(of: samples)) { votes[component][owner] += 1 }
    let domainOf = votes.map { votes in
      votes.max() == 0 ? nil : votes.indices.reduce(0) { votes[$1] > votes[$0] ? $1 : $0 }
    }
    var hits = [Int](repeating: 0, count: domains.count)
    for component in mixture.labels(of: try reduce(unseen.1)) {
      if let domain = domainOf[component] { hits[domain] += 1 }
    }
    return hits
  }
}
