import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct AdaptedModelTests {
  func model() throws -> AdaptedModel {
    var model = try TinyBackbone().adapted(by: .lora(rank: 2), at: .qkv, seed: 4)
    try model.adapter.perturb()
    model.head = try Head(classes: ["cat", "dog", "emu"], features: 12, generator: Generator(seed: 2))
    return model
  }

  @Test func `logits are the head of the adapted features`() throws {
    let model = try model()
    let input = try Tensor.normal([4, 5, 12], from: Generator(seed: 3))
    let features = try model.backbone.features(input, adaptation: model.adapter, pass: ForwardPass())
    #expect(try model.features(input).isEqual(to: features))
    let head = try #require(model.head)
    #expect(try model.logits(input).isEqual(to: head(features)))
    #expect(try features.distance(to: model.backbone.features(input)) > 0.01)
  }

  @Test func `predictions name the most probable class and its probability`() throws {
    let model = try model()
    let input = try Tensor.normal([16, 5, 12], from: Generator(seed: 3))
    let predictions = try model.predict(input)
    let probabilities = try model.logits(input).softmax().floats()
    #expect(predictions.count == 16)
    #expect(Set(predictions.map(\.index)).count > 1)
    for (row, prediction) in predictions.enumerated() {
      let of = Array(probabilities[row * 3..<row * 3 + 3])
      #expect(prediction.probability == of.max())
      #expect(prediction.index == of.firstIndex(of: prediction.probability))
      #expect(prediction.label == ["cat", "dog", "emu"][prediction.index])
    }
  }

  @Test func `without a head there are features, and neither logits nor predictions`() throws {
    var model = try model()
    model.head = nil
    let input = try Tensor.normal([2, 5, 12], from: Generator(seed: 3))
    #expect(try model.features(input).shape == [2, 12])
    let error = try thrown(ModelError.self) { _ = try model.logits(input) }
    #expect(error == .noHead)
    #expect(error.description == "The model has no classifier yet. Train one, or load one saved with the adapter.")
    #expect(throws: ModelError.noHead) { try model.predict(input) }
  }

  @Test func `the adapter's parameters come before the head's`() throws {
    let model = try model()
    #expect(model.parameters.map(\.name) == model.adapter.parameters.map(\.name) + ["head.weight", "head.bias"])
    #expect(model.adapter.parameterCount == 2 * 2 * (12 + 36))
  }

  @Test func `one backbone serves several adapters`() throws {
    let backbone = try TinyBackbone()
    let input = try Tensor.normal([2, 5, 12], from: Generator(seed: 3))
    let plain = try backbone.features(input)
    let first = try backbone.adapted(by: .lora(rank: 2), at: .qkv)
    let second = try backbone.adapted(by: .lora(rank: 2), at: .qkv)
    try first.adapter.perturb()
    let adapted = try first.features(input)
    #expect(try second.features(input).isEqual(to: plain))
    try second.adapter.perturb(seed: 10)
    #expect(try first.features(input).isEqual(to: adapted))
    #expect(try backbone.features(input).isEqual(to: plain))
  }

  @Test func `a placement that the backbone does not have is refused`() throws {
    let backbone = try TinyBackbone()
    #expect(throws: PlacementError.role("fc1", known: ["proj", "qkv"])) { try backbone.adapted(by: .lora(), at: .mlp) }
    #expect(throws: PlacementError.block(7, count: 2)) {
      try backbone.adapted(by: .lora(), at: .qkv, blocks: .only([7]))
    }
  }
}
