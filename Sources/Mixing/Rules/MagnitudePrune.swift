/// Trim each member to its largest numbers, then sum: `θ̄ = θ⁰ + λ Σ wᵢ top_ρ(τᵢ)`. PEFT's `magnitude_prune`.
public struct MagnitudePrune: DensityRule {
  public static let name = "magnitude_prune"
  public static let summary = "the weighted sum of the largest differences of each member"
  public static let paper: String? = nil

  /// The fraction of each member's numbers that is kept, `0 ... 1`: the largest by magnitude, tensor by tensor.
  public var density: MemberValues = 0.2
  public var lambda = 1.0
  public var normalize = false

  public init() {}
  public init(density: MemberValues) { self.density = density }

  public func mix(_ entry: MixingEntry) throws {
    entry.trim(to: density)
    entry.sum(try coefficients(entry.weights))
  }
}

extension MixingEntry {
  /// Zeros all but the largest numbers of each member.
  func trim(to density: MemberValues) {
    for (place, index) in members.enumerated() {
      let numbers = member(place)
      let cut = cuts?[place] ?? MagnitudeCut(keeping: conventions.kept(density[index], of: count), of: numbers)
      cut.trim(numbers)
    }
  }
}
