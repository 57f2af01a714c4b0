import NeuralNetworks
import Tensors
import Testing

@Suite struct VisionTransformerTests {
  // MARK: Sites

  @Test func `sites are the four maps of each block, in the order in which they run`() throws {
    let model = try Fixture.model("timm-vit")
    #expect(
      model.sites.map(\.name) == [
        "blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.0.mlp.fc1", "blocks.0.mlp.fc2", "blocks.1.attn.qkv",
        "blocks.1.attn.proj", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2",
      ])
    #expect(model.sites.map(\.block) == [0, 0, 0, 0, 1, 1, 1, 1])
    #expect(model.sites.prefix(4).map(\.role) == [.qkv, .proj, .fc1, .fc2])
    #expect(model.sites.prefix(4).map(\.inFeatures) == [24, 24, 24, 36])
    #expect(model.sites.prefix(4).map(\.outFeatures) == [72, 24, 36, 24])
  }

  @Test func `the sites of a backbone are those that its forward pass asks for, in their order`() throws {
    final class Order: @unchecked Sendable { var sites: [Site] = [] }
    struct Recording: Adaptation {
      let order = Order()
      func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
        order.sites.append(linear.site)
        return try linear(input)
      }
      func value(of name: String, original: Tensor) -> Tensor { original }
    }
    let model = try Fixture.model("hf-dinov2")
    let recording = Recording()
    _ = try model.features(try Fixture.input("hf-dinov2"), adaptation: recording, pass: ForwardPass())
    #expect(recording.order.sites == model.sites)
  }

  @Test func `at every branch the hook sees what the branch read and made, and decides what is added`() throws {
    final class Seen: @unchecked Sendable { var branches: [(branch: Branch, state: BranchState)] = [] }
    struct Doubling: Adaptation {
      let seen = Seen()
      func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor {
        seen.branches.append((branch, state))
        return branch.name == "blocks.1.mlp" ? try state.output * 2 : state.output
      }
    }
    let model = try Fixture.model("hf-dinov2")
    let doubling = Doubling()
    let input = try Fixture.input("hf-dinov2")
    _ = try model.tokens(input, adaptation: doubling)
    let seen = doubling.seen.branches
    #expect(seen.map(\.branch) == model.branches)
    #expect(model.branches.map(\.name) == ["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.1.mlp"])
    #expect(model.branches.map(\.kind) == [.attention, .mlp, .attention, .mlp])
    #expect(model.branches.allSatisfy { $0.width == 24 })
    for (one, next) in zip(seen, seen.dropFirst()) {
      #expect(try (one.state.stream + one.state.output).isEqual(to: next.state.stream), "\(next.branch.name)")
    }
    let last = try #require(seen.last).state
    let tensors = Dictionary(uniqueKeysWithValues: model.tensors.map { ($0.name, $0.tensor) })
    func norm(_ name: String, _ x: Tensor) throws -> Tensor {
      let (weight, bias) = (tensors["\(name).weight"], tensors["\(name).bias"])
      return try x.layerNorm(width: 24, weight: weight, bias: bias, epsilon: 1e-6)
    }
    #expect(try norm("blocks.1.norm2", last.stream).isClose(to: last.input, tolerance: 1e-5))
    let doubled = try norm("norm", last.stream + last.output * 2)
    #expect(try model.tokens(input, adaptation: doubling).isClose(to: doubled, tolerance: 1e-5))
  }

  @Test func `tokens put in before a block and taken out after the last change what lies between, and no position`()
    throws
  {
    struct Prompt: Adaptation {
      let tokens: Tensor
      let first: Int
      func sequence(_ x: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor {
        let count = tokens.shape[1]
        let (batch, length) = (x.shape[0], x.shape[1])
        func joined(_ middle: [Tensor], from: Int) throws -> Tensor {
          try .concatenated([x.narrowed(1, 0..<prefix)] + middle + [x.narrowed(1, from..<length)], dimension: 1)
        }
        if block == first { return try joined([tokens.expanded(batch, -1, -1)], from: prefix) }
        return block == nil ? try joined([], from: prefix + count) : x
      }
    }
    let model = try Fixture.model("hf-dinov2")
    let input = try Fixture.input("hf-dinov2")
    let plain = try model.tokens(input)
    let tokens = try Tensor.normal([1, 3, 24], from: Generator(seed: 1))
    for first in [0, 1] {
      let prompted = try model.tokens(input, adaptation: Prompt(tokens: tokens, first: first))
      #expect(prompted.shape == plain.shape)
      #expect(try prompted.distance(to: plain) > 0.1)
    }
    #expect(try model.tokens(input, adaptation: Prompt(tokens: .zeros([1, 0, 24]), first: 0)).isEqual(to: plain))
  }

  @Test func `LayerNorms and the stem are named as their tensors are`() throws {
    #expect(
      try Fixture.model("hf-dinov2").layerNorms
        == ["blocks.0.norm1", "blocks.0.norm2", "blocks.1.norm1", "blocks.1.norm2", "norm"])
    for fixture in Fixture.all {
      let model = try fixture.model()
      let names = Set(model.tensors.map(\.name))
      let stem = try #require(model.stem)
      #expect(names.contains("\(stem).weight"), "\(fixture.name)")
      let norms = names.filter { $0.contains("norm") && $0.hasSuffix(".weight") }
      #expect(Set(model.layerNorms.map { "\($0).weight" }) == norms, "\(fixture.name)")
    }
  }

  @Test func `queries, keys and values are parts of their map`() throws {
    let model = try Fixture.model("hf-vit")
    let whole = try #require(model.sites.first)
    #expect(whole.parts.map(\.name) == ["query", "key", "value"].map { "blocks.0.attn.qkv.\($0)" })
    let linear = try model.linear(at: whole)
    for (index, part) in whole.parts.enumerated() {
      let rows = index * 24..<(index + 1) * 24
      #expect(part.whole == Site.Whole(name: whole.name, rows: rows))
      #expect(try model.linear(at: part).weight.isEqual(to: linear.weight.narrowed(0, rows)))
      #expect(model.modules(at: part) == ["vit.encoder.layer.0.attention.attention.\(part.role)"])
    }
    let fused = try Fixture.model("timm-vit")
    #expect(fused.modules(at: try #require(fused.sites.first?.parts.first)) == [])
  }

  @Test func `the linear map at a site has the file's values`() throws {
    let checkpoint = try Checkpoint("timm-vit")
    let model = try Fixture.model("timm-vit")
    let site = try #require(try model.sites.selected(.fc1, .only([1])).first)
    let linear = try model.linear(at: site)
    #expect(linear.site == site)
    #expect(try linear.weight.isEqual(to: #require(checkpoint.tensors["blocks.1.mlp.fc1.weight"])))
    #expect(try #require(linear.bias).isEqual(to: #require(checkpoint.tensors["blocks.1.mlp.fc1.bias"])))
  }

  @Test func `separate queries, keys and values become one map, in this order`() throws {
    let checkpoint = try Checkpoint("hf-vit")
    let model = try Fixture.model("hf-vit")
    let linear = try model.linear(at: try #require(model.sites.first))
    for (part, name) in ["query", "key", "value"].enumerated() {
      let module = "vit.encoder.layer.0.attention.attention.\(name)"
      let rows = part * 24..<(part + 1) * 24
      #expect(try linear.weight.narrowed(0, rows).isEqual(to: #require(checkpoint.tensors["\(module).weight"])))
      #expect(try #require(linear.bias).narrowed(0, rows).isEqual(to: #require(checkpoint.tensors["\(module).bias"])))
    }
  }

  @Test func `a map without bias has none`() throws {
    let model = try Fixture.model("hf-vit-base")
    #expect(try model.linear(at: model.sites[0]).bias == nil)
    #expect(try model.linear(at: model.sites[1]).bias != nil)
  }

  @Test func `a site of another backbone is refused`() throws {
    let model = try Fixture.model("timm-vit")
    let strangers = [
      Site(name: "blocks.7.attn.qkv", block: 7, role: .qkv, inFeatures: 24, outFeatures: 72),
      Site(name: "blocks.-1.attn.qkv", block: -1, role: .qkv, inFeatures: 24, outFeatures: 72),
      Site(name: "blocks.0.attn.qkv", block: 0, role: .qkv, inFeatures: 384, outFeatures: 1152),
      Site(name: "pooler", block: nil, role: .proj, inFeatures: 24, outFeatures: 24),
    ]
    for site in strangers {
      let error = try thrown(BackboneError.self) { _ = try model.linear(at: site) }
      #expect(error == .site(site.name))
      #expect(error.description == "'\(site.name)' is no site of this backbone. Use one of its `sites`.")
      #expect(model.modules(at: site) == [] || site.name == "blocks.0.attn.qkv")
    }
  }

  @Test(arguments: [
    ("timm-vit", ["blocks.1.attn.qkv"], "blocks.1.attn.proj", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2"),
    (
      "hf-vit",
      ["query", "key", "value"].map { "vit.encoder.layer.1.attention.attention.\($0)" },
      "vit.encoder.layer.1.attention.output.dense", "vit.encoder.layer.1.intermediate.dense",
      "vit.encoder.layer.1.output.dense"
    ),
    (
      "hf-vit-names5", ["q", "k", "v"].map { "vit.layers.1.attention.\($0)_proj" }, "vit.layers.1.attention.o_proj",
      "vit.layers.1.mlp.fc1", "vit.layers.1.mlp.fc2"
    ),
    (
      "hf-clip", ["q", "k", "v"].map { "vision_model.encoder.layers.1.self_attn.\($0)_proj" },
      "vision_model.encoder.layers.1.self_attn.out_proj", "vision_model.encoder.layers.1.mlp.fc1",
      "vision_model.encoder.layers.1.mlp.fc2"
    ),
    (
      "open-clip", ["visual.transformer.resblocks.1.attn"], "visual.transformer.resblocks.1.attn.out_proj",
      "visual.transformer.resblocks.1.mlp.c_fc", "visual.transformer.resblocks.1.mlp.c_proj"
    ),
  ])
  func `the modules at a site are named as the library that wrote the file names them`(
    _ fixture: String, qkv: [String], proj: String, fc1: String, fc2: String
  ) throws {
    let model = try Fixture.model(fixture)
    let sites = try model.sites.selected(.allLinear, .last(1))
    #expect(sites.map(model.modules) == [qkv, [proj], [fc1], [fc2]])
  }

  // MARK: What is frozen

  @Test(arguments: Fixture.all)
  func `nothing of a backbone requires a gradient, and none gets one`(_ fixture: Fixture) throws {
    let model = try fixture.model()
    #expect(model.tensors.allSatisfy { !$0.tensor.requiresGradient })
    let features = try model.features(try fixture.reference().tensor("input"))
    #expect(!features.requiresGradient)
    let input = try fixture.reference().tensor("input").clone().requiringGradient()
    try model.features(input).sum().backward()
    #expect(try input.gradient() != nil)
    #expect(try model.tensors.allSatisfy { try $0.tensor.gradient() == nil })
  }

  @Test func `the tensors are counted and named once`() throws {
    let model = try Fixture.model("timm-vit")
    #expect(Set(model.tensors.map(\.name)).count == model.tensors.count)
    // Patches 24·48 + 24, class token 24, positions 17·24, final norm 48, and two blocks of 2·48 + 72·25 + 24·25 +
    // 36·25 + 24·37.
    #expect(model.parameterCount == 1176 + 24 + 408 + 48 + 2 * (96 + 1800 + 600 + 900 + 888))
    #expect(model.fingerprint.count == 64)
    #expect(try model.fingerprint == Fixture.model("timm-vit").fingerprint)
    #expect(try model.fingerprint != Fixture.model("timm-deit3").fingerprint)
  }

  // MARK: Tuned tensors

  @Test(arguments: ["timm-dinov2-registers", "timm-deit-distilled", "timm-vit-clip", "hf-dinov2"])
  func `every tensor can be tuned, and its gradient arrives`(_ fixture: String) throws {
    let model = try Fixture.model(fixture)
    // Of the linear maps, weights and biases are the adaptation's own business.
    let linear = Set(model.sites.flatMap { ["\($0.name).weight", "\($0.name).bias"] })
    let tuned = try Dictionary(
      uniqueKeysWithValues: model.tensors.filter { !linear.contains($0.name) }
        .map { ($0.name, try $0.tensor.clone().requiringGradient()) })
    let input = try Fixture.input(fixture)
    let tokens = try model.tokens(input, adaptation: Replacing(values: tuned))
    try expectClose(tokens, try model.tokens(input), tolerance: 1e-6)
    try tokens.squared().sum().backward()
    for (name, tensor) in tuned {
      let gradient = try #require(try tensor.gradient(), "no gradient for \(name)")
      #expect(gradient.shape == tensor.shape)
      #expect(try gradient.abs().max().item() > 0, "the gradient of \(name) is zero")
    }
  }

  @Test(arguments: ["timm-vit", "hf-vit", "timm-deit3"])
  func `tuned positions get the gradient of their interpolation`(_ fixture: String) throws {
    let model = try Fixture.model(fixture)
    let input = try Fixture(name: fixture).reference().tensor("other_size.input")
    let table = try #require(model.tensors.first { $0.name == "pos_embed" }).tensor
    let tuned = try table.clone().requiringGradient()
    let weighted = try model.tokens(input, adaptation: Replacing(values: ["pos_embed": tuned])).squared().sum()
    let gradient = try #require(try weighted.gradients([tuned]).first ?? nil)
    // Along one direction, the gradient is the slope.
    let generator = try Generator(seed: 11)
    let direction = try Tensor.normal(table.shape, from: generator)
    func value(_ step: Double) throws -> Double {
      let moved = try table + direction * step
      return try model.tokens(input, adaptation: Replacing(values: ["pos_embed": moved])).to(.float64).squared().sum()
        .item()
    }
    let slope = try (value(1e-2) - value(-1e-2)) / 2e-2
    let found = try (gradient * direction).sum().item()
    #expect(abs(found - slope) < 1e-2 * max(1, abs(slope)))
    #expect(abs(slope) > 0.1)
  }

  @Test(arguments: ["cls_token", "reg_token", "pos_embed", "patch_embed.weight", "patch_embed.bias", "norm.weight"])
  func `a tuned tensor counts without a graph as well`(_ name: String) throws {
    let model = try Fixture.model("timm-dinov2-registers")
    let input = try Fixture(name: "timm-dinov2-registers").reference().tensor("other_size.input")
    let frozen = try model.features(input)
    let original = try #require(model.tensors.first { $0.name == name }).tensor
    let changed = try Replacing(values: [name: original * 1.5])
    let tuned = try model.features(input, adaptation: changed, pass: ForwardPass())
    #expect(try tuned.distance(to: frozen) > 1e-3)
    // What was computed for the tuned value is not kept for the frozen one.
    #expect(try model.features(input).isEqual(to: frozen))
  }

  // MARK: Pooling

  @Test func `features are the class token, the mean of the patches, or both side by side`() throws {
    let fixture = Fixture(name: "timm-dinov2-registers")
    let input = try fixture.reference().tensor("input")
    let tokens = try fixture.model().tokens(input)
    let mean = try tokens.narrowed(1, 5..<21).mean(1)
    let byMean = try fixture.model(pooling: .meanPatch)
    try expectClose(try byMean.features(input), mean, tolerance: 1e-6)
    let byBoth = try fixture.model(pooling: .classAndMeanPatch)
    #expect(byBoth.featureWidth == 48)
    try expectClose(
      try byBoth.features(input), try .concatenated([tokens.select(1, 0), mean], dimension: 1), tolerance: 1e-6)
  }

  @Test func `a LayerNorm after pooling comes after pooling`() throws {
    var checkpoint = try Checkpoint("timm-vit")
    try checkpoint.rename("norm.weight", to: "fc_norm.weight")
    try checkpoint.rename("norm.bias", to: "fc_norm.bias")
    let input = try Fixture.input("timm-vit")
    let model = try checkpoint.load()
    #expect(model.configuration.pooling == .meanPatch)
    let weight = try #require(checkpoint.tensors["fc_norm.weight"])
    let bias = try #require(checkpoint.tensors["fc_norm.bias"])
    func normalized(_ x: Tensor) throws -> Tensor {
      try x.layerNorm(width: 24, weight: weight, bias: bias, epsilon: 1e-6)
    }
    let tokens = try model.tokens(input)
    let mean = try normalized(tokens.narrowed(1, 1..<17).mean(1))
    try expectClose(try model.features(input), mean, tolerance: 1e-6)
    let both = try checkpoint.load(pooling: .classAndMeanPatch).features(input)
    try expectClose(
      both, try .concatenated([normalized(tokens.select(1, 0)), mean], dimension: 1), tolerance: 1e-6)
  }

  @Test func `many tasks may ask one model at once`() async throws {
    let model = try Fixture.model("hf-vit")
    let generator = try Generator(seed: 3)
    // Sizes that were not seen before, so that the tasks meet where interpolated positions are kept.
    let inputs = try [8, 12, 20].flatMap { side in
      try (0..<4).map { _ in try Tensor.normal([1, 3, side, 24], from: generator) }
    }
    let found = try await withThrowingTaskGroup(of: (Int, Tensor).self) { group in
      for (index, input) in inputs.enumerated() { group.addTask { (index, try model.features(input)) } }
      return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
    let alone = try Fixture.model("hf-vit")
    for (index, input) in inputs.enumerated() {
      try expectClose(try #require(found[index]), try alone.features(input), tolerance: 1e-6)
    }
  }

  // MARK: Bad input

  @Test(arguments: [[2, 3, 16], [2, 1, 16, 16], [2, 3, 16, 18], [2, 3, 15, 16], [2, 3, 0, 16], [3, 16, 16], []])
  func `images that do not divide into patches are refused`(_ shape: [Int]) throws {
    let model = try Fixture.model("timm-vit")
    let error = try thrown(BackboneError.self) { _ = try model.features(.zeros(shape)) }
    #expect(error == .input(shape, patchSize: 4))
    #expect(
      error.description == """
        Images of shape \(shape) do not fit: [batch, 3, height, width] is wanted, with sides that are multiples of the patch \
        size 4.
        """)
  }

  @Test func `images of another dtype are refused by the operation that meets them`() throws {
    let model = try Fixture.model("timm-vit")
    let error = try thrown(TorchError.self) { _ = try model.features(.zeros([1, 3, 16, 16], dtype: .float64)) }
    #expect(error.operation == "linear")
  }

  @Test func `an empty batch has empty features`() throws {
    #expect(try Fixture.model("timm-vit").features(.zeros([0, 3, 16, 16])).shape == [0, 24])
  }
}
