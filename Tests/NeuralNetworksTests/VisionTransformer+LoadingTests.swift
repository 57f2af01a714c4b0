import Formats
import Foundation
import Tensors
import Testing

@testable import NeuralNetworks

/// What is read from a folder, what is left aside, and what is refused.
@Suite struct VisionTransformerLoadingTests {
  // MARK: Reports

  struct Expectation: Sendable, CustomTestStringConvertible {
    let fixture: String
    let family: VisionTransformerConfiguration.Family
    let used: Int
    var ignored: [String: Int] = [:]
    var assumptions: [String] = []
    var testDescription: String { fixture }
  }

  @Test(arguments: [
    Expectation(fixture: "timm-vit", family: .timm, used: 32),
    Expectation(fixture: "timm-deit-distilled", family: .timm, used: 35),
    Expectation(fixture: "timm-deit3", family: .timm, used: 36),
    Expectation(fixture: "timm-vit-clip", family: .timm, used: 31),
    Expectation(fixture: "timm-vit-clip-quickgelu", family: .timm, used: 31),
    Expectation(fixture: "timm-dinov2", family: .timm, used: 34),
    Expectation(fixture: "timm-dinov2-registers", family: .timm, used: 35),
    Expectation(
      fixture: "timm-vit-no-config", family: .timm, used: 20,
      assumptions: [
        "2 attention heads, of width 64", "LayerNorm ε 1e-06", "the activation GELU", "pixel statistics of ImageNet",
      ]),
    Expectation(
      fixture: "hf-vit", family: .huggingFace, used: 40, assumptions: ["pixel statistics of ImageNet"]),
    Expectation(
      fixture: "hf-vit-names5", family: .huggingFace, used: 40, assumptions: ["pixel statistics of ImageNet"]),
    Expectation(
      fixture: "hf-vit-base", family: .huggingFace, used: 32,
      ignored: ["the pooler's tanh layer; features are the class token before it": 2],
      assumptions: ["pixel statistics of ImageNet"]),
    Expectation(
      fixture: "hf-deit", family: .huggingFace, used: 43, assumptions: ["pixel statistics of ImageNet"]),
    Expectation(
      fixture: "hf-dinov2", family: .dinov2, used: 42, ignored: ["used only in pretraining": 1],
      assumptions: ["pixel statistics of ImageNet"]),
    Expectation(
      fixture: "hf-dinov2-registers", family: .dinov2, used: 43, ignored: ["used only in pretraining": 1],
      assumptions: ["pixel statistics of ImageNet"]),
    Expectation(fixture: "hf-clip-vision", family: .clip, used: 39, assumptions: ["pixel statistics of CLIP"]),
    Expectation(
      fixture: "hf-clip-vision-projection", family: .clip, used: 40, assumptions: ["pixel statistics of CLIP"]),
    Expectation(
      fixture: "hf-clip", family: .clip, used: 40,
      ignored: ["the text tower": 22, "the contrastive loss": 1, "a counter, not a weight": 1],
      assumptions: ["pixel statistics of CLIP"]),
    Expectation(
      fixture: "open-clip", family: .openCLIP, used: 32, ignored: ["the text tower": 17, "the contrastive loss": 1]),
    Expectation(
      fixture: "open-clip-quickgelu", family: .openCLIP, used: 32,
      ignored: ["the text tower": 17, "the contrastive loss": 1]),
  ])
  func `every tensor of a file is used or said to be left aside`(_ expected: Expectation) throws {
    let report = try Fixture.model(expected.fixture).report
    #expect(report.family == expected.family.rawValue)
    #expect(report.used == expected.used)
    #expect(Dictionary(grouping: report.ignored, by: \.reason).mapValues(\.count) == expected.ignored)
    #expect(report.assumptions == expected.assumptions)
    #expect(try report.used + report.ignored.count == Checkpoint(expected.fixture).tensors.count)
  }

  @Test func `tensors left aside are named, in order`() throws {
    let ignored = try Fixture.model("hf-clip").report.ignored
    #expect(ignored.map(\.name) == ignored.map(\.name).sorted())
    #expect(ignored.first == .init(name: "logit_scale", reason: "the contrastive loss"))
    #expect(ignored.last == .init(name: "vision_model.embeddings.position_ids", reason: "a counter, not a weight"))
  }

  @Test func `what a configuration says is taken from it`() throws {
    let vit = try Fixture.model("timm-vit")
    #expect(
      vit.configuration
        == VisionTransformerConfiguration(
          family: .timm, patchSize: 4, width: 24, depth: 2, heads: 4, hidden: 36, layerNormEpsilon: 1e-6,
          activation: .gelu, grid: 4, positionsCoverPrefix: true, antialiasPositions: true, pooling: .classToken))
    #expect(vit.normalization == ImageNormalization(mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5]))
    #expect(try Fixture.model("timm-deit3").configuration.positionsCoverPrefix == false)
    let clip = try Fixture.model("hf-clip")
    #expect(clip.configuration.activation == .quickGELU)
    #expect(clip.configuration.layerNormEpsilon == 1e-5)
    #expect(clip.configuration.antialiasPositions == false)
    #expect(clip.normalization == .clip)
    #expect(try Fixture.model("hf-dinov2").configuration.antialiasPositions == false)
    #expect(try Fixture.model("hf-dinov2-registers").configuration.antialiasPositions)
    #expect(try Fixture.model("open-clip").configuration.activation == .gelu)
    #expect(try Fixture.model("open-clip").configuration.heads == 4)
    #expect(try Fixture.model("open-clip-quickgelu").configuration.activation == .quickGELU)
    #expect(try Fixture.model("timm-vit-clip-quickgelu").configuration.activation == .quickGELU)
  }

  @Test func `arguments stand where no file speaks, and before a file that does`() throws {
    var checkpoint = try Checkpoint("timm-vit")
    checkpoint.files = [:]
    let model = try checkpoint.load(heads: 4, activation: .gelu)
    #expect(model.report.assumptions == ["LayerNorm ε 1e-06", "pixel statistics of ImageNet"])
    let reference = try Fixture(name: "timm-vit").reference()
    try expectClose(
      try model.features(try reference.tensor("input")), try reference.tensor("features"), tolerance: 1e-5)
    #expect(try Checkpoint("timm-vit").load(heads: 6).configuration.heads == 6)
    #expect(try Checkpoint("timm-vit").load(activation: .geluTanh).configuration.activation == .geluTanh)
  }

  @Test func `a CLIP whose configuration leaves out the activation has QuickGELU`() throws {
    var checkpoint = try Checkpoint("hf-clip-vision")
    try checkpoint.configure("hidden_act", nil)
    let model = try checkpoint.load()
    #expect(model.configuration.activation == .quickGELU)
    #expect(model.report.assumptions == ["the activation QuickGELU", "pixel statistics of CLIP"])
  }

  @Test(arguments: [DType.float16, .bfloat16, .float64])
  func `weights of another precision are read as float32`(_ dtype: DType) throws {
    var checkpoint = try Checkpoint("hf-vit")
    checkpoint.tensors = try checkpoint.tensors.mapValues { try $0.to(dtype) }
    let model = try checkpoint.load()
    #expect(model.tensors.allSatisfy { $0.tensor.dtype == .float32 })
    let reference = try Fixture(name: "hf-vit").reference()
    try expectClose(
      try model.features(try reference.tensor("input")), try reference.tensor("features"),
      tolerance: dtype == .float64 ? 1e-5 : 0.1)
  }

  @Test func `a model in shards is the model`() throws {
    let folder = try TemporaryFolder()
    let checkpoint = try Checkpoint("hf-vit")
    let names = checkpoint.tensors.keys.sorted()
    var map = JSONObject()
    for (shard, part) in [names.prefix(11), names.dropFirst(11)].enumerated() {
      let file = "model-0000\(shard + 1)-of-00002.safetensors"
      var writer = SafetensorsWriter()
      for name in part {
        try writer.add(name, try #require(checkpoint.tensors[name]))
        map[name] = .string(file)
      }
      try writer.write(to: folder.url.appendingPathComponent(file))
    }
    let index = JSONValue.object(["metadata": ["total_size": 0], "weight_map": .object(map)])
    try index.data().write(to: folder.url.appendingPathComponent("model.safetensors.index.json"))
    try #require(checkpoint.files["config.json"]).data()
      .write(to: folder.url.appendingPathComponent("config.json"))
    let sharded = try VisionTransformer(from: folder.url)
    let whole = try Fixture.model("hf-vit")
    let input = try Fixture.input("hf-vit")
    #expect(try sharded.features(input).isEqual(to: whole.features(input)))
    #expect(sharded.fingerprint.count == 64 && sharded.fingerprint != whole.fingerprint)
  }

  // MARK: Tensors that do not fit

  @Test(arguments: [
    ("timm-vit", "norm.weight", "norm.weight"), ("timm-vit", "blocks.1.mlp.fc2.weight", "blocks.1.mlp.fc2.weight"),
    ("timm-vit", "cls_token", "cls_token"), ("timm-vit", "pos_embed", "pos_embed"),
    ("timm-vit", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc1.weight"),
    ("hf-vit", "vit.encoder.layer.1.layernorm_before.bias", "blocks.1.norm1.bias"),
    ("hf-clip", "vision_model.embeddings.patch_embedding.weight", "patch_embed.weight"),
    ("open-clip", "visual.ln_post.bias", "norm.bias"),
  ])
  func `a tensor that is missing is named`(_ fixture: String, name: String, ours: String) throws {
    var checkpoint = try Checkpoint(fixture)
    let removed = checkpoint.tensors.removeValue(forKey: name)
    try #require(removed != nil)
    #expect(try checkpoint.refusal() == "The weights in FOLDER do not make the network. Missing (1): \(ours).")
  }

  @Test(arguments: [
    ("timm-vit", "patch_embed.proj.bias", "patch_embed.bias"),
    ("timm-vit", "blocks.0.attn.qkv.bias", "blocks.0.attn.qkv.bias"),
    ("timm-vit", "blocks.1.mlp.fc2.bias", "blocks.1.mlp.fc2.bias"),
    ("timm-dinov2", "blocks.1.ls2.gamma", "blocks.1.ls2.gamma"),
    ("hf-vit-base", "encoder.layer.0.attention.output.dense.bias", "blocks.0.attn.proj.bias"),
  ])
  func `a tensor that other networks do without is missing where one block has it`(
    _ fixture: String, name: String, ours: String
  ) throws {
    var checkpoint = try Checkpoint(fixture)
    let removed = checkpoint.tensors.removeValue(forKey: name)
    try #require(removed != nil)
    #expect(try checkpoint.refusal() == "The weights in FOLDER do not make the network. Missing (1): \(ours).")
  }

  @Test func `every tensor that is missing or unknown is listed, a dozen of each by name`() throws {
    var checkpoint = try Checkpoint("timm-vit")
    for name in checkpoint.tensors.keys where name.hasPrefix("blocks.0.") && !name.contains("fc1") {
      checkpoint.tensors[name] = nil
    }
    let refusal = try checkpoint.refusal()
    #expect(refusal.contains("Missing (10): blocks.0.attn.proj.bias, blocks.0.attn.proj.weight,"))
    for index in 10..<30 { checkpoint.tensors["extra.\(index)"] = try Tensor([0] as [Float]) }
    let longer = try checkpoint.refusal()
    #expect(longer.contains("Not part of it (20): extra.10, extra.11,"))
    #expect(longer.contains("extra.21, …."))
    #expect(!longer.contains("extra.22"))
  }

  @Test(arguments: ["blocks.0.attn.q_norm.weight", "head.extra", "blocks.x.norm1.weight", "blocks.-1.norm1.weight"])
  func `a tensor that nobody knows is refused`(_ name: String) throws {
    var checkpoint = try Checkpoint("timm-vit")
    checkpoint.tensors[name] = try .ones([24])
    #expect(
      try checkpoint.refusal() == "The weights in FOLDER do not make the network. Not part of it (1): \(name).")
  }

  @Test func `a tensor under another name is unknown, and the one it should be is missing`() throws {
    var checkpoint = try Checkpoint("hf-dinov2")
    try checkpoint.rename("encoder.layer.1.norm2.weight", to: "encoder.layer.1.norm3.weight")
    #expect(
      try checkpoint.refusal()
        == "The weights in FOLDER do not make the network. Not part of it (1): encoder.layer.1.norm3.weight.")
    checkpoint.files = [:]
    try checkpoint.rename("encoder.layer.1.norm3.weight", to: "encoder.layer.2.norm2.weight")
    let refusal = try checkpoint.refusal()
    #expect(refusal.contains("Missing (14): blocks.1.norm2.weight, blocks.2.attn.proj.bias,"))
  }

  @Test(arguments: [
    ("timm-vit", "blocks.1.attn.proj.weight", [24, 12], "blocks.1.attn.proj.weight", [24, 24]),
    ("timm-vit", "blocks.0.norm1.bias", [1], "blocks.0.norm1.bias", [24]),
    ("timm-vit", "blocks.1.mlp.fc1.weight", [24, 36], "blocks.1.mlp.fc1.weight", [36, 24]),
    ("timm-vit", "patch_embed.proj.bias", [25], "patch_embed.bias", [24]),
    ("timm-vit", "cls_token", [1, 1, 23], "cls_token", [1, 1, 24]),
    ("timm-vit", "head.weight", [5, 23], "head.weight", [5, 24]),
    ("timm-vit", "head.bias", [4], "head.bias", [5]),
    ("timm-vit", "patch_embed.proj.weight", [24, 4, 4, 4], "patch_embed.weight", [24, 3, 4, 4]),
    ("timm-vit", "patch_embed.proj.weight", [24, 3, 4, 5], "patch_embed.weight", [24, 3, 4, 4]),
    ("timm-vit", "patch_embed.proj.weight", [0, 3, 4, 4], "patch_embed.weight", [1, 3, 4, 4]),
    ("timm-vit", "patch_embed.proj.weight", [24, 3, 0, 0], "patch_embed.weight", [24, 3, 1, 1]),
    ("timm-dinov2", "blocks.0.ls1.gamma", [1], "blocks.0.ls1.gamma", [24]),
    ("timm-dinov2-registers", "reg_token", [1, 4, 25], "reg_token", [1, 4, 24]),
    ("open-clip", "visual.proj", [23, 12], "projection.weight", [12, 24]),
  ])
  func `a tensor of another shape is refused with both shapes`(
    _ fixture: String, name: String, shape: [Int], ours: String, expected: [Int]
  ) throws {
    var checkpoint = try Checkpoint(fixture)
    try #require(checkpoint.tensors[name] != nil)
    checkpoint.tensors[name] = try .ones(shape)
    let found = name == "visual.proj" ? [12, 23] : shape
    #expect(
      try checkpoint.refusal() == "'\(ours)' has shape \(found); the rest of the network makes it \(expected).")
  }

  @Test func `positions that are no square grid are refused`() throws {
    var checkpoint = try Checkpoint("timm-vit")
    checkpoint.tensors["pos_embed"] = try .ones([1, 16, 24])
    #expect(try checkpoint.load().configuration.positionsCoverPrefix == false)
    checkpoint.tensors["pos_embed"] = try .ones([1, 15, 24])
    #expect(
      try checkpoint.refusal() == "15 position embeddings are no square grid. Only square images are supported.")
  }

  @Test func `a tensor of another rank is refused`() throws {
    var checkpoint = try Checkpoint("timm-vit")
    checkpoint.tensors["patch_embed.proj.weight"] = try .ones([24, 48])
    #expect(try checkpoint.refusal().hasPrefix("'patch_embed.weight' has 2 dimensions, not 4."))
    checkpoint = try Checkpoint("timm-vit")
    checkpoint.tensors["blocks.0.mlp.fc1.weight"] = try .ones([])
    #expect(try checkpoint.refusal().hasPrefix("'blocks.0.mlp.fc1.weight' has 0 dimensions, not 2."))
  }

  @Test(arguments: ["2000000000", "\(Int.max)"])
  func `a block number that no file of this size can have is refused`(_ number: String) throws {
    var checkpoint = try Checkpoint("timm-vit")
    checkpoint.tensors["blocks.\(number).norm1.weight"] = try .ones([24])
    #expect(
      try checkpoint.refusal() == """
        A tensor belongs to block \(number), and there are only 31 tensors. The blocks are not numbered one after the other.
        """)
  }

  @Test func `weights that are no floating-point numbers are refused`() throws {
    var checkpoint = try Checkpoint("hf-vit")
    let name = "vit.encoder.layer.0.attention.attention.key.weight"
    checkpoint.tensors[name] = try .ones([24, 24], dtype: .int8)
    #expect(try checkpoint.refusal() == "'\(name)' holds int8 numbers. Quantized weights cannot be read.")
  }

  // MARK: Queries, keys and values

  @Test func `queries, keys and values come together or not at all`() throws {
    var checkpoint = try Checkpoint("hf-vit")
    let attention = "vit.encoder.layer.1.attention.attention"
    checkpoint.tensors["\(attention).key.weight"] = nil
    checkpoint.tensors["\(attention).value.bias"] = nil
    let refusal = try checkpoint.refusal()
    #expect(refusal.contains("Missing (2): "))
    #expect(
      refusal.contains(
        "the rest of blocks.1.attn.qkv.weight beside \(attention).query.weight, \(attention).value.weight"))
    #expect(
      refusal.contains("the rest of blocks.1.attn.qkv.bias beside \(attention).key.bias, \(attention).query.bias"))
  }

  @Test func `a key of another height is refused`() throws {
    var checkpoint = try Checkpoint("hf-clip-vision")
    checkpoint.tensors["encoder.layers.0.self_attn.k_proj.weight"] = try .ones([12, 24])
    #expect(
      try checkpoint.refusal()
        == "'blocks.0.attn.qkv.weight' has shape [60, 24]; the rest of the network makes it [72, 24].")
  }

  @Test func `a key of another width is refused`() throws {
    var checkpoint = try Checkpoint("hf-clip-vision")
    checkpoint.tensors["encoder.layers.0.self_attn.k_proj.weight"] = try .ones([24, 12])
    let refusal = try checkpoint.refusal()
    #expect(refusal.contains("[24, 12]"))
  }

  // MARK: Families

  @Test func `names of two families are not mixed`() throws {
    var checkpoint = try Checkpoint("timm-vit")
    checkpoint.tensors.merge(try Checkpoint("hf-vit-base").tensors) { first, _ in first }
    let refusal = try checkpoint.refusal()
    #expect(refusal.contains("Not part of it (34): embeddings.cls_token, embeddings.patch_embeddings.projection.bias"))
  }

  @Test func `a tensor given under two names is refused`() throws {
    var checkpoint = try Checkpoint("hf-vit")
    checkpoint.tensors["embeddings.cls_token"] = checkpoint.tensors["vit.embeddings.cls_token"]
    let refusal = try checkpoint.refusal()
    #expect(refusal.hasPrefix("'cls_token' is there more than once, as "))
    #expect(refusal.contains("vit.embeddings.cls_token"))
    checkpoint = try Checkpoint("hf-vit")
    let key = "attention.attention.key.weight"
    checkpoint.tensors["vit.encoder.layer.00.\(key)"] = checkpoint.tensors["vit.encoder.layer.0.\(key)"]
    #expect(try checkpoint.refusal().contains("vit.encoder.layer.00.\(key)"))
  }

  @Test func `names of no family are shown`() throws {
    let folder = try TemporaryFolder()
    var writer = SafetensorsWriter()
    for name in ["bert.encoder.weight", "bert.pooler.weight"] { try writer.add(name, try .ones([2])) }
    try writer.write(to: folder.url.appendingPathComponent("model.safetensors"))
    let error = try thrown(LoadError.self) { _ = try VisionTransformer(from: folder.url) }
    #expect(
      error == .unknownFamily(folder: folder.url.path, examples: ["bert.encoder.weight", "bert.pooler.weight"]))
    #expect(error.description.hasSuffix("The first are: bert.encoder.weight, bert.pooler.weight."))
    #expect(error.description.contains("named like no transformer known here"))
  }

  @Test func `SwiGLU is refused by the configuration, and by the names without one`() throws {
    var checkpoint = try Checkpoint("hf-dinov2")
    for block in 0..<2 {
      for part in ["weight", "bias"] {
        let mlp = "encoder.layer.\(block).mlp"
        try checkpoint.rename("\(mlp).fc1.\(part)", to: "\(mlp).weights_in.\(part)")
        try checkpoint.rename("\(mlp).fc2.\(part)", to: "\(mlp).weights_out.\(part)")
      }
    }
    #expect(
      try checkpoint.refusal().contains("Not part of it (8): encoder.layer.0.mlp.weights_in.bias"))
    try checkpoint.configure("use_swiglu_ffn", true)
    #expect(try checkpoint.refusal() == "FOLDER/config.json: SwiGLU MLPs (DINOv2 giant) are not supported.")
  }

  // MARK: Configurations that do not fit

  @Test(arguments: [
    ("hidden_size", 32, "width 32, the tensors say 24"), ("num_hidden_layers", 3, "depth 3, the tensors say 2"),
    ("patch_size", 16, "patch size 16, the tensors say 4"),
  ])
  func `a configuration that contradicts the tensors is refused`(_ key: String, value: Int, text: String) throws {
    var checkpoint = try Checkpoint("hf-vit")
    try checkpoint.configure(key, .integer(value))
    #expect(try checkpoint.refusal().contains("the configuration says \(text)."))
  }

  @Test(arguments: [5, 0, -4, Int.min])
  func `heads that do not divide the width are refused`(_ heads: Int) throws {
    var checkpoint = try Checkpoint("hf-vit")
    #expect(
      try checkpoint.refusal(heads: heads)
        == "\(heads) heads do not divide the width 24. Give the number of heads.")
    try checkpoint.configure("num_attention_heads", .integer(heads))
    #expect(try checkpoint.refusal().hasPrefix("\(heads) heads do not divide the width 24."))
  }

  // MARK: Devices and files

  @Test func `a device that is not there is refused before anything is read`() throws {
    #expect(throws: DeviceError.self) {
      try VisionTransformer(from: URL(fileURLWithPath: "/nowhere"), device: .cuda(999))
    }
  }

  @Test func `a folder without weights is refused`() throws {
    let folder = try TemporaryFolder()
    let error = try thrown(ShardedSafetensorsError.self) { _ = try VisionTransformer(from: folder.url) }
    #expect(error.description.contains("'\(folder.url.path)' has neither "))
    #expect(error.description.contains("model.safetensors"))
  }

  @Test(arguments: [0, 4, 8, 100, -1, -4])
  func `a file that was cut short is refused`(_ length: Int) throws {
    let folder = try TemporaryFolder()
    try Checkpoint("timm-vit").write(to: folder.url)
    let file = folder.url.appendingPathComponent("model.safetensors")
    let whole = try Data(contentsOf: file)
    try whole.prefix(length < 0 ? whole.count + length : length).write(to: file)
    let error = try thrown(SafetensorsError.self) { _ = try VisionTransformer(from: folder.url) }
    #expect(error.description.hasPrefix("'\(file.path)'"))
    #expect(error.description.contains("cut short"))
  }
}
