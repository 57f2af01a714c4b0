import Tensors

// How parameters start, and what training draws, where methods share it.

extension Tensor {
  /// Uniform on ±1/√columns, as PyTorch starts a linear map and PEFT its matrices.
  static func kaimingUniform(_ shape: [Int], device: Device, from generator: Generator) throws -> Tensor {
    let bound = 1 / Double(shape[shape.count - 1]).squareRoot()
    return try .uniform(shape, -bound, bound, device: device, from: generator)
  }
}

extension Generator {
  /// True with this probability.
  func drops(_ probability: Double) throws -> Bool {
    guard probability > 0 else { return false }
    return try Tensor.uniform([], from: self).item() < probability
  }
}
