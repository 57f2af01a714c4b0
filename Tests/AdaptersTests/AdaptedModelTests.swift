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
    let known = ["fc1", "fc2", "key", "proj", "qkv", "query", "value"]
    #expect(throws: PlacementError.role("fc3", known: known)) {
      try backbone.adapted(by: .lora(), at: [.qkv, Site.Role(rawValue: "fc3")])
    }
    #expect(throws: PlacementError.overlap("blocks.0.attn.qkv.query", whole: "blocks.0.attn.qkv")) {
      try backbone.adapted(by: .lora(), at: [.qkv, .query])
    }
    #expect(throws: PlacementError.block(7, count: 2)) {
      try backbone.adapted(by: .lora(), at: .qkv, blocks: .only([7]))
    }
  }

  @Test func `a method with places of its own takes no targets, and one of the whole backbone no blocks`() throws {
    let backbone = try TinyBackbone()
    #expect(throws: AdapterError.placement(method: "BIAS", takes: "targets")) {
      try backbone.adapted(by: .bias, at: .qkv)
    }
    #expect(throws: AdapterError.placement(method: "FULL", takes: "blocks")) {
      try backbone.adapted(by: .full, blocks: .last(1))
    }
    let error = AdapterError.placement(method: "BIAS", takes: "targets")
    #expect(
      error.description
        == "BIAS has its own places in the backbone and takes no targets. Leave 'targets' out.")
    let attention = try backbone.adapted(by: .attention, blocks: .last(1)).adapter
    #expect(attention.parameters.allSatisfy { $0.name.hasPrefix("blocks.1.attn.") } && attention.parameters.count == 4)
    #expect(try backbone.adapted(by: .mixture(of: .lora)).adapter.sites.map(\.name) == ["blocks.0.attn.qkv"])
  }

  @Test func `a site that stands twice is refused`() throws {
    let backbone = try TinyBackbone()
    let site = backbone.sites[0]
    for sites in [[site, site], [site, site.parts[1]]] {
      #expect(throws: AdapterError.twice(sites[1].name)) {
        try Adapter(LoRA(rank: 2), at: sites, of: backbone, generator: Generator(seed: 1))
      }
    }
  }

  @Test func `an adapter on queries and values leaves the keys as they are`() throws {
    let backbone = try TinyBackbone()
    let adapter = try backbone.adapted(by: .lora(rank: 2), at: .queryAndValue).adapter
    try adapter.perturb()
    #expect(
      adapter.parameters.prefix(2).map(\.name) == ["blocks.0.attn.qkv.query.lora_A", "blocks.0.attn.qkv.query.lora_B"])
    let linear = try backbone.linear(at: backbone.sites[0])
    let input = try Tensor.normal([4, 5, 12], from: Generator(seed: 3))
    let (adapted, plain) = (try adapter.output(of: linear, input: input, pass: ForwardPass()), try linear(input))
    #expect(try adapted.narrowed(-1, 12..<24).isClose(to: plain.narrowed(-1, 12..<24), tolerance: 1e-6))
    for (index, part) in [(0, 0..<12), (2, 24..<36)] {
      let lora = try #require(adapter.corrections[backbone.sites[0].parts[index].name] as? LoRALayer)
      let change = try input.linear(lora.down.value).linear(lora.up.value) * 2
      try expectClose(adapted.narrowed(-1, part), plain.narrowed(-1, part) + change, tolerance: 1e-5)
    }
    let delta = try #require(try adapter.delta(of: linear)?.weight)
    try expectClose(delta.apply(to: input), adapted - plain, tolerance: 1e-5)
    #expect(try delta.materialized().narrowed(0, 12..<24).abs().max().item() == 0)
  }
}
