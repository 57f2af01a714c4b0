import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct MergeTests {
  let backbone: TinyBackbone
  let input: Tensor

  init() throws {
    backbone = try TinyBackbone()
    input = try .normal([4, 5, 12], from: Generator(seed: 7))
  }

  private func model(
    _ configuration: any AdapterConfiguration, at targets: Targets? = nil, seed: UInt64 = 9
  ) throws -> AdaptedModel {
    let model = try backbone.adapted(by: configuration, at: targets)
    try model.adapter.perturb(seed: seed)
    return model
  }

  private func merged(_ merge: Merge) throws -> TinyBackbone {
    try TinyBackbone(replacing: backbone) { name, original in merge.tensors[name] ?? original }
  }

  private func delta(_ model: AdaptedModel, _ site: String) throws -> Tensor {
    let place = try #require(backbone.sites.first { $0.name == site })
    let delta = try #require(try model.adapter.delta(of: backbone.linear(at: place))?.weight)
    return try delta.to(.float64).materialized().detached()
  }

  @Test func `adapters of different structures add up with their weights, and nothing else changes`() throws {
    let (one, other) = (
      try model(LoRA(rank: 2, alpha: 6), at: [.qkv]),
      try model(KroneckerAdapter(dimension: 3), at: [.qkv, .fc1], seed: 3)
    )
    let merge = try Merge([.init(one, weight: 0.5), .init(other, weight: -2)], into: backbone)
    #expect(
      Set(merge.tensors.keys)
        == Set(
          (0..<2).flatMap { block in
            ["attn.qkv", "mlp.fc1"].flatMap { ["blocks.\(block).\($0).weight", "blocks.\(block).\($0).bias"] }
          }))
    let name = "blocks.1.attn.qkv"
    let expected = try backbone.tensor("\(name).weight").to(.float64) + delta(one, name) * 0.5 - delta(other, name) * 2
    #expect(try #require(merge.tensors["\(name).weight"]).isEqual(to: expected.to(.float32)))
    let shift = try other.adapter.parameter("\(name).bias").value.detached().to(.float64)
    try expectClose(
      #require(merge.tensors["\(name).bias"]), backbone.tensor("\(name).bias").to(.float64) - shift * 2, tolerance: 1e-7
    )
  }

  @Test func `merged, several adapters compute what they do side by side`() throws {
    let models = [
      (try model(LoRA(rank: 2, alpha: 6), at: [.query, .value]), 0.7),
      (try model(KroneckerAdapter(dimension: 3), at: [.fc2], seed: 3), 1.5),
      (try model(BiasTuning(), seed: 5), -0.4),
    ]
    let merge = try Merge(models.map { .init($0, weight: $1) }, into: backbone)
    let beside = try backbone.features(
      input, adaptation: WeightedAdapters(models.map { ($0.adapter, $1) }), pass: ForwardPass())
    try expectClose(merged(merge).features(input), beside, tolerance: 2e-5)
    #expect(try beside.distance(to: backbone.features(input)) > 0.05)
  }

  @Test func `a tensor that trained itself is, with weight 1, what it became, bit for bit`() throws {
    let model = try model(FullFineTuning())
    let merge = try Merge([.init(model)], into: backbone)
    #expect(merge.tensors.count == backbone.tensors.count)
    for (name, tensor) in merge.tensors {
      #expect(try tensor.isEqual(to: model.adapter.parameter(name).value.detached()), "\(name)")
    }
  }

  @Test func `an adapter on queries and values leaves the rows of the keys as they were`() throws {
    let merge = try Merge([.init(model(LoRA(rank: 2), at: [.query, .value]))], into: backbone)
    let name = "blocks.0.attn.qkv.weight"
    let (new, old) = (try #require(merge.tensors[name]), try backbone.tensor(name))
    #expect(try new.narrowed(0, 12..<24).isEqual(to: old.narrowed(0, 12..<24)))
    for rows in [0..<12, 24..<36] { #expect(try new.narrowed(0, rows).distance(to: old.narrowed(0, rows)) > 0.01) }
  }

  // MARK: What does not merge

  private func refusal(_ terms: [Merge.Term]) throws -> MergeError {
    try thrown(MergeError.self) { _ = try Merge(terms, into: backbone) }
  }

  @Test func `a mixture is refused with the reason`() throws {
    var mixture = MixtureOfAdapters(of: .lora)
    mixture.router = .cosine(projection: 8)
    let error = try refusal([.init(model(mixture))])
    #expect(
      error.description == """
        A mixture-of-adapters adapter does not merge into the weights: the gates depend on the token, so no one weight \
        gives the same outputs; an export with mean gates is approximate.
        """)
  }

  @Test func `every method with an obstacle is refused, and no other`() throws {
    for method in AdapterContractTests.cases where !method.parts {
      let adapter = try Adapter(
        method.configuration, at: backbone.sites, of: backbone, generator: Generator(seed: 1))
      let terms = [Merge.Term(AdaptedModel(backbone: backbone, adapter: adapter))]
      guard let obstacle = method.configuration.obstacleToMerging else {
        _ = try Merge(terms, into: backbone)
        continue
      }
      #expect(
        try refusal(terms) == .obstacle(method: type(of: method.configuration).method, obstacle), "\(method.name)")
    }
  }

  @Test func `NaN in an adapter is refused by the parameter's name, overflow by the tensor's`() throws {
    let model = try model(LoRA(rank: 2), at: [.proj])
    #expect(try refusal([.init(model, weight: 1e60)]) == .notFinite("blocks.0.attn.proj.weight"))
    #expect(try refusal([.init(model, weight: .infinity)]) == .weight(method: "LORA", .infinity))
    try withoutGradients { try model.adapter.parameter("blocks.1.attn.proj.lora_B").value.fillInPlace(.nan) }
    let error = try refusal([.init(model)])
    #expect(error == .notFinite("blocks.1.attn.proj.lora_B"))
    #expect(error.description.hasPrefix("'blocks.1.attn.proj.lora_B' holds NaN or infinity, so nothing was merged."))
  }

  @Test func `a bias where the map has none, and an adapter of another network, are refused`() throws {
    let without = try VisionTransformer(from: VisionFixture.url("hf-vit-base"))
    var kronecker = KroneckerAdapter(dimension: 3)
    let biased = Merge.Term(try without.adapted(by: kronecker, at: .qkv))
    let error = try thrown(MergeError.self) { _ = try Merge([biased], into: without) }
    #expect(error == .noBias("blocks.0.attn.qkv"))
    #expect(error.description.hasPrefix("The map 'blocks.0.attn.qkv' has no bias, and the adapter adds one to it"))
    kronecker.bias = false
    let plain = Merge.Term(try without.adapted(by: kronecker, at: .qkv))
    #expect(try Merge([plain], into: without).tensors.count == 2)

    let other = try VisionTransformer(from: VisionFixture.url("hf-vit"))
    #expect(
      try thrown(MergeError.self) { _ = try Merge([plain], into: other) }
        == .otherBackbone(method: "KRONECKER", expected: without.fingerprint, found: other.fingerprint))
  }

  // MARK: Taking out

  @Test func `a change that does not depend on the weight is taken out again, up to rounding`() throws {
    let models = [try model(LoRA(rank: 2, alpha: 6), at: [.qkv]), try model(KroneckerAdapter(dimension: 3), seed: 2)]
    let terms = models.map { Merge.Term($0, weight: 0.75) }
    let restored = try Merge.removing(terms, from: merged(Merge(terms, into: backbone)))
    #expect(
      Set(restored.keys) == Set((0..<2).flatMap { ["blocks.\($0).attn.qkv.weight", "blocks.\($0).attn.qkv.bias"] }))
    for (name, tensor) in restored { try expectClose(tensor, backbone.tensor(name), tolerance: 1e-6) }
  }

  @Test func `what depends on the value that is gone cannot be taken out`() throws {
    func refusal(_ configuration: any AdapterConfiguration) throws -> MergeError {
      let terms = [Merge.Term(try model(configuration))]
      let merged = try merged(Merge(terms, into: backbone))
      return try thrown(MergeError.self) { _ = try Merge.removing(terms, from: merged) }
    }
    #expect(try refusal(DoRA(rank: 2)) == .notSubtractable("blocks.0.attn.qkv.weight"))
    #expect(try refusal(BiasTuning(.linear)) == .notSubtractable("blocks.0.attn.proj.bias"))
  }
}

/// The small vision transformers that other libraries wrote, which the tests of `NeuralNetworks` read.
enum VisionFixture {
  static func url(_ name: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "NeuralNetworksTests/Fixtures/\(name)")
  }
}
