import Mixing
import Training

/// A kind of adapter in a study: how it is trained, and what of it is averaged.
public struct StudyKind: Sendable {
  public var method: Method
  /// The adapter's parameters, or the changes of the weights that they make: for LoRA these differ.
  public var space: MixingSpace

  public init(_ method: Method, space: MixingSpace = .factors) {
    self.method = method
    self.space = space
  }

  public var name: String { method.name }
}

/// What a study measures, with its defaults.
public struct StudyConfiguration: Sendable, Hashable {
  /// How each domain's adapter is trained. Its seed and the steps between evaluations are the study's.
  public var recipe = TrainingConfiguration()
  /// Each trains every kind on every domain; its adapters of one kind start from the same numbers, whatever the domain.
  public var seeds: [UInt64] = [0, 1, 2]
  public var sets = MixtureSets.all
  /// Of the forward passes that measure mixtures.
  public var precision = TrainingConfiguration.Precision.float32
  /// Test examples in one forward pass.
  public var batch = 32
  /// Random orders in which domains are added, against which the greedy ones are held.
  public var randomOrders = 20
  /// Training examples of each domain that its similarity to others is measured by.
  public var similarityExamples = 100
  /// nil prunes nothing.
  public var pruning: PruningCurve?
  /// nil attacks nothing.
  public var robustness: Robustness?

  public struct PruningCurve: Sendable, Hashable {
    /// Fractions of the weights that stay, `0 < density ≤ 1`.
    public var densities = [1, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05]
    /// Of the mixtures that are pruned, beside that of all domains: one is drawn for each size and seed.
    public var sizes: [Int] = []
    public var criteria = Pruning.Criterion.allCases

    public init() {}
  }

  public struct Robustness: Sendable, Hashable {
    /// Of the mixtures that are attacked; for each size and target one that holds the target is drawn, the same for
    /// every kind of adapter.
    public var sizes = [1]
    /// Test examples of each domain that are attacked.
    public var examples = 20
    /// Texts that an attack may have classified for one example.
    public var queries = 100

    public init() {}
  }

  public init() {}

  /// - Throws: `StudyError`, `TrainingConfigurationError` naming the first setting out of its range.
  public func validate(domains: Int) throws {
    try recipe.validate()
    guard !seeds.isEmpty, Set(seeds).count == seeds.count, seeds.allSatisfy({ $0 <= UInt64(Int.max) }) else {
      throw StudyError.seeds(seeds)
    }
    func check(_ setting: String, _ value: Int, _ range: ClosedRange<Int>) throws {
      guard range.contains(value) else {
        throw StudyError.range(
          setting: setting, value: "\(value)", allowed: "\(range.lowerBound) to \(range.upperBound)")
      }
    }
    try check("evaluation_batch", batch, 1...65_536)
    try check("random_orders", randomOrders, 1...10_000)
    try check("similarity_examples", similarityExamples, 1...1_000_000)
    if case .sampled(let size, let count, _) = sets {
      // Pairs are what orders are made from.
      try check("sets.up_to", size, 2...MixtureSet.limit)
      try check("sets.sampled", count, 0...1_000_000)
    }
    if let pruning {
      for density in pruning.densities where !(density > 0 && density <= 1) {
        throw StudyError.range(setting: "pruning.densities", value: "\(density)", allowed: "above 0, to 1")
      }
      for size in pruning.sizes { try check("pruning.sizes", size, 2...domains) }
    }
    if let robustness {
      for size in robustness.sizes { try check("attacks.sizes", size, 1...domains) }
      try check("attacks.examples", robustness.examples, 1...1_000_000)
      try check("attacks.queries", robustness.queries, 1...1_000_000)
    }
  }
}
