/// DARE: drop each number with probability `1 − ρ`, rescale the rest by `1/ρ`, then sum, or elect signs as TIES does.
///
/// Yu et al. 2024, "Language models are super Mario", arXiv:2311.03099:
/// `θ̄ = θ⁰ + λ Σ wᵢ mᵢ ⊙ τᵢ / ρ` with `mᵢ ~ Bernoulli(ρ)`. A density of 1 drops nothing and draws nothing.
public struct DARE: ElectingRule {
  public static let name = "dare"
  public static let summary = "random drop and rescale, then sum or elect signs"
  public static let paper: String? = "arXiv:2311.03099"

  /// The probability with which a number is kept, `0 ... 1`; 0.1 in the authors' scripts.
  public var density: MemberValues = 0.1
  public var rescale = Rescaling.expectation
  /// Whether signs are elected, as in DARE-TIES, or all members summed, as in DARE linear.
  public var elect = false
  public var sign = SignElection.Vote.total
  public var agreement = SignElection.Agreement.weights
  public var lambda = 1.0
  public var normalize = false

  public init() {}

  public init(density: MemberValues, elect: Bool = false) {
    self.density = density
    self.elect = elect
  }

  public func mix(_ entry: MixingEntry) throws {
    for (place, index) in entry.members.enumerated() where density[index] < 1 {
      let density = density[index]
      try entry.drop(place, rescaling: rescale) { _ in density }
    }
    try combine(entry)
  }
}
