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

    public init(in: [Int], out: [Int]) {
      self.in = `in`
      self.out = out
    }
  }

  /// Index of the domain that training never sees; nil where every domain is a source.
  public let target: Int?
  /// One for each domain.
  public let parts: [Parts]
  /// Indices of the domains trained on, ascending.
  public let sources: [Int]
  /// Whether the step is chosen by what the sources hold out; otherwise nothing need be held out, and the last step counts.
  public let selectsStep: Bool

  /// - Parameters:
  ///   - parts: one for each domain of the examples.
  ///   - sources: nil for every domain but the target.
  public init(target: Int?, parts: [Parts], sources: [Int]? = nil, selectsStep: Bool = true) {
    self.target = target
    self.parts = parts
    self.sources = sources.map { Set($0).sorted() } ?? parts.indices.filter { $0 != target }
    self.selectsStep = selectsStep
  }

  public init(
    of examples: any Examples, target: Int?, trialSeed: Int, holdout: Double = 0.2, selectsStep: Bool = true
  ) {
    let parts = examples.ranges.enumerated().map { domain, range in
      let split = DomainSplit(count: range.count, domainIndex: domain, trialSeed: trialSeed, holdout: holdout)
      func usable(_ indices: [Int]) -> [Int] {
        indices.map { $0 + range.lowerBound }.filter(examples.isUsable)
      }
      return Parts(in: usable(split.in), out: usable(split.out))
    }
    self.init(target: target, parts: parts, selectsStep: selectsStep)
  }

  /// What training draws from, one list for each source.
  public var pools: [[Int]] { sources.map { parts[$0].in } }
}
