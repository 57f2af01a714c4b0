import Adapters
import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct ReweightedBackboneTests {
  /// A task's weights, and the backbone that has them.
  @Compute
  private func makeTask() throws -> (backbone: VisionTransformer, task: TaskWeights, reweighted: ReweightedBackbone) {
    let backbone = try Tiny.vision()
    let task = try TaskWeights(of: backbone)
    try Tiny.tuned(.pmf, on: backbone).weights.merge([], into: task)
    return (backbone, task, try ReweightedBackbone(backbone, with: task.tensors))
  }

  private static let methods: [any AdapterConfiguration] = [
    LoRA(rank: 2, alpha: 32, dropout: 0.1), DoRA(), LoHa(), LoKr(), AdaptFormer(), ParallelAdapter(), IA3(),
    BiasTuning(),
    LayerNormTuning(), LastBlocks(), FullFineTuning(), DeltaTuning(),
  ]

  @Test @Compute
  func `a fresh adapter on a task's weights leaves the task's features, where the method starts as nothing`() throws {
    let (backbone, task, reweighted) = try makeTask()
    let images = try Tensor.normal([3, 3, 8, 8], from: Generator(seed: 3))
    let expected = try withoutGradients { try task.features(images) }
    // The task differs from the backbone by far more than the tolerance.
    #expect(try backbone.features(images).distance(to: expected) > 0.05)
    for method in Self.methods {
      let features = try withoutGradients { try reweighted.adapted(by: method).features(images) }
      #expect(try features.isClose(to: expected, tolerance: 1e-5), "\(type(of: method))")
    }
  }

  @Test @Compute func `an adapter's correction is added to the task's map`() throws {
    let (_, task, reweighted) = try makeTask()
    let model = try reweighted.adapted(by: .delta, at: [.fc2])
    let change = try Tensor.normal([16, 32], deviation: 0.1, from: Generator(seed: 8))
    let parameter = try #require(model.adapter.parameters.first { $0.name == "blocks.1.mlp.fc2.delta" })
    try parameter.load(change)
    let index = try #require(reweighted.tensors.firstIndex { $0.name == "blocks.1.mlp.fc2.weight" })
    let images = try Tensor.normal([3, 3, 8, 8], from: Generator(seed: 3))
    let adapted = try withoutGradients { try model.features(images) }
    try withoutGradients { try task.tensors[index].addInPlace(change) }
    // The task's own weight now holds the change; the adapter, reading the same memory, would add it twice.
    let merged = try withoutGradients { try task.features(images) }
    #expect(try adapted.isClose(to: merged, tolerance: 1e-5))
  }

  @Test @Compute func `a part of a map is the rows of the task's weight`() throws {
    let (backbone, _, reweighted) = try makeTask()
    let value = try #require(backbone.sites.first?.parts.last)
    let weight = try #require(reweighted.tensors.first { $0.name == "blocks.0.attn.qkv.weight" }).tensor
    #expect(try reweighted.linear(at: value).weight.isEqual(to: weight.narrowed(0, 32..<48)))
    #expect(reweighted.fingerprint != backbone.fingerprint)
    #expect(throws: MetaWeightsError.tensors(1, expected: backbone.tensors.count)) {
      try ReweightedBackbone(backbone, with: [weight])
    }
  }
}
