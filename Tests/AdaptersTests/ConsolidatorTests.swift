import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct ConsolidatorTests {
  private let backbone: TinyBackbone
  private let input: Tensor

  init() throws {
    backbone = try TinyBackbone()
    input = try .normal([6, 5, 12], from: Generator(seed: 7))
  }

  private func model(
    _ groups: [Int], reorder: Bool = false, dropPath: Double = 0, _ change: (inout Consolidator) -> Void = { _ in }
  ) throws -> AdaptedModel {
    var configuration = Consolidator(groups: groups, reorder: reorder, dropPath: dropPath)
    change(&configuration)
    return try backbone.adapted(by: configuration, seed: 1)
  }

  /// One site's layer with random numbers, and its map.
  private func layer(_ groups: [Int], dropPath: Double) throws -> (layer: ConsolidatorLayer, linear: Linear) {
    let adapter = try model(groups, dropPath: dropPath).adapter
    try adapter.perturb()
    let linear = try backbone.linear(at: backbone.sites[0])
    return (try #require(adapter.corrections["blocks.0.attn.qkv"] as? ConsolidatorLayer), linear)
  }

  // MARK: Counts

  /// Groups, connections and, with one bias for each output, what is kept.
  @Test(arguments: [
    (768, 110_592, 193_536), (384, 221_184, 304_128), (256, 331_776, 414_720), (192, 442_368, 525_312),
    (128, 663_552, 746_496), (96, 884_736, 967_680), (64, 1_327_104, 1_410_048),
  ])
  func `counts on ViT-B`(_ groups: Int, _ connections: Int, _ kept: Int) throws {
    var configuration = Consolidator(groups: [groups])
    (configuration.trainBaseBias, configuration.trainLayerNorm) = (false, false)
    let backbone = try ShapesOfViTB()
    let adapter = try backbone.adapted(by: configuration).adapter
    #expect(adapter.parameterCount == kept)
    let values = adapter.parameters.filter { $0.name.hasSuffix(".values") }.map(\.count).reduce(0, +)
    #expect(values == connections)
  }

  @Test func `what trains on ViT-B, and what is kept of it`() throws {
    let model = try ShapesOfViTB().adapted(by: .consolidator())
    #expect(model.adapter.parameterCount == 221_184 + 2 * 82_944 + 38_400)
    let vectors = model.adapter.parameters.filter { !$0.decays }.map(\.count).reduce(0, +)
    #expect(vectors == 204_288)
    let kept = try model.consolidated().adapter
    #expect(kept.parameterCount == 304_128 + 38_400)
    let shapes = Dictionary(uniqueKeysWithValues: kept.parameters.map { ($0.name, $0.value.shape) })
    #expect(shapes["blocks.3.attn.qkv.values"] == [384, 6, 2])
    #expect(shapes["blocks.3.attn.proj.values"] == [384, 2, 2])
    #expect(shapes["blocks.3.mlp.fc1.values"] == [384, 8, 2])
    #expect(shapes["blocks.3.mlp.fc2.values"] == [384, 2, 8])
    #expect(shapes["blocks.3.mlp.fc2.bias"] == [768])
    var byWidth = Consolidator()
    byWidth.blockWidth = 2
    #expect(try model.backbone.adapted(by: byWidth).adapter.parameterCount == model.adapter.parameterCount)
  }

  @Test func `the compact file of ViT-B has 1,22 megabytes`() throws {
    let model = try ShapesOfViTB().adapted(by: Consolidator(groups: [384], dropPath: 0.5)).consolidated()
    let norms = model.adapter.parameters.filter { $0.name.contains("norm") }.map(\.count).reduce(0, +)
    #expect(norms == 38_400)
    let folder = FileManager.default.temporaryDirectory.appending(path: "consolidator-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try model.save(to: folder)
    let file = folder.appending(path: "adapter_model.safetensors")
    let size = try #require(try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int)
    // Names, shapes and offsets take less than 20 kB.
    #expect((0..<20_000).contains(size - 4 * (304_128 + norms)))
    #expect(4 * 304_128 == 1_216_512)
  }

  // MARK: Training

  @Test func `a fresh branch is uniform on 0,001`() throws {
    let values = try model([6]).adapter.parameter("blocks.0.attn.qkv.values").value.doubles()
    #expect(values.allSatisfy { abs($0) <= 1e-3 } && values.contains { abs($0) > 9e-4 })
    #expect(Set(values).count > 60)
  }

  @Test(arguments: [0.0, 0.5, 0.8])
  func `from zeros nothing changes, whichever branch is dropped`(_ dropPath: Double) throws {
    let model = try model([6, 4], reorder: true, dropPath: dropPath) { $0.initialization = .zeros }
    let base = try backbone.features(input)
    #expect(try model.features(input).isEqual(to: base))
    #expect(try model.features(input, pass: ForwardPass(.training(Generator(seed: 1)))).isEqual(to: base))
  }

  @Test func `without DropPath training computes what evaluation does`() throws {
    let model = try model([6, 4])
    try model.adapter.perturb()
    let trained = try model.features(input, pass: ForwardPass(.training(Generator(seed: 1))))
    #expect(try trained.isEqual(to: model.features(input)))
  }

  @Test func `a sample goes without its branch or with it scaled, all tokens and the bias at once`() throws {
    let (layer, linear) = try layer([6], dropPath: 0.75)
    let base = try input.linear(linear.weight, #require(layer.baseBias).value)
    let branch = try layer.output(of: linear, input: input, pass: ForwardPass()) - base
    let generator = try Generator(seed: 3)
    var kept = 0
    var mean = try branch.zerosLike()
    for _ in 0..<400 {
      let output = try layer.output(of: linear, input: input, pass: ForwardPass(.training(generator)))
      let change = try output - base
      mean = try mean + change * (1.0 / 400)
      for sample in 0..<6 {
        let one = try change.narrowed(0, sample..<sample + 1)
        if try one.abs().max().item() == 0 { continue }
        kept += 1
        try expectClose(one, branch.narrowed(0, sample..<sample + 1) * 4, tolerance: 1e-5)
      }
    }
    // 600 ± 5 standard deviations.
    #expect((490...710).contains(kept))
    let error = try (mean - branch).norm().item() / branch.norm().item()
    #expect(error < 0.25)
  }

  @Test func `each branch draws its own mask`() throws {
    let (layer, linear) = try layer([6, 4], dropPath: 0.5)
    let base = try input.linear(linear.weight, #require(layer.baseBias).value)
    let parts = try layer.branches.map { branch in
      try branch.delta.apply(to: input) + #require(branch.bias).value
    }
    let output = try layer.output(of: linear, input: input, pass: ForwardPass(.training(Generator(seed: 2))))
    var seen: Set<[Double]> = []
    for sample in 0..<6 {
      func of(_ tensor: Tensor) throws -> Tensor { try tensor.narrowed(0, sample..<sample + 1) }
      for masks in [[0.0, 0.0], [0, 2], [2, 0], [2, 2]] {
        let expected = try of(base) + of(parts[0]) * masks[0] + of(parts[1]) * masks[1]
        if try of(output).distance(to: expected) < 1e-4 { seen.insert(masks) }
      }
    }
    #expect(seen.contains { $0[0] != $0[1] })
  }

  @Test func `the original bias is never dropped, the branch's is`() throws {
    let (layer, linear) = try layer([6], dropPath: 0.75)
    let output = try layer.output(of: linear, input: input, pass: ForwardPass(.training(Generator(seed: 3))))
    let (base, branch) = (try #require(layer.baseBias).value, try #require(layer.branches[0].bias).value)
    let found = try gradients(of: output.sum(), [base, branch])
    #expect(try found[0].doubles().allSatisfy { $0 == 30 })
    let kept = try found[1].doubles()[0]
    #expect(kept != 30 && kept.truncatingRemainder(dividingBy: 20) == 0)
  }

  // MARK: Consolidation

  @Test(arguments: [(768, 768), (768, 2_304), (768, 3_072), (3_072, 768)])
  func `the branch form and the merged map agree`(_ inFeatures: Int, _ outFeatures: Int) throws {
    let generator = try Generator(seed: 5)
    let fan = Double(inFeatures / 384)
    let values = try generator.normal(384, outFeatures / 384, inFeatures / 384, deviation: 1.5 / fan.squareRoot())
    let weight = try generator.normal(outFeatures, inFeatures, deviation: 1 / Double(inFeatures).squareRoot())
    let x = try generator.normal(3, 20, inFeatures)
    for (dtype, tolerance) in [(DType.float32, 2e-5), (.float64, 1e-12)] {
      let delta = GroupedDelta(values: try values.to(dtype), reorder: true)
      let (weight, x) = (try weight.to(dtype), try x.to(dtype))
      let branch = try GroupedBranch.output(
        weight: weight, bias: nil, input: x, branches: [GroupedBranch(delta: delta)])
      let merged = try x.linear(delta.merged(into: weight))
      #expect(try (branch - merged).abs().max().item() <= tolerance)
      #expect(try branch.squared().mean().item() > 1)
    }
  }

  struct Form: Sendable, CustomTestStringConvertible {
    let groups: [Int]
    var reorder = false
    var change: @Sendable (inout Consolidator) -> Void = { _ in }
    /// Numbers at the first site after consolidation, the bias not among them.
    let kept: Int
    var testDescription: String { "\(groups), \(reorder ? "reordered" : "plain")" }
  }

  @Test(arguments: [
    Form(groups: [6], kept: 72), Form(groups: [3], reorder: true, kept: 144), Form(groups: [12, 6], kept: 72),
    Form(groups: [6, 4], kept: 120), Form(groups: [6, 4], reorder: true, kept: 156),
    Form(groups: [6, 6], reorder: true, kept: 72), Form(groups: [2, 1], reorder: true, kept: 432),
    Form(groups: [6], change: { $0.branchBias = false }, kept: 72),
    Form(groups: [6], change: { $0.trainBaseBias = false }, kept: 72),
    Form(groups: [6], change: { ($0.branchBias, $0.trainBaseBias) = (false, false) }, kept: 72),
    Form(groups: [6], change: { $0.blockWidth = 3 }, kept: 108),
  ])
  func `consolidated, a trained model computes the same, and its file gives the same bits`(_ form: Form) throws {
    var model = try model(form.groups, reorder: form.reorder, dropPath: 0.5, form.change)
    model = AdaptedModel(
      backbone: backbone, adapter: model.adapter,
      head: try Head(classes: ["cat", "dog"], features: 12, generator: Generator(seed: 5)))
    try model.adapter.perturb()
    let compact = try model.consolidated()
    try expectClose(compact.logits(input), model.logits(input), tolerance: 1e-5)
    #expect(try compact.features(input).distance(to: backbone.features(input)) > 0.05)
    let names = compact.adapter.parameters.map(\.name)
    #expect(!names.contains { $0.contains("branches") || $0.contains("base_bias") })
    let qkv = try compact.adapter.parameter("blocks.0.attn.qkv.values")
    #expect(qkv.count == form.kept && qkv.decays)
    let settings = try #require(compact.adapter.configuration as? Consolidator)
    #expect(settings.dropPath == 0 && !settings.trainBaseBias && settings.reorder == form.reorder)

    let folder = FileManager.default.temporaryDirectory.appending(path: "consolidator-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try compact.save(to: folder)
    let loaded = try backbone.adapted(from: folder)
    #expect(try loaded.logits(input).isEqual(to: compact.logits(input)))
    #expect(loaded.adapter.parameters.map(\.name) == names)
    let again = try loaded.consolidated()
    #expect(try again.logits(input).isEqual(to: compact.logits(input)))

    let merged = try Merge([Merge.Term(loaded)], into: backbone)
    let other = try TinyBackbone(replacing: backbone) { name, original in merged.tensors[name] ?? original }
    try expectClose(other.features(input), model.features(input), tolerance: 2e-5)
  }

  @Test func `the stored bias is the branches' sum and how far the original moved`() throws {
    let model = try model([6, 4])
    try model.adapter.perturb()
    func value(_ name: String) throws -> Tensor {
      try model.adapter.parameter("blocks.0.attn.qkv.\(name)").value.to(.float64)
    }
    let original = try backbone.tensor("blocks.0.attn.qkv.bias").to(.float64)
    let expected = try value("branches.0.bias") + value("branches.1.bias") + value("base_bias") - original
    let stored = try model.consolidated().adapter.parameter("blocks.0.attn.qkv.bias").value
    #expect(try stored.isEqual(to: expected.to(.float32)))
    let delta = try #require(try model.adapter.delta(of: backbone.linear(at: backbone.sites[0])))
    #expect(try #require(delta.bias).isEqual(to: stored))
    let dense = try value("branches.0.values").reshaped(6, 6, 2)
    let blocks = GroupedDelta(values: dense)
    let other = GroupedDelta(values: try value("branches.1.values"))
    try expectClose(
      #require(delta.weight).materialized(), blocks.materialized() + other.materialized(), tolerance: 1e-6)
  }

  @Test func `consolidation leaves the trained model alone, and is the Consolidator's only`() throws {
    let model = try model([12, 6], dropPath: 0.5)
    try model.adapter.perturb()
    let before = try model.features(input)
    let compact = try model.consolidated()
    try compact.adapter.perturb(seed: 4)
    #expect(try model.features(input).isEqual(to: before))
    let error = try thrown(ConsolidationError.self) { _ = try backbone.adapted(by: .lora(rank: 2)).consolidated() }
    #expect(
      error.description == """
        An adapter of the method LORA has no branches to consolidate. Save or merge it as it is.
        """)
  }

  // MARK: Refusals

  @Test func `groups that do not divide a map are refused`() throws {
    let error = try thrown { _ = try model([8]) }
    #expect(
      error.description == "8 groups do not divide the inputs of 'blocks.0.attn.qkv', 12. Choose a divisor of 12.")
    #expect(try thrown { _ = try model([6, 24]) } == .groups(24, of: 12, "the inputs of 'blocks.0.attn.qkv'"))
    #expect(try thrown { _ = try model([36]) } == .groups(36, of: 12, "the inputs of 'blocks.0.attn.qkv'"))
    #expect(try thrown { _ = try model([]) } == .outOfRange("groups", 0, "a list of 1 to 64 numbers"))
    #expect(try thrown { _ = try model([0]) } == .outOfRange("groups", 0, "at least 1"))
    #expect(try thrown { _ = try model([6], dropPath: 1) } == .outOfRange("dropPath", 1, "0 ..< 1"))
    #expect(
      try thrown { _ = try model([6]) { $0.blockWidth = 5 } }.description
        == "blockWidth is 5.0; it must be a divisor of 12, the shorter side of 'blocks.0.attn.qkv'.")
    #expect(throws: AdapterError.self) { try model([6]) { $0.blockWidth = 0 } }
  }
}
