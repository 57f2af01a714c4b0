import NeuralNetworks
import Tensors

extension Linear {
  /// `scale ⊙ (Wx + b) + shift`, `[…, inFeatures]` to `[…, outFeatures]`.
  ///
  /// Scale and shift ride in the base product, `diag(scale)·W` and `scale ⊙ b + shift`, so the outputs before scaling are
  /// never there. What the scale's gradient `Σ G ⊙ (Wx + b)` wants of them is read off the outputs, `(y − shift) / scale`:
  /// training keeps no more activations than the frozen map does. Where a scale is near zero that would lose digits, and
  /// where the map trains too its gradients are wanted; both go by the formula as it stands.
  func output(_ input: Tensor, scaledBy scale: Tensor, shiftedBy shift: Tensor? = nil) throws -> Tensor {
    let trains = weight.requiresGradient || bias?.requiresGradient == true
    guard try !trains && withoutGradients({ try scale.abs().min().item() }) >= Self.leastDivisor else {
      let plain = try self(input)
      let scaled = try plain * scale
      return try (shift.map { try scaled + $0 } ?? scaled).to(plain.dtype)
    }
    return try Function.apply("linear with scaled outputs", to: [input, scale] + (shift.map { [$0] } ?? [])) { inputs in
      let scale = inputs[1]
      let shift = inputs.count > 2 ? inputs[2] : nil
      let (shape, dtype, device) = (inputs[0].shape, inputs[0].dtype, inputs[0].device)
      let precision = autocastDType(on: device) ?? weight.dtype
      // Formed wide and rounded once: near 1 a scale loses in bfloat16 what it learned.
      let folded: @Sendable () throws -> Tensor = {
        try withFullPrecision(on: device) { try (weight * scale.unsqueezed(1)).to(precision) }
      }
      let moved = try bias.map { try $0 * scale }
      let offset = try moved.map { moved in try shift.map { try moved + $0 } ?? moved } ?? shift
      let output = try inputs[0].to(precision).linear(folded(), offset?.to(precision))
      let kept = try output.detached()
      return (
        [output],
        { gradients, needed in
          guard let gradient = gradients[0] else { return needed.map { _ in Tensor?.none } }
          let g = try gradient.to(precision).reshaped(-1, scale.count)
          var results = [Tensor?](repeating: nil, count: needed.count)
          if needed[0] { results[0] = try g.matmul(folded()).reshaped(shape).to(dtype) }
          let total = shift == nil ? nil : try g.sum(0).to(scale.dtype)
          if needed[1] {
            let ofOutputs = try (g * kept.reshaped(-1, scale.count)).sum(0).to(scale.dtype)
            let ofShift = try shift.flatMap { shift in try total.map { try $0 * shift } }
            results[1] = try (ofShift.map { try ofOutputs - $0 } ?? ofOutputs) / scale
          }
          if needed.count > 2, needed[2] { results[2] = total }
          return results
        }
      )
    }[0]
  }

  /// Dividing by less would cost more than three of a gradient's binary digits.
  private static var leastDivisor: Double { 0.125 }
}
