import NeuralNetworks
import Tensors

/// A backbone with other values in some of its tensors: what a merge gives before it is rounded to the type of a file.
struct SubstitutedTensors: Adaptation {
  /// By the backbone's names.
  let tensors: [String: Tensor]

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let name = linear.site.name
    return try input.linear(tensors["\(name).weight"] ?? linear.weight, tensors["\(name).bias"] ?? linear.bias)
  }

  func value(of name: String, original: Tensor) -> Tensor { tensors[name] ?? original }
}
