/// Task arithmetic: `θ̄ = θ⁰ + λ Σ wᵢ τᵢ`.
///
/// Ilharco et al. 2023, "Editing models with task arithmetic", arXiv:2212.04089. Weights are not normalized; a negative one
/// unlearns. The paper chooses `λ` on validation data, and 0.3 is a usual value for eight tasks.
public struct TaskArithmetic: MixingRule {
  public static let name = "task_arithmetic"
  public static let summary = "the sum of the weighted differences from the start"
  public static let paper: String? = "arXiv:2212.04089"
  public var isLinear: Bool { true }

  /// Multiplies the sum.
  public var lambda = 1.0
  public var normalize = false

  public init() {}
  public init(lambda: Double) { self.lambda = lambda }

  public func validate(weights: [Double]) throws(MixtureError) {
    try check(lambda.isFinite, "lambda", lambda, "a finite number")
    _ = try coefficients(weights)
  }

  public func coefficients(_ weights: [Double]) throws(MixtureError) -> [Double] {
    (normalize ? try normalized(weights) : weights).map { $0 * lambda }
  }

  public func mix(_ entry: MixingEntry) throws { entry.sum(try coefficients(entry.weights)) }
}
