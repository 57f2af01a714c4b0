/// The uniform soup: `θ̄ = (1/k) Σ θᵢ`.
///
/// Wortsman et al. 2022, "Model soups", arXiv:2203.05482; Chronopoulou et al. 2023, "AdapterSoup", arXiv:2302.07027, eq. 1.
public struct Uniform: MixingRule {
  public static let name = "uniform"
  public static let summary = "the mean of all members"
  public static let paper: String? = "arXiv:2203.05482"
  public static let usesWeights = false
  public var isLinear: Bool { true }

  public init() {}

  public func coefficients(_ weights: [Double]) -> [Double] { weights.map { _ in 1 / Double(weights.count) } }
  public func validate(weights: [Double]) {}
  public func mix(_ entry: MixingEntry) { entry.sum(coefficients(entry.weights)) }
}
