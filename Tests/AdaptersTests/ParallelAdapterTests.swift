import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct ParallelAdapterTests {
  @Test func `beside the MLP runs the adapter on what the MLP is given, times 4`() throws {
    try smallTransformer().adapted(by: .parallelAdapter(width: 3)).expectFormula { model, branch, state in
      guard branch.kind == .mlp else { return state.output }
      return try state.output + #require(model.bottleneck(branch, state.input) { try $0.relu() }) * 4
    }
  }

  @Test func `as AdapterHub runs it on a ViT, the adapter reads the stream, and its scale may train`() throws {
    var configuration = ParallelAdapter(width: 3)
    configuration.input = .stream
    configuration.scale = 1
    configuration.learnsScale = true
    let model = try smallTransformer().adapted(by: configuration)
    let scale = try model.adapter.parameter("blocks.1.mlp.adapter.scale")
    #expect(scale.value.shape == [1] && !scale.decays)
    #expect(try scale.value.item() == 1)
    try model.expectFormula { model, branch, state in
      guard branch.kind == .mlp else { return state.output }
      let scale = try model.adapter.parameter("\(branch.name).adapter.scale").value
      return try state.output + #require(model.bottleneck(branch, state.stream) { try $0.relu() }) * scale
    }
  }

  @Test func `the scale that trains starts at the fixed one`() throws {
    var configuration = ParallelAdapter(width: 3)
    configuration.learnsScale = true
    let adapter = try TinyBackbone().adapted(by: configuration).adapter
    #expect(try adapter.parameter("blocks.0.mlp.adapter.scale").value.item() == 4)
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.adapted(by: ParallelAdapter()).adapter.parameterCount == 1_189_632)
    var learned = ParallelAdapter(width: 16)
    learned.learnsScale = true
    #expect(try backbone.adapted(by: learned).adapter.parameterCount == 304_320 + 12)
  }
}
