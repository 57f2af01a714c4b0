import NeuralNetworks
import Tensors
import Training

/// A linear map of spectral norm about 1: `x · (W / σ)ᵀ + b`, with `σ = uᵀWv` from a power iteration that goes on as it trains.
///
/// Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", arXiv:1802.05957, algorithm 1. The gradient goes
/// through `σ` with `u` and `v` held constant; both are state, without which a reloaded map is another one.
@Compute
final class SpectralLinear {
  let weight: Parameter
  let bias: Parameter?
  /// `u`, `[outFeatures]`, and `v`, `[inFeatures]`.
  let left: Tensor
  let right: Tensor
  private let name: String

  /// Weights and bias uniform within `±1/√inFeatures`, as PyTorch's linear maps start; then 15 iterations.
  init(
    _ name: String, _ inFeatures: Int, _ outFeatures: Int, hasBias: Bool, device: Device, dtype: DType,
    generator: Generator
  ) throws {
    self.name = name
    let bound = 1 / Double(inFeatures).squareRoot()
    func uniform(_ shape: [Int], _ part: String) throws -> Tensor {
      try .uniform(shape, -bound, bound, dtype: dtype, device: device, from: generator.derived("\(name).\(part)"))
    }
    weight = try Parameter("\(name).weight", uniform([outFeatures, inFeatures], "weight"))
    bias = hasBias ? try Parameter("\(name).bias", uniform([outFeatures], "bias"), decays: true) : nil
    left = try Tensor.normal([outFeatures], dtype: dtype, device: device, from: generator.derived("\(name).left"))
    right = try .zeros([inFeatures], dtype: dtype, device: device)
    for _ in 0..<15 { try iterate() }
  }

  var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }
  var state: [(name: String, tensor: Tensor)] { [("\(name).left", left), ("\(name).right", right)] }

  /// `v ← Wᵀu / ‖Wᵀu‖`, `u ← Wv / ‖Wv‖`.
  func iterate() throws {
    try withoutGradients {
      try right.copyInPlace(Self.unit(weight.value.transposed().matmul(left)))
      try left.copyInPlace(Self.unit(weight.value.matmul(right)))
    }
  }

  func callAsFunction(_ input: Tensor) throws -> Tensor {
    // Copies: the next task's iteration changes both before this task's backward pass.
    let (u, v) = try (left.clone(), right.clone())
    let norm = try (weight.value.matmul(v) * u).sum()
    return try input.linear(weight.value / norm, bias?.value)
  }

  private static func unit(_ vector: Tensor) throws -> Tensor {
    try vector / vector.norm().clamped(1e-12...Double.infinity)
  }
}
