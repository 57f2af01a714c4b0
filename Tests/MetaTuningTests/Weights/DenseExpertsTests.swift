import Tensors
import Testing
import Training

@testable import MetaTuning

@Compute @Suite struct DenseExpertsTests {
  @Test func `experts are mixed, and their gradients are the mixed ones`() throws {
    let backbone = try LoneTensor(2)
    var settings = DenseOffset.Settings()
    (settings.deltaRate, settings.momentum, settings.deltaDecay) = (1, 0, 0)
    let experts = try DenseExperts(of: backbone, experts: 2, settings: settings)
    #expect(experts.expertCount == 2)
    try experts.tensor("offset.0.w").copyInPlace(Tensor([0.5, -1]))
    try experts.tensor("offset.1.w").copyInPlace(Tensor([2.0, 3]))
    let tasks = try [([0.25, 0.75], [1.0, -2]), ([1, 0], [4, 2])].map {
      TaskGradient(mixing: $0.0, gradients: [try Tensor($0.1)])
    }
    // ⟨g, δ_m⟩ of each task.
    #expect(try experts.backward(tasks) == [[2.5, -4], [0, 14]])
    try experts.step(factor: 0.5)
    // (0.25 · (1, −2) + 1 · (4, 2)) / 2 and 0.75 · (1, −2) / 2, at half the rate.
    #expect(try experts.tensor("offset.0.w").doubles() == [0.5 - 1.0625, -1 - 0.375])
    #expect(try experts.tensor("offset.1.w").doubles() == [2 - 0.1875, 3 + 0.375])
    #expect(experts.state.map(\.name) == ["offset.0.w", "momentum.0.w", "offset.1.w", "momentum.1.w"])
    #expect(try experts.measures().map(\.name) == ["offset_norm.0", "offset_norm.1"])
  }

  @Test func `a merge is the weighted sum`() throws {
    let backbone = try FlatBackbone()
    let experts = try DenseExperts(of: backbone, experts: 3)
    let task = try TaskWeights(of: backbone)
    try experts.merge([0.2, 0.5, 0.3], into: task)
    for (index, (_, base)) in backbone.tensors.enumerated() {
      #expect(try task.tensors[index].detached().isEqual(to: base))
    }
    try experts.perturb()
    experts.scale = 0.5
    try experts.merge([0.2, 0.5, 0.3], into: task)
    for (index, (name, base)) in backbone.tensors.enumerated() {
      var expected = base
      for (expert, weight) in [0.2, 0.5, 0.3].enumerated() {
        expected = try expected + experts.tensor("offset.\(expert).\(name)") * (0.5 * weight)
      }
      #expect(try task.tensors[index].detached().isClose(to: expected, tolerance: 1e-14))
    }
  }

  @Test func `one expert is a dense offset, bit for bit`() throws {
    let backbone = try FlatBackbone(dtype: .float32)
    let (experts, offset) = try (DenseExperts(of: backbone, experts: 1), DenseOffset(of: backbone))
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks(dtype: .float32))
    for _ in 0..<3 {
      _ = try experts.backward(tasks.gradients(experts, mixing: [[1], [1]], into: task).tasks)
      try experts.step(factor: 1)
      _ = try offset.backward(tasks.gradients(offset, mixing: [[], []], into: task).tasks)
      try offset.step(factor: 1)
    }
    for (one, two) in zip(experts.state, offset.state) { #expect(try one.tensor.isEqual(to: two.tensor)) }
    #expect(try offset.measures()[0].value > 0)
  }

  @Test func `what does not fit is refused`() throws {
    #expect(throws: MetaWeightsError.noExperts(0)) { try DenseExperts(of: LoneTensor(2), experts: 0) }
    let experts = try DenseExperts(of: LoneTensor(2), experts: 2)
    #expect(throws: MetaWeightsError.noGradient) { try experts.step(factor: 1) }
    #expect(throws: MetaWeightsError.notFinite(tensor: "w")) {
      try experts.backward([TaskGradient(mixing: [0.5, 0.5], gradients: [Tensor([1, .infinity])])])
    }
    #expect(throws: MetaWeightsError.mixing(1, experts: 2)) {
      try experts.backward([TaskGradient(mixing: [1], gradients: [.ones([2], dtype: .float64)])])
    }
  }
}
