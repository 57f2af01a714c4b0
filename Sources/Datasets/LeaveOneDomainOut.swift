/// Which domains to train on and which one to keep unseen.
public struct LeaveOneDomainOut<Dataset: DomainDataset>: Sendable, Hashable {
  public let folder: Dataset
  /// Index of the unseen domain.
  public let target: Int

  init(folder: Dataset, target: Int) {
    self.folder = folder
    self.target = target
  }

  /// Indices of the other domains, in order.
  public var sources: [Int] { folder.domains.indices.filter { $0 != target } }
  public var targetName: String { folder.domains[target] }
  public var sourceNames: [String] { sources.map { folder.domains[$0] } }

  /// DomainBed's split of one domain, in indices into `folder.samples`.
  ///
  /// The same for every target, since its seed is the domain's own index.
  public func split(ofDomain domain: Int, trialSeed: Int, holdout: Double = 0.2) -> DomainSplit {
    let range = folder.ranges.indices.contains(domain) ? folder.ranges[domain] : 0..<0
    return DomainSplit(count: range.count, domainIndex: domain, trialSeed: trialSeed, holdout: holdout)
      .shifted(by: range.lowerBound)
  }
}
