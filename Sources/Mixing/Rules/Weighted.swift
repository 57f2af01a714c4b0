/// The weighted mean: `θ̄ = Σ ŵᵢ θᵢ` with `ŵᵢ = wᵢ / Σ wⱼ`.
///
/// Weights may be negative; without `normalize` they are used as they are.
public struct Weighted: MixingRule {
  public static let name = "weighted"
  public static let summary = "the weighted mean; weights are divided by their sum"
  public static let paper: String? = "arXiv:2203.05482"
  public var isLinear: Bool { true }

  /// Whether weights are divided by their sum, which then must not be zero.
  public var normalize = true

  public init() {}
  public init(normalize: Bool) { self.normalize = normalize }

  public func coefficients(_ weights: [Double]) throws(MixtureError) -> [Double] {
    normalize ? try normalized(weights) : weights
  }

  public func mix(_ entry: MixingEntry) throws { entry.sum(try coefficients(entry.weights)) }
}
