import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Compute @Suite struct DenseOffsetTests {
  @Test func `a fresh offset is the backbone bit for bit`() throws {
    let backbone = try FlatBackbone(dtype: .float32)
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks(dtype: .float32))
    for tensor in task.tensors { try withoutGradients { try tensor.fillInPlace(7) } }
    try DenseOffset(of: backbone).merge([], into: task)
    #expect(try task.features(tasks.inputs[0]).detached().isEqual(to: backbone.features(tasks.inputs[0])))
  }

  @Test func `steps are gradient descent of the mean loss, with momentum, towards the backbone`() throws {
    let backbone = try LoneTensor(2)
    var settings = DenseOffset.Settings()
    (settings.deltaRate, settings.momentum, settings.deltaDecay) = (0.5, 0.8, 0.1)
    let offset = try DenseOffset(of: backbone, settings: settings)
    var (delta, velocity) = ([0.0, 0], [0.0, 0])
    for gradients in [[[1.0, -2], [3, 0]], [[0.5, 0.5], [-1, 4]], [[0, 1], [0, 1]]] {
      let tasks = try gradients.map { TaskGradient(mixing: [], gradients: [try Tensor($0)]) }
      #expect(try offset.backward(tasks) == [[], []])
      try offset.step(factor: 0.25)
      for index in 0..<2 {
        velocity[index] = 0.8 * velocity[index] + (gradients[0][index] + gradients[1][index]) / 2 + 0.1 * delta[index]
        delta[index] -= 0.125 * velocity[index]
      }
    }
    for (one, two) in zip(try offset.offsets[0].doubles(), delta) { #expect(abs(one - two) < 1e-15) }
    #expect(try offset.measures().map(\.name) == ["offset_norm"])
    let norm = (delta[0] * delta[0] + delta[1] * delta[1]).squareRoot()
    #expect(abs(try offset.measures()[0].value - norm) < 1e-12)
    #expect(offset.state.map(\.name) == ["offset.w", "momentum.w"])
  }

  @Test func `a scale interpolates between the backbone and what was trained`() throws {
    let backbone = try FlatBackbone()
    let offset = try DenseOffset(of: backbone)
    try offset.perturb()
    offset.scale = 0.5
    let task = try TaskWeights(of: backbone)
    try offset.merge([], into: task)
    for (index, (_, base)) in backbone.tensors.enumerated() {
      let expected = try base + offset.offsets[index] * 0.5
      #expect(try task.tensors[index].detached().isClose(to: expected, tolerance: 1e-15))
    }
  }

  @Test func `what does not fit is refused, and nothing changes`() throws {
    let backbone = try LoneTensor(2)
    let offset = try DenseOffset(of: backbone)
    #expect(throws: MetaWeightsError.noGradient) { try offset.step(factor: 1) }
    #expect(throws: MetaWeightsError.noTasks) { try offset.backward([]) }
    #expect(throws: MetaWeightsError.mixing(1, experts: 0)) {
      try offset.backward([TaskGradient(mixing: [1], gradients: [.ones([2], dtype: .float64)])])
    }
    #expect(throws: MetaWeightsError.notFinite(tensor: "w")) {
      try offset.backward([TaskGradient(mixing: [], gradients: [Tensor([1, .nan])])])
    }
    #expect(throws: MetaWeightsError.noGradient) { try offset.step(factor: 1) }
    #expect(try offset.offsets[0].doubles() == [0, 0])
  }
}
