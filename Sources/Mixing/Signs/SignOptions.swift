/// What counts as a sign, and how the disagreements of several adapters become one number. Every choice changes the number,
/// so a report says which were made.
public struct SignOptions: Codable, Hashable, Sendable {
  /// For sets of more than two.
  public var reducer = SignReducer.pairwise
  public var reference = SignReference.raw
  public var zeros = SignZeros.ignore
  public var space = SignSpace.factors

  public init(
    reducer: SignReducer = .pairwise, reference: SignReference = .raw, zeros: SignZeros = .ignore,
    space: SignSpace = .factors
  ) {
    self.reducer = reducer
    self.reference = reference
    self.zeros = zeros
    self.space = space
  }
}

/// How much `k` adapters disagree at their `N` weights, as one number. Nguyen & Le 2024, arXiv:2402.10639, speak of the
/// fraction of weight sign difference; for more than two adapters these three readings of it are ours.
///
/// | reducer    | what                                      | identical | negated pair | k unrelated adapters    |
/// |------------|-------------------------------------------|-----------|--------------|-------------------------|
/// | `pairwise` | mean of the FSD of the `k(k − 1)/2` pairs | 0         | 1            | 1/2 for every k         |
/// | `any`      | weights where any two have opposite signs | 0         | 1            | `1 − 2^(1 − k)`         |
/// | `minority` | mean of `min(#plus, #minus) / k`          | 0         | 1/2          | 1/4, 1/4, 5/16 at k = 5 |
public enum SignReducer: String, Codable, CaseIterable, Hashable, Sendable {
  case pairwise
  case any
  case minority
}

/// What a weight's sign is the sign of.
public enum SignReference: String, Codable, CaseIterable, Hashable, Sendable {
  /// The weight. Where adapters share a random start, many signs are still the start's.
  case raw
  /// The weight less what it was before training.
  case delta
}

/// What a weight that is 0 in some adapters says about agreement.
public enum SignZeros: String, Codable, CaseIterable, Hashable, Sendable {
  /// It conflicts with nothing, and counts among the `N`.
  case ignore
  /// Only weights that are not 0 in both adapters of a pair count at all; in larger sets those that are not 0 in two or more.
  case exclude
  /// 0 is a third sign.
  case ternary
}

/// Whose signs they are.
public enum SignSpace: String, Codable, CaseIterable, Hashable, Sendable {
  /// The adapter's own parameters'. Those of LoRA's factors change with a change of basis that leaves ΔW as it is,
  /// `(−B)(−A) = BA`.
  case factors
  /// Those of the changes `ΔW` of the linear maps.
  case delta
}
