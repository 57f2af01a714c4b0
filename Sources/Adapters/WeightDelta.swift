import Tensors

/// A structured change `ΔW` of a weight `[outFeatures, inFeatures]`, as a value: train, merge, mix and serve never need
/// to know which method made it.
public protocol WeightDelta: Sendable {
  var outFeatures: Int { get }
  var inFeatures: Int { get }

  /// The tensors it is made of. Gradients flow to them through every operation below.
  var factors: [Tensor] { get }

  /// `x · ΔWᵀ` without forming ΔW: `[…, inFeatures]` to `[…, outFeatures]`.
  func apply(to input: Tensor) throws -> Tensor

  /// ΔW itself, `[outFeatures, inFeatures]`.
  func materialized() throws -> Tensor
}

extension WeightDelta {
  /// `weight + scale · ΔW`, formed in float32 or better and rounded once to the weight's dtype.
  public func merged(into weight: Tensor, scale: Double = 1) throws -> Tensor {
    let wide: DType = weight.dtype == .float64 ? .float64 : .float32
    return try withFullPrecision(on: weight.device) {
      let delta = try materialized().to(wide)
      return try (weight.to(wide) + delta * scale).to(weight.dtype)
    }
  }
}
