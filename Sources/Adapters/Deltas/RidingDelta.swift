import NeuralNetworks
import Tensors

/// A change of a frozen weight that rides in the base product while it trains: `W + ΔW` is formed once (tokens are many, so
/// that is the cheap side), one product gives the output and one the input's gradient.
protocol RidingDelta: WeightDelta {
  /// `weight + ΔW`, of one dtype.
  func added(to weight: Tensor) throws -> Tensor

  /// The gradients of the factors, in the order of `factors`; nil for those not needed.
  ///
  /// - Parameters:
  ///   - gradient: of `x · ΔWᵀ`, `[tokens, outFeatures]`
  ///   - rows: `x`, `[tokens, inFeatures]`
  ///   - needed: for each factor
  func factorGradients(_ gradient: Tensor, _ rows: Tensor, needed: [Bool]) throws -> [Tensor?]
}

extension RidingDelta {
  /// The map's output with the change in place, `[…, inFeatures]` to `[…, outFeatures]`.
  func output(of linear: Linear, input: Tensor) throws -> Tensor {
    if linear.weight.requiresGradient || linear.bias?.requiresGradient == true {
      return try linear(input) + apply(to: input)
    }
    return try output(weight: linear.weight, bias: linear.bias, input: input)
  }

  /// `x · (W + ΔW)ᵀ + b`, `[…, inFeatures]` to `[…, outFeatures]`, for a weight and a bias that do not train.
  func output(weight: Tensor, bias: Tensor?, input: Tensor) throws -> Tensor {
    try Function.apply("linear with its change", to: [input] + factors) { inputs in
      let x = inputs[0]
      var next = inputs.dropFirst().makeIterator()
      let change = mapFactors { next.next() ?? $0 }
      // Under autocast the products run in its dtype, also in the backward pass, where libtorch has switched it off.
      let precision = autocastDType(on: x.device) ?? weight.dtype
      // Formed in float32 and rounded once: where W is rounded first, a ΔW below half of W's spacing is lost whole.
      let wide: DType = weight.dtype == .float64 ? .float64 : .float32
      let merged = try withFullPrecision(on: x.device) {
        try change.to(wide).added(to: weight.to(wide)).to(precision)
      }
      let output = try x.to(precision).linear(merged, bias?.to(precision))
      return (
        [output],
        { gradients, needed in
          guard let gradient = gradients[0] else { return needed.map { _ in Tensor?.none } }
          let g = try gradient.to(precision).reshaped(-1, merged.shape[0])
          let inputGradient = needed[0] ? try g.matmul(merged).reshaped(x.shape) : nil
          let rows = try x.to(precision).reshaped(-1, merged.shape[1])
          return try [inputGradient]
            + change.to(precision).factorGradients(g, rows, needed: Array(needed.dropFirst()))
        }
      )
    }[0]
  }
}
