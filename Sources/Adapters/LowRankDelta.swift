import Tensors

/// `ΔW = scale · B · A`, of rank at most `r`.
public struct LowRankDelta: WeightDelta {
  /// `A`, `[r, inFeatures]`
  public let down: Tensor
  /// `B`, `[outFeatures, r]`
  public let up: Tensor
  public let scale: Double

  public init(down: Tensor, up: Tensor, scale: Double = 1) {
    self.down = down
    self.up = up
    self.scale = scale
  }

  public var outFeatures: Int { up.shape[0] }
  public var inFeatures: Int { down.shape[1] }
  public var factors: [Tensor] { [down, up] }

  public func apply(to input: Tensor) throws -> Tensor { try input.linear(down).linear(up) * scale }

  public func materialized() throws -> Tensor { try up.matmul(down) * scale }

  /// The site's output `x · (W + ΔW)ᵀ + b`, `[…, inFeatures]` to `[…, outFeatures]`.
  ///
  /// The change rides in the base product: `W + ΔW` is formed once (tokens ≫ r makes that the cheap side), one product
  /// gives the output, one gives the input's gradient, and the factors' gradients go through the small dimension:
  /// `∂B = s · Gᵀ(xAᵀ)`, `∂A = s · (GB)ᵀx` for the output's gradient `G`. The gradient of the dense weight is never formed.
  func output(weight: Tensor, bias: Tensor?, input: Tensor) throws -> Tensor {
    let scale = scale
    return try Function.apply("low-rank linear", to: [input, down, up]) { inputs in
      let (x, down, up) = (inputs[0], inputs[1], inputs[2])
      // Under autocast the products run in its dtype, also in the backward pass, where libtorch has switched it off.
      let precision = autocastDType(on: x.device) ?? weight.dtype
      // Formed in float32 and rounded once: where W is rounded first, a ΔW below half of W's spacing is lost whole.
      let wide: DType = weight.dtype == .float64 ? .float64 : .float32
      let merged = try withFullPrecision(on: x.device) {
        try weight.to(wide).addingProduct(up.to(wide), down.to(wide), alpha: scale).to(precision)
      }
      let output = try x.to(precision).linear(merged, bias?.to(precision))
      return (
        [output],
        { gradients, needed in
          guard let gradient = gradients[0] else { return [nil, nil, nil] }
          let g = try gradient.to(precision).reshaped(-1, merged.shape[0])
          let rows = try x.to(precision).reshaped(-1, merged.shape[1])
          var results: [Tensor?] = [nil, nil, nil]
          if needed[0] { results[0] = try g.matmul(merged).reshaped(x.shape) }
          if needed[1] { results[1] = try g.matmul(up.to(precision)).transposed().matmul(rows) * scale }
          if needed[2] { results[2] = try g.transposed().matmul(rows.linear(down.to(precision))) * scale }
          return results
        }
      )
    }[0]
  }
}
