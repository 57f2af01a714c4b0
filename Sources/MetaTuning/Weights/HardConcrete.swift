import Foundation

/// The hard-concrete gate of one logit `a`: a logistic variable stretched to `γ … ζ` and clamped to `0 … 1`.
///
/// Louizos et al. 2018, "Learning Sparse Neural Networks through L0 Regularization", arXiv:1712.01312, eq. 10-13, with their
/// constants. What whole tensors do is `Tensors.MaskedOffset`; these are the same numbers one by one.
public enum HardConcrete {
  /// `γ` and `ζ`
  public static let stretch = -0.1...1.1
  /// `β`
  public static let temperature = 2.0 / 3

  /// `β ln(−ζ/γ)`: a logit's median gate is 0 from minus this downwards and 1 from this upwards.
  public static let bound = temperature * log(-stretch.upperBound / stretch.lowerBound)

  /// Logits stay within `±ln 100`, as in the authors' code.
  public static let limit = log(100.0)

  /// `clamp(1.2 σ(a/β) − 0.1, 0, 1)`: the gate's median.
  public static func median(_ logit: Double) -> Double { quantile(0.5, logit) }

  /// `clamp(1.2 σ((ln u − ln(1 − u) + a) / β) − 0.1, 0, 1)`: with a uniform `u` in `0 ..< 1` drawn, a gate of the distribution.
  public static func quantile(_ u: Double, _ logit: Double) -> Double {
    let shifted = logit + noise(u)
    if abs(shifted) >= bound { return shifted < 0 ? 0 : 1 }
    return stretched(sigmoid(shifted / temperature))
  }

  /// `clamp(1.2 σ(a) − 0.1, 0, 1)`: eq. 13, the estimator for testing.
  public static func estimator(_ logit: Double) -> Double { min(max(stretched(sigmoid(logit)), 0), 1) }

  /// `d quantile / d a`, 0 where the gate is 0 or 1.
  public static func slope(_ logit: Double, quantile u: Double = 0.5) -> Double {
    let shifted = logit + noise(u)
    guard abs(shifted) < bound else { return 0 }
    let s = sigmoid(shifted / temperature)
    return (stretch.upperBound - stretch.lowerBound) * s * (1 - s) / temperature
  }

  /// `P(z ≠ 0) = σ(a + β ln 11)`, were the gate drawn.
  public static func openProbability(_ logit: Double) -> Double { sigmoid(logit + bound) }

  private static func noise(_ u: Double) -> Double { log(u) - log(1 - u) }

  private static func stretched(_ s: Double) -> Double {
    s * (stretch.upperBound - stretch.lowerBound) + stretch.lowerBound
  }

  private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
}
