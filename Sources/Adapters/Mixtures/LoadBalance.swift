import Tensors

/// The load-balancing loss of one router, before its weight:
///
///     ½ · (CV²(importance) + CV²(load)),  CV²(v) = var(v) / (mean(v)² + 10⁻¹⁰), the variance divided by N − 1
///     importance_e = Σ_j s_je,  load_e = Σ_j Φ((s_je − m_j) / σ)
///
/// over tokens `j` and experts `e`, with probabilities `s` without noise, and `m` the token's noisy top probability.
/// Mixture-of-Adapters (arXiv:2310.11031), official code: the threshold is a probability where tutel, its source, has a
/// logit; reproduced as it is. Gradients flow through `s` and `m`. One expert is always balanced: 0.
///
/// A uniform `s` gives 0 even where every argmax falls on one expert: watch the hard load too.
enum LoadBalance {
  /// - Parameters:
  ///   - probabilities: `s`, `[tokens, experts]`, float32 or wider.
  ///   - threshold: `m`, `[tokens]`
  ///   - deviation: `σ`, positive.
  static func loss(probabilities: Tensor, threshold: Tensor, deviation: Double) throws -> Tensor {
    guard let experts = probabilities.size(1), experts > 1 else {
      return try .zeros([], dtype: probabilities.dtype, device: probabilities.device)
    }
    let (importance, load) = try statistics(
      probabilities: probabilities, threshold: threshold, deviation: deviation)
    return try (squaredVariation(importance) + squaredVariation(load)) * 0.5
  }

  static func statistics(probabilities: Tensor, threshold: Tensor, deviation: Double) throws
    -> (importance: Tensor, load: Tensor)
  {
    let distance = try (probabilities - threshold.unsqueezed(1)) / (deviation * 2.0.squareRoot())
    let above = try (distance.erf() + 1) * 0.5
    return (try probabilities.sum(0), try above.sum(0))
  }

  static func squaredVariation(_ values: Tensor) throws -> Tensor {
    try values.variance(0) / (values.mean().squared() + 1e-10)
  }
}
