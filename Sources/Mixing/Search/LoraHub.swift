/// Weights of a mixture found without gradients, on a few labelled examples of a new task.
///
/// Huang et al. 2023, "LoraHub", arXiv:2307.13269: `A = Σ wᵢAᵢ` and `B = Σ wᵢBᵢ` with `w` in ±1.5 from 0, so the search
/// starts at the frozen model; what is minimized is the loss plus `0.05 · mean |w|`; about 40 evaluations. The paper
/// leaves the search to Nevergrad's NGOpt; here it is an `EvolutionStrategy`.
///
/// The paper's space of factors weighs a lone adapter with `w²` and adds cross terms `wᵢwⱼBᵢAⱼ`. In the space of
/// changes, `ΔW = Σ wᵢΔWᵢ`, our default where it is mixed, weights are what they say.
public struct LoraHub: Hashable, Sendable {
  /// Every weight is within ± this.
  public var bound = 1.5
  /// Of `mean |w|`, beside the loss.
  public var penalty = 0.05
  public var evaluations = 40
  public var seed: UInt64 = 0

  public init() {}

  public struct Result: Hashable, Sendable {
    public let weights: [Double]
    /// Without the penalty.
    public let loss: Double
    public let penalty: Double
    /// Loss and penalty of each evaluation, in order; the first is that of zeros, the frozen model.
    public let history: [Double]
  }

  /// - Parameters:
  ///   - count: how many adapters.
  ///   - loss: of the mixture with these weights, on the few examples. Called `evaluations` times.
  /// - Throws: `SearchError`, and what `loss` throws.
  public func search(_ count: Int, loss: ([Double]) throws -> Double) throws -> Result {
    guard count >= 1 else { throw SearchError.noWeights }
    guard bound > 0, bound.isFinite else { throw SearchError.outOfRange("bound", bound, "above 0") }
    guard penalty >= 0, penalty.isFinite else { throw SearchError.outOfRange("penalty", penalty, "0 or more") }
    func cost(_ weights: [Double]) -> Double {
      penalty * weights.reduce(0) { $0 + abs($1) } / Double(weights.count)
    }
    let strategy = EvolutionStrategy(bounds: -bound...bound, evaluations: evaluations, seed: seed)
    let found = try strategy.minimize(from: [Double](repeating: 0, count: count)) { try loss($0) + cost($0) }
    let ownCost = cost(found.point)
    return Result(weights: found.point, loss: found.value - ownCost, penalty: ownCost, history: found.history)
  }

  /// `Σ wᵢθᵢ`, weights as they are: the paper's mixture where the vectors hold the factors, ours where they hold the
  /// changes.
  ///
  /// - Throws: `MixingError`
  public static func mixture(_ vectors: [AdapterVector], weights: [Double]) throws -> AdapterVector {
    guard let first = vectors.first else { throw SearchError.noWeights }
    guard weights.count == vectors.count else { throw MixingError.count(weights.count, expected: vectors.count) }
    var sums = [Double](repeating: 0, count: first.values.count)
    for (vector, weight) in zip(vectors, weights) {
      try vector.layout.check(against: first.layout)
      // 0 · NaN would be NaN.
      guard weight != 0 else { continue }
      for (place, value) in vector.values.enumerated() { sums[place] += weight * Double(value) }
    }
    return try AdapterVector(first.layout, sums.map { Float($0) })
  }
}
