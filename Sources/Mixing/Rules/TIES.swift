/// TIES: trim each member to its largest numbers, elect a sign for each number, take the mean of the members that have it.
///
/// Yadav et al. 2023, "TIES-Merging", arXiv:2306.01708: `θ̄ = θ⁰ + λ · mean{ top_ρ(τᵢ) : sign = γ }`, with
/// `γ = sign Σ top_ρ(τᵢ)`. The authors' code trims over all tensors together, PEFT and MergeKit tensor by tensor; of equal
/// magnitudes the first are kept, where the authors' code keeps them all.
public struct TIES: DensityRule {
  public static let name = "ties"
  public static let summary = "trim, elect signs, mean of what agrees"
  public static let paper: String? = "arXiv:2306.01708"

  public enum Scope: String, Codable, Hashable, Sendable, CaseIterable {
    case tensor, global
  }

  /// The fraction of each member's numbers that is kept, `0 ... 1`.
  public var density: MemberValues = 0.2
  /// Multiplies the result.
  public var lambda = 1.0
  /// Among which numbers the largest are looked for.
  public var scope = Scope.tensor
  public var sign = SignElection.Vote.total
  /// What weights do, on which PEFT and MergeKit differ.
  public var agreement = SignElection.Agreement.weights
  /// Whether the sum of what agrees is divided: a mean.
  public var normalize = true

  public init() {}

  public init(
    density: MemberValues, sign: SignElection.Vote = .total, agreement: SignElection.Agreement = .weights,
    scope: Scope = .tensor
  ) {
    self.density = density
    self.sign = sign
    self.agreement = agreement
    self.scope = scope
  }

  public var globalDensity: MemberValues? { scope == .global ? density : nil }

  /// Of what has no vote, as biases, the coefficients of the rule count: the mean or the sum, as with the matrices.
  public func mix(_ entry: MixingEntry) {
    entry.trim(to: density)
    SignElection(vote: sign, agreement: agreement).mix(entry, normalize: normalize, scale: lambda)
  }
}
