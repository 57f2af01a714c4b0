import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// What is wrong with a file of PEFT is said, and nothing of it is loaded.
@Suite final class PEFTRefusalTests {
  let fixtures: URL
  let backbone: VisionTransformer
  let folder = FileManager.default.temporaryDirectory.appending(path: "refused-\(UUID().uuidString)")
  var weights: URL { folder.appending(path: "adapter_model.safetensors") }

  init() throws {
    fixtures = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/peft")
    backbone = try VisionTransformer(from: fixtures.appending(path: "vit"))
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func take(_ name: String) throws {
    try? FileManager.default.removeItem(at: folder)
    try FileManager.default.copyItem(at: fixtures.appending(path: name), to: folder)
  }

  func set(_ key: String, _ value: JSONValue?, in file: String = "adapter_config.json") throws {
    let url = folder.appending(path: file)
    var object = try #require(try JSONValue(contentsOf: url).object)
    object[key] = value
    try JSONValue.object(object).data().write(to: url)
  }

  func change(_ edit: (inout [String: Tensor]) throws -> Void) throws {
    let file = try SafetensorsFile(contentsOf: weights)
    var tensors = try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0).clone()) })
    try edit(&tensors)
    var writer = SafetensorsWriter()
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) { try writer.add(name, tensor) }
    try FileManager.default.removeItem(at: weights)
    try writer.write(to: weights)
  }

  func refusal(_ backbone: VisionTransformer? = nil) throws -> AdapterFolderError {
    try thrown(AdapterFolderError.self) { _ = try AdapterFolder.read(from: folder, onto: backbone ?? self.backbone) }
  }

  let query = "base_model.model.vit.layers.0.attention.q_proj"

  @Test(arguments: ["(([a-z0-9_.]+)+)+!", "(a|aa)+b", ".*.*.*.*.*.*.*", "(?:x+y){3,}"])
  func `an expression whose matching may never end is refused`(_ expression: String) throws {
    try take("vit/lora")
    try set("target_modules", .string(expression))
    #expect(
      try refusal().description.hasSuffix(
        "it repeats a group that itself repeats or branches, or more than six parts: matching it may never end."))
  }

  @Test(arguments: [
    #".*\.(q_proj|v_proj)"#, #"^(?!.*patch_embed).*(query|value).*$"#, #".*blocks\.(\d+)\.attn\.(qkv|proj)"#, "[(a+]+",
    #"(.*\.)?(qkv|proj)"#, #"a{2}(b)+"#, #"\(a+\)+"#,
  ])
  func `expressions as people write them are not`(_ expression: String) {
    #expect(!PEFTTargets.mayTakeForever(expression))
  }

  @Test func `a dropout that is no number is refused`() throws {
    try take("vit/lora")
    try set("lora_dropout", "0.5")
    let message = try refusal().description
    #expect(message.contains("lora_dropout") && message.hasSuffix("a number is wanted."))
  }

  @Test func `a renamed tensor is missing under one name and too many under the other`() throws {
    try take("vit/lora")
    try change { $0["\(query)s.lora_A.weight"] = $0.removeValue(forKey: "\(query).lora_A.weight") }
    #expect(
      try refusal().description == """
        \(weights.path) does not hold this adapter. Missing (1): \(query).lora_A.weight (near \(query)s.lora_A.weight). \
        Not part of it (1): \(query)s.lora_A.weight (near \(query).lora_A.weight).
        """)
  }

  @Test func `a missing tensor and an extra one are named`() throws {
    try take("vit/lora")
    try change { $0["\(query).lora_B.weight"] = nil }
    #expect(
      try refusal() == .names(weights.path, missing: ["\(query).lora_B.weight"], unexpected: []))
    try take("vit/lora-regex")
    try change { $0["\(query).lora_B.weight"] = try .zeros([12, 2]) }
    #expect(try refusal() == .names(weights.path, missing: [], unexpected: ["\(query).lora_B.weight"]))
  }

  @Test func `a block that lost all its tensors is missed, because its targets say so`() throws {
    try take("vit/lora-last-block")
    try set("layers_to_transform", [0, 1])
    let missing = ["fc1", "fc2"].flatMap { map in
      ["A", "B"].map { "base_model.model.vit.layers.0.mlp.\(map).lora_\($0).weight" }
    }
    #expect(try refusal() == .names(weights.path, missing: missing, unexpected: []))
  }

  @Test func `a tensor of another shape or with NaN is named`() throws {
    try take("vit/lora")
    try change { $0["\(query).lora_A.weight"] = try .zeros([3, 12]) }
    #expect(
      try refusal()
        == .shape("\(query).lora_A.weight", file: weights.path, expected: [2, 12], found: [3, 12]))
    try take("vit/lora")
    try change { try $0["\(query).lora_A.weight"]?.fillInPlace(.nan) }
    #expect(try refusal() == .notFinite("\(query).lora_A.weight", file: weights.path))
    #expect(
      try refusal().description
        == "'\(query).lora_A.weight' in \(weights.path) holds NaN or infinity, or is no floating-point tensor. The run that "
        + "wrote it has diverged.")
  }

  @Test func `an adapter for a deeper or a wider network is refused`() throws {
    try take("clip/lora")
    // The maps are of the same sizes and of some of the same names, but a ViT is no CLIP.
    #expect(try refusal().description.contains("q_proj.lora_A.weight (near base_model.model."))
    try take("vit/lora")
    try change { tensors in
      for name in tensors.keys.sorted() where name.contains("layers.1.") {
        tensors[name.replacing("layers.1.", with: "layers.7.")] = tensors[name]
      }
    }
    guard case .names(_, [], let unexpected) = try refusal() else {
      Issue.record("not the names")
      return
    }
    #expect(unexpected.count == 12 && unexpected.allSatisfy { $0.contains("vit.layers.7.") })
    try take("bert/lora-task")
    #expect(try refusal().description.contains(#"its target_modules ["query","value"] match no linear map"#))
  }

  @Test func `a pickle is refused, with the way to convert it`() throws {
    try take("vit/lora")
    let pickle = folder.appending(path: "adapter_model.bin")
    try FileManager.default.moveItem(at: weights, to: pickle)
    #expect(
      try refusal().description == """
        \(pickle.path) is a pickle, which can run any program when it is opened, so it is not read. Where you trust it, \
        convert it once with Python:
          import torch; from safetensors.torch import save_file
          save_file({k: v.contiguous() for k, v in torch.load("\(pickle.path)", weights_only=True).items()}, \
        "\(weights.path)")
        """)
    try FileManager.default.removeItem(at: pickle)
    #expect(
      try refusal().description
        == "The adapter in \(folder.path) has no adapter_model.safetensors. Copy the folder again, with all of its files."
    )
  }

  @Test func `a name that leads out of its place belongs to no module`() throws {
    try take("vit/lora")
    let name = "base_model.model.../../vit.layers.0.attention.q_proj.lora_A.weight"
    try change { $0[name] = try .zeros([2, 12]) }
    #expect(try refusal() == .names(weights.path, missing: [], unexpected: [name]))
    try take("../adapterhub/lora")
    try set("name", "../pets")
    #expect(try refusal().description.contains("lacks its config, or a name without dots and slashes"))
  }

  static let unsupported: [(field: String, value: JSONValue)] = [
    ("use_qalora", true), ("layer_replication", [[0, 1]]), ("trainable_token_indices", [1]),
    ("kasa_config", ["beta": 1]), ("a_field_of_tomorrow", "yes"), ("alora_invocation_tokens", [1]),
  ]

  @Test(arguments: unsupported)
  func `a setting that changes the numbers and is not supported is refused by name`(_ key: String, _ value: JSONValue)
    throws
  {
    try take("vit/lora")
    try set(key, value)
    #expect(
      try refusal()
        == .setting(folder.path, field: key, value: value.text(), reason: "that is not supported."))
    // The same field, switched off.
    try set(key, nil)
    try set(key, .null)
    #expect(throws: Never.self) { try AdapterFolder.read(from: folder, onto: backbone) }
  }

  @Test func `a start that changed the backbone is refused, and a plain one is not`() throws {
    try take("vit/lora")
    for start in ["gaussian", "eva", "orthogonal"] {
      try set("init_lora_weights", .string(start))
      #expect(throws: Never.self) { try AdapterFolder.read(from: folder, onto: backbone) }
    }
    for start in ["pissa", "pissa_niter_16", "olora", "corda", "loftq"] {
      try set("init_lora_weights", .string(start))
      #expect(try refusal().description.contains(#""init_lora_weights" is "\#(start)", and that start changes the"#))
    }
  }

  @Test func `numbers, names and patterns of a wrong kind are refused by field`() throws {
    for (key, value, reason) in [
      ("r", JSONValue.string("two"), "a number from 1 is wanted."), ("r", 0, "a number from 1 is wanted."),
      ("lora_alpha", nil, "a number is wanted."), ("use_rslora", 1, "true or false is wanted."),
      ("rank_pattern", ["q_proj": -1], "a number from 1 is wanted."),
      ("alpha_pattern", [3], "an object of patterns is wanted."),
      ("target_modules", [1], "a list of names is wanted."),
      ("target_modules", "(q_proj", "that is no regular expression."),
      ("layers_to_transform", ["one"], "a list of block numbers is wanted."),
      ("bias", "some", "none, lora_only or all is wanted."),
    ] {
      try take("vit/lora")
      try set(key, value)
      guard case .setting(_, key, _, let found) = try refusal() else {
        Issue.record("\(key): \(try refusal())")
        continue
      }
      #expect(found == reason)
    }
    try take("vit/lora")
    try set("target_modules", nil)
    #expect(try refusal() == .unsupported(folder.path, "adapter_config.json has no target_modules."))
    try set("peft_type", "VERA")
    #expect(
      try refusal()
        == .unsupported(
          folder.path, "its method is VERA; of PEFT's methods IA3, LN_TUNING, LOHA, LOKR, LORA are read."))
    try set("peft_type", nil)
    #expect(try refusal().description.contains("has none of the fields of PEFT (peft_type), mlx-lm"))
  }

  @Test func `a rank beyond a map's and a module that trains whole beside LoHa are refused`() throws {
    try take("vit/lora")
    try set("r", 13)
    #expect(try refusal().description.contains("Rank 13 does not fit 'blocks.0.attn.qkv.query', whose ranks go from 1"))
    try take("vit/loha")
    try set("modules_to_save", ["layernorm"])
    #expect(
      try refusal().description.hasSuffix(
        "and that 'vit.layernorm' trains whole beside LOHA is not supported; only a classifier is."))
  }

  @Test func `LoRA on the projection inside an nn.MultiheadAttention never ran in PEFT`() throws {
    try take("open-clip/lora-out-proj")
    let openCLIP = try VisionTransformer(from: fixtures.appending(path: "open-clip"))
    #expect(
      try refusal(openCLIP).description == """
        The adapter in \(folder.path) cannot be read: 'visual.transformer.resblocks.0.attn.out_proj' is adapted inside \
        'visual.transformer.resblocks.0.attn', an nn.MultiheadAttention that never runs it: in PEFT this part has no \
        effect. Train again with "attn" in target_modules.
        """)
  }

  @Test func `PEFT of tomorrow is taken to add that update once, as its fix does`() throws {
    let openCLIP = try VisionTransformer(from: fixtures.appending(path: "open-clip"))
    func update() throws -> Tensor {
      let model = try AdapterFolder.load(from: folder, onto: openCLIP)
      return try model.adapter.parameter("blocks.0.attn.proj.lora_B").value.detached()
    }
    try take("open-clip/lora")
    let twice = try update()
    try set("peft_version", "0.22.0")
    #expect(try (update() * 2).isEqual(to: twice))
    try set("peft_version", nil)
    #expect(try update().isEqual(to: twice))
  }

  @Test func `both towers' adapters are read for the image tower, and the other's tensors are said to be left out`()
    throws
  {
    let openCLIP = try VisionTransformer(from: fixtures.appending(path: "open-clip"))
    let loaded = try AdapterFolder.read(from: fixtures.appending(path: "open-clip/lora-both-towers"), onto: openCLIP)
    #expect(loaded.notes == ["4 tensors left out: the text tower"])
    #expect(loaded.model.adapter.sites.map(\.role) == [.qkv, .proj, .qkv, .proj])
  }

  @Test func `a head takes labels, as many as it has classes`() throws {
    let url = fixtures.appending(path: "vit/lora-head")
    let named = try AdapterFolder.read(from: url, onto: backbone, labels: ["ant", "bee", "cow"])
    #expect(named.model.head?.classes == ["ant", "bee", "cow"])
    #expect(try AdapterFolder.read(from: url, onto: backbone).model.head?.classes == ["0", "1", "2"])
    let error = try thrown(AdapterFolderError.self) {
      _ = try AdapterFolder.read(from: url, onto: backbone, labels: ["ant"])
    }
    #expect(
      error.description == "1 class labels were given for a classifier of 3 classes. Give one for each, in order.")
    try take("vit/lora-head")
    try change { $0["base_model.model.classifier.weight"] = try .zeros([1_000_000_000_000, 0]) }
    #expect(try refusal().description.contains("has shape [1000000000000, 0] where [1000000000000, 12] is wanted"))
    try take("vit/lora-head")
    try change { $0["base_model.model.classifier.weight"] = try .zeros([3, 24]) }
    #expect(
      try refusal()
        == .shape("base_model.model.classifier.weight", file: weights.path, expected: [3, 12], found: [3, 24]))
  }

  @Test func `what PEFT cannot say is not written, and our own folder holds it all the same`() throws {
    func refusal(_ model: AdaptedModel, _ what: String) throws {
      let error = try thrown(AdapterFolderError.self) { try AdapterFolder.save(model, to: folder, as: .peft) }
      #expect(error.description.contains(what), "\(error)")
      #expect(!FileManager.default.fileExists(atPath: folder.path))
      try model.adapter.perturb()
      try model.save(to: folder)
      let again = try AdapterFolder.load(from: folder, onto: model.backbone)
      let input = try Fixture("peft/vit/reference")["input"]
      #expect(try again.features(input).isEqual(to: model.features(input)))
      let configuration = try JSONValue(contentsOf: folder.appending(path: "adapter_config.json"))
      #expect(configuration["peft_type"]?.string?.hasPrefix("GRAFT_") == true)
      try FileManager.default.removeItem(at: folder)
    }
    try refusal(
      backbone.adapted(by: .loKr(rank: 1), at: .qkv), "'lokr_w1' does not divide among them. Adapt query, key")
    try refusal(backbone.adapted(by: .kronecker(dimension: 3), at: .qkv), "PEFT has no method kronecker.")
    let timm = try VisionTransformer(from: fixtures.appending(path: "timm"))
    try refusal(timm.adapted(by: .loKr(rank: 1), at: [.query]), "Adapt the whole map instead.")
    var lora = LoRA(rank: 2)
    lora.tunedTensors = ["blocks.0.norm1.weight"]
    try refusal(
      backbone.adapted(by: lora, at: .fc1), "PEFT saves a module whole, and of 'vit.layers.0.layernorm_before'")
    let openCLIP = try VisionTransformer(from: fixtures.appending(path: "open-clip"))
    try refusal(
      openCLIP.adapted(by: .loHa(rank: 2), at: .qkv), "is an nn.MultiheadAttention, which PEFT adapts by LoRA")
    lora = LoRA(rank: 2)
    lora.overrides["blocks.0.attn.proj"] = SiteOverride(rank: 3)
    try refusal(openCLIP.adapted(by: lora, at: .attention), "one rank and one scale for both maps")
  }

  @Test func `a file of ours that was changed beyond what the adapter holds is refused`() throws {
    func tampered(_ model: AdaptedModel, _ edit: (inout [String: Tensor]) throws -> Void) throws -> String {
      try? FileManager.default.removeItem(at: folder)
      try model.adapter.perturb()
      try model.save(to: folder)
      try change(edit)
      return try thrown(AdapterFolderError.self) {
        _ = try AdapterFolder.load(from: folder, onto: model.backbone)
      }.description
    }
    let timm = try VisionTransformer(from: fixtures.appending(path: "timm"))
    let up = "base_model.model.blocks.0.attn.qkv.lora_B.weight"
    // The keys' rows, which queries and values leave alone.
    #expect(
      try tampered(timm.adapted(by: .lora(rank: 2), at: .queryAndValue)) {
        try $0[up]?.narrowed(0, 12..<24).fillInPlace(0.1)
      } == "'\(up)' does not fit the adapter that graft.json describes: it changes outputs that the adapter does not.")
    let length = "base_model.model.blocks.0.attn.qkv.lora_magnitude_vector"
    #expect(
      try tampered(timm.adapted(by: .doRA(rank: 2), at: .queryAndValue)) {
        try $0[length]?.narrowed(0, 12..<13).fillInPlace(0.1)
      }
        == "'\(length)' does not fit the adapter that graft.json describes: it changes outputs that the adapter does not."
    )
    let down = "base_model.model.vit.layers.0.attention.k_proj.lora_A.weight"
    #expect(
      try tampered(backbone.adapted(by: .lora(rank: 2), at: .qkv)) { try $0[down]?.fillInPlace(0.1) }
        .contains("q_proj.lora_A.weight' does not fit the adapter that graft.json describes: it and \(down)"))
    let openCLIP = try VisionTransformer(from: fixtures.appending(path: "open-clip"))
    let zeros = "base_model.model.visual.transformer.resblocks.0.attn.lora_B.weight"
    #expect(
      try tampered(openCLIP.adapted(by: .lora(rank: 2), at: .proj)) { try $0[zeros]?.fillInPlace(0.1) }
        == "'\(zeros)' does not fit the adapter that graft.json describes: it changes a map that the adapter does not.")
  }
}
