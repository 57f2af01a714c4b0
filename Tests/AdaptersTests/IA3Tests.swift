import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct IA3Tests {
  let backbone: TinyBackbone
  let input: Tensor

  init() throws {
    backbone = try TinyBackbone()
    input = try .normal([4, 5, 12], from: Generator(seed: 7))
  }

  func features(_ adapter: Adapter) throws -> Tensor {
    try backbone.features(input, adaptation: adapter, pass: ForwardPass())
  }

  /// The backbone with the adapter in its weights.
  func merged(_ adapter: Adapter) throws -> TinyBackbone {
    let tensors = try Merge(
      [Merge.Term(AdaptedModel(backbone: backbone, adapter: adapter))], into: backbone
    ).tensors
    return try TinyBackbone(replacing: backbone) { name, original in tensors[name] ?? original }
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.count(.ia3) == 55_296)
    // What PEFT makes of timm's fused projection.
    #expect(try backbone.adapted(by: .ia3, at: [.qkv, .fc2]).adapter.parameterCount == 12 * (2304 + 3072))
  }

  @Test func `keys, values and the input of the MLP's second map are scaled, in PEFT's names and shapes`() throws {
    let parameters = try backbone.adapted(by: .ia3, blocks: .only([1])).adapter.parameters
    #expect(
      parameters.map(\.name) == [
        "blocks.1.attn.qkv.key.ia3_l", "blocks.1.attn.qkv.value.ia3_l", "blocks.1.mlp.fc2.ia3_l",
      ])
    #expect(parameters.map(\.value.shape) == [[12, 1], [12, 1], [1, 24]])
    for parameter in parameters {
      #expect(try parameter.value.min().item() == 1 && parameter.value.max().item() == 1)
      #expect(!parameter.decays)
    }
  }

  @Test func `the fused map's keys and values are scaled, its queries are not`() throws {
    let adapter = try backbone.adapted(by: .ia3).adapter
    try adapter.perturb()
    let linear = try backbone.linear(at: backbone.sites[0])
    let plain = try linear(input)
    let found = try adapter.output(of: linear, input: input, pass: ForwardPass())
    func third(_ tensor: Tensor, _ index: Int) throws -> Tensor {
      try tensor.narrowed(-1, 12 * index..<12 * (index + 1))
    }
    #expect(try third(found, 0).isEqual(to: third(plain, 0)))
    for (index, part) in [(1, "key"), (2, "value")] {
      let scale = try adapter.parameter("blocks.0.attn.qkv.\(part).ia3_l").value.reshaped(-1)
      try expectClose(third(found, index), third(plain, index) * scale, tolerance: 1e-6)
    }
  }

  @Test func `merged into a fused map, the rows of the queries are the same bits`() throws {
    let adapter = try backbone.adapted(by: .ia3).adapter
    try adapter.perturb()
    let merged = try merged(adapter)
    for name in ["blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias"] {
      let (new, old) = (try merged.tensor(name), try backbone.tensor(name))
      #expect(try new.narrowed(0, 0..<12).isEqual(to: old.narrowed(0, 0..<12)))
      #expect(try new.narrowed(0, 12..<24).distance(to: old.narrowed(0, 12..<24)) > 0.01)
      #expect(try new.narrowed(0, 24..<36).distance(to: old.narrowed(0, 24..<36)) > 0.01)
    }
    #expect(try merged.tensor("blocks.0.mlp.fc2.bias").isEqual(to: backbone.tensor("blocks.0.mlp.fc2.bias")))
  }

  @Test func `each part has its own change, and together they are the map's`() throws {
    let adapter = try backbone.adapted(by: .ia3).adapter
    try adapter.perturb()
    let whole = try #require(try adapter.delta(of: backbone.linear(at: backbone.sites[0])))
    let parts = try backbone.sites[0].parts.dropFirst().map {
      try #require(try adapter.delta(of: backbone.linear(at: $0)))
    }
    let zeros = try Tensor.zeros([12, 12])
    try expectClose(
      #require(whole.weight).materialized(),
      .concatenated([zeros] + parts.map { try #require($0.weight).materialized() }), tolerance: 1e-6)
    try expectClose(
      #require(whole.bias), .concatenated([.zeros([12])] + parts.map { try #require($0.bias) }), tolerance: 1e-6)
  }

  @Test func `scaled in front of the activation, the MLP's middle is not what merges into the second map`() throws {
    let behind = try backbone.adapted(by: .ia3, at: .fc2).adapter
    let before = try backbone.adapted(by: .ia3, at: .fc1).adapter
    try behind.perturb()
    for block in 0..<2 {
      try before.parameter("blocks.\(block).mlp.fc1.ia3_l").load(
        behind.parameter("blocks.\(block).mlp.fc2.ia3_l").value.reshaped(24, 1))
    }
    let merged = try merged(behind).features(input)
    try expectClose(features(behind), merged, tolerance: 2e-5)
    #expect(try features(before).distance(to: merged) > 0.01)
  }

  @Test func `on outputs it is SSF without a shift`() throws {
    let ia3 = try backbone.adapted(by: IA3(feedforward: []), at: .allLinear).adapter
    try ia3.perturb()
    let ssf = try backbone.adapted(by: SSF(.identity)).adapter
    for site in backbone.sites {
      try ssf.parameter("\(site.name).ssf_scale").load(ia3.parameter("\(site.name).ia3_l").value.reshaped(-1))
    }
    #expect(try features(ia3).isEqual(to: features(ssf)))
    #expect(try features(ia3).distance(to: backbone.features(input)) > 0.05)
  }

  @Test func `merged equals unmerged to the last digits of float64`() throws {
    let generator = try Generator(seed: 1)
    let linear = Linear(site: .lone(6, 9), weight: try generator.normal(9, 6), bias: try generator.normal(9))
    let input = try generator.normal(2, 3, 6)
    let layers: [any SiteAdapter] = [
      OutputScale(scale: try Parameter("l", generator.normal(9, 1))),
      InputScale(scale: try Parameter("l", generator.normal(1, 6))),
      PartedOutputScale(
        [
          (rows: 5..<7, scale: try Parameter("v", generator.normal(2, 1))),
          (rows: 1..<4, scale: try Parameter("k", generator.normal(3, 1))),
        ], outFeatures: 9),
    ]
    for layer in layers {
      let delta = try #require(try layer.delta(of: linear))
      let bias = try delta.bias.map { try $0 + #require(linear.bias) } ?? linear.bias
      try expectClose(
        input.linear(#require(delta.weight).merged(into: linear.weight), bias),
        layer.output(of: linear, input: input, pass: ForwardPass()))
    }
  }
}
