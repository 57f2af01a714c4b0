import Tensors

/// One of a backbone's own tensors, which an adaptation may replace by its name.
struct NamedTensor: Sendable {
  let name: String
  let tensor: Tensor
  func value(_ adaptation: any Adaptation) throws -> Tensor { try adaptation.value(of: name, original: tensor) }
}

/// A LayerNorm of a backbone.
struct Norm: Sendable {
  let weight, bias: NamedTensor
  let epsilon: Double

  init(_ name: String, of weights: CanonicalWeights, epsilon: Double) throws {
    weight = try weights.named("\(name).weight")
    bias = try weights.named("\(name).bias")
    self.epsilon = epsilon
  }

  func callAsFunction(_ x: Tensor, _ adaptation: any Adaptation) throws -> Tensor {
    try x.layerNorm(
      width: weight.tensor.count, weight: weight.value(adaptation), bias: bias.value(adaptation), epsilon: epsilon)
  }
}
