/// KnOTS: members are mixed in the coordinates of one basis that they share, by another rule.
///
/// Stoica et al. 2025, "Model merging with SVD to tie the knots", arXiv:2410.19735: with
/// `[ΔW₁ … ΔWₖ] = U S [V₁ᵀ … Vₖᵀ]` the result is `U S V̄ᵀ`, where `V̄` is the inner rule's mixture of the `Vᵢ`. It needs the
/// changes of the weights, and its result has a rank of at most the sum of the members' ranks.
public struct KnOTS: MixingRule {
  public static let name = "knots"
  public static let summary = "another rule in the shared basis of all members"
  public static let paper: String? = "arXiv:2410.19735"

  /// What mixes the right factors.
  public var inner = AnyMixingRule(TIES())

  public init() {}
  public init(_ inner: any MixingRule) { self.inner = AnyMixingRule(inner) }

  public func validate(weights: [Double]) throws(MixtureError) {
    guard !(inner.rule is KnOTS), inner.rule.globalDensity == nil else { throw .inner(type(of: inner.rule).name) }
    try inner.rule.validate(weights: weights)
  }

  public func coefficients(_ weights: [Double]) throws(MixtureError) -> [Double] {
    try inner.rule.coefficients(weights)
  }

  /// Of the right factors, `[rank, inFeatures]` of each member.
  public func mix(_ entry: MixingEntry) throws { try inner.rule.mix(entry) }
}
