import Formats
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct AdaptFormerTests {
  @Test func `beside the MLP runs the adapter on the stream, times a tenth`() throws {
    try smallTransformer().adapted(by: .adaptFormer(width: 3)).expectFormula(atLeast: 0.02) { model, branch, state in
      guard branch.kind == .mlp else { return state.output }
      return try state.output + #require(model.bottleneck(branch, state.stream) { try $0.relu() }) * 0.1
    }
  }

  @Test func `a fresh one is the frozen model to the last bit, and one step moves the up map alone`() throws {
    let backbone = try smallTransformer()
    let model = try backbone.adapted(by: .adaptFormer(width: 8))
    let images = try Tensor.normal([2, 3, 16, 16], from: Generator(seed: 5))
    #expect(try model.features(images).isEqual(to: backbone.features(images)))
    let found = try gradients(of: model.features(images).squared().sum(), model.adapter.parameters.map(\.value))
    for (parameter, gradient) in zip(model.adapter.parameters, found) {
      #expect(try (gradient.abs().max().item() > 0) == parameter.name.contains(".up."), "\(parameter.name)")
    }
  }

  @Test func `the published settings`() throws {
    let settings = try AdaptFormer().settings()
    #expect(settings["width"] == 64 && settings["scale"] == 0.1 && settings["dropout"] == 0.1)
    #expect(AdaptFormer().activation == .relu && AdaptFormer().initialization == .zeroUp)
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.adapted(by: .adaptFormer()).adapter.parameterCount == 1_189_632)
    #expect(try backbone.adapted(by: .adaptFormer(width: 16)).adapter.parameterCount == 304_320)
  }
}
