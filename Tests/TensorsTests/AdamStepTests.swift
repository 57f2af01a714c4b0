import Foundation
import Tensors
import Testing

@Suite struct AdamStepTests {
  /// Algorithm 1 of Adam and algorithm 2 of AdamW, one number at a time.
  private func reference(_ weight: Double, _ gradients: [Double], _ step: AdamStep) -> Double {
    var (weight, mean, square) = (weight, 0.0, 0.0)
    for (index, gradient) in gradients.enumerated() {
      let time = Double(index + 1)
      var gradient = gradient
      if step.isDecoupled { weight -= step.rate * step.decay * weight } else { gradient += step.decay * weight }
      mean = step.beta1 * mean + (1 - step.beta1) * gradient
      square = step.beta2 * square + (1 - step.beta2) * gradient * gradient
      weight -=
        step.rate * mean / (1 - pow(step.beta1, time))
        / (sqrt(square / (1 - pow(step.beta2, time))) + step.epsilon)
    }
    return weight
  }

  @Test(arguments: [false, true]) func `three steps are those of the paper`(isDecoupled: Bool) throws {
    let step = AdamStep(rate: 0.1, beta1: 0.8, beta2: 0.9, epsilon: 1e-3, decay: 0.2, isDecoupled: isDecoupled)
    let (weights, gradients) = ([1.0, -2, 0.5, 3], [[0.1, -4, 2, 0], [1, 1, -1, 0], [-3, 0.5, 0.25, 7]])
    let parameter = try Tensor(weights, shape: [2, 2])
    let (mean, square) = (try parameter.zerosLike(), try parameter.zerosLike())
    let time = try Tensor.zeros([])
    for gradient in gradients {
      // The transpose of a transpose: the same numbers, laid out otherwise.
      let strided = try Tensor(gradient, shape: [2, 2]).transposed().contiguous().transposed()
      try step(parameters: [parameter], gradients: [strided], means: [mean], squares: [square], steps: [time])
    }
    #expect(try time.item() == 3)
    try expectClose(
      parameter, weights.indices.map { i in reference(weights[i], gradients.map { $0[i] }, step) }, tolerance: 1e-9)
  }

  @Test func `lists and shapes that do not match are refused, and nothing changes`() throws {
    let (parameter, mean, square) = (try Tensor.ones([2, 3]), try Tensor.zeros([2, 3]), try Tensor.zeros([2, 3]))
    let time = try Tensor.zeros([])
    let step = AdamStep(rate: 0.1)
    #expect(throws: TensorError.count(0, shape: [1])) {
      try step(parameters: [parameter], gradients: [], means: [mean], squares: [square], steps: [time])
    }
    for wrong in [try Tensor.ones([3, 2]), try Tensor.ones([2]), try Tensor.ones([2, 3], dtype: .float64)] {
      let error = try thrown {
        try step(parameters: [parameter], gradients: [wrong], means: [mean], squares: [square], steps: [time])
      }
      #expect(error.kind == .refused)
      #expect(error.operation == "adam")
    }
    #expect(throws: TorchError.self) {
      try step(
        parameters: [parameter.transposed()], gradients: [mean.transposed()], means: [mean.transposed()],
        squares: [square.transposed()], steps: [time])
    }
    #expect(try parameter.floats() == [Float](repeating: 1, count: 6))
    #expect(try time.item() == 0)
  }
}
