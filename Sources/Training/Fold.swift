import Datasets

/// Which examples to train on, to choose by, and to report: one target domain left out, every domain split in two.
///
/// The split is DomainBed's, `DomainSplit`: a fifth of each domain is "out", the rest "in". Trained on: the sources' "in".
/// Chosen by: the sources' "out". Reported: the target's "in" and the whole target.
public struct Fold: Sendable, Hashable {
  /// The two parts of one domain, as indices of examples; those that cannot be used are in neither.
  public struct Parts: Sendable, Hashable {
    public var `in`: [Int]
    public var out: [Int]
  }

  /// Index of the domain that training never sees; nil where every domain is a source.
  public let target: Int?
  /// One for each domain.
  public let parts: [Parts]
  /// Whether the step is chosen by what the sources hold out; otherwise nothing need be held out, and the last step counts.
  public let selectsStep: Bool

  /// - Parameter parts: one for each domain of the examples.
  public init(target: Int?, parts: [Parts], selectsStep: Bool = true) {
    self.target = target
    self.parts = parts
    self.selectsStep = selectsStep
  }

  public init(of examples: any Examples, target: Int?, trialSeed: Int, holdout: Double = 0.2) {
    self.target = target
    selectsStep = true
    parts = examples.ranges.enumerated().map { domain, range in
      let split = DomainSplit(count: range.count, domainIndex: domain, trialSeed: trialSeed, holdout: holdout)
      func usable(_ indices: [Int]) -> [Int] {
        indices.map { $0 + range.lowerBound }.filter(examples.isUsable)
      }
      return Parts(in: usable(split.in), out: usable(split.out))
    }
  }

  /// Indices of the domains trained on.
  public var sources: [Int] { parts.indices.filter { $0 != target } }

  /// What training draws from, one list for each source.
  public var pools: [[Int]] { sources.map { parts[$0].in } }
}
