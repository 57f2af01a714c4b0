/// What the mixture of changes becomes.
public enum MixForm: Hashable, Sendable, CustomStringConvertible {
  /// The factors of all members side by side where the mixture is a weighted sum of low-rank changes, else dense. Exact.
  case automatic
  /// LoRA with the factors of all members side by side, of the sum of their ranks: exact, for weighted sums only.
  case concatenated
  /// The whole `ΔW` of each map: exact, whatever the rule.
  case dense
  /// LoRA of this rank: the best approximation of each `ΔW`, its error stated.
  case rank(Int)

  public var description: String {
    switch self {
    case .automatic: "automatic"
    case .concatenated: "concatenated"
    case .dense: "dense"
    case .rank(let rank): "rank \(rank)"
    }
  }
}
