import Formats
import Foundation
import Testing

@testable import Adapters

@Suite struct PEFTConfigurationTests {
  func configuration(_ fields: JSONObject) throws -> PEFTConfiguration {
    var json: JSONObject = ["peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q"]]
    for (key, value) in fields.members { json[key] = value }
    return try PEFTConfiguration(.object(json), reading: LoRA.peftFields, methods: ["LORA"], folder: "here")
  }

  @Test func `a pattern is a whole path or the end of one after a dot, and the first that matches counts`() throws {
    let file = try configuration([
      "rank_pattern": ["fc1": 1, #"layers\.1\..*"#: 2, "1.fc2": 3], "alpha_pattern": ["^layers.*q": 5, "c1": 6],
    ])
    #expect(try file.rank(of: "layers.1.fc1") == 1)
    #expect(try file.rank(of: "vit.layers.1.q") == 2)
    #expect(try file.rank(of: "layers.11.q") == 4)
    #expect(try file.rank(of: "layers.11.fc2") == 4)
    #expect(try file.alpha(of: "layers.0.fc1", "lora_alpha") == 8)
    #expect(try file.alpha(of: "vit.layers.0.q", "lora_alpha") == 8)
    #expect(try file.alpha(of: "layers.0.q", "lora_alpha") == 5)
  }

  @Test func `a list of targets holds ends of paths, a text is an expression for whole ones`() throws {
    func targets(_ fields: JSONObject) throws -> (String) throws -> Bool { try configuration(fields).targets.contains }
    let list = try targets(["target_modules": ["q", "mlp.fc1"]])
    #expect(try list("layers.0.q") && list("q") && list("layers.0.mlp.fc1"))
    #expect(try !list("layers.0.qq") && !list("layers.0.fc1"))
    let text = try targets(["target_modules": #"layers\.\d\.q"#])
    #expect(try text("layers.0.q") && !text("vit.layers.0.q") && !text("layers.10.q"))
    #expect(try targets(["target_modules": "all-linear"])("anything"))
    let excluding = try targets(["target_modules": ["q", "v"], "exclude_modules": ["layers.1.q"]])
    #expect(try excluding("layers.0.q") && !excluding("vit.layers.1.q") && excluding("layers.1.v"))
  }

  @Test func `layers are counted by the first number behind two names, or behind the pattern`() throws {
    func targets(_ fields: JSONObject) throws -> (String) throws -> Bool { try configuration(fields).targets.contains }
    let plain = try targets(["layers_to_transform": [1]])
    #expect(try plain("vit.layers.1.q") && !plain("vit.layers.0.q") && !plain("vit.layers.0.experts.1.q"))
    // As in PEFT: without a pattern a name must stand before the one with the numbers.
    #expect(try !plain("layers.1.q"))
    let pattern = try targets(["layers_to_transform": 1, "layers_pattern": "layers"])
    #expect(try pattern("layers.1.q") && pattern("vit.layers.1.q") && !pattern("layers.2.q"))
    // With a text the numbers are no matter.
    #expect(try targets(["layers_to_transform": [1], "target_modules": ".*q"])("vit.layers.0.q"))
  }
}

@Suite struct PEFTKeyTests {
  @Test(arguments: [
    (
      "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight",
      "bert.encoder.layer.0.attention.self.query", PEFTKey.Slot.added("lora_A.weight"), false
    ),
    ("base_model.model.classifier.weight", "classifier", .own("weight"), false),
    ("base_model.model.blocks.0.attn.qkv.base_layer.bias", "blocks.0.attn.qkv", .own("bias"), false),
    ("base_model.model.a.attn.base_layer.out_proj.lora_B.weight", "a.attn.out_proj", .added("lora_B.weight"), true),
    ("base_model.model.a.attn.base_layer.out_proj.base_layer.bias", "a.attn.out_proj", .own("bias"), true),
    ("base_model.model.fc.lora_magnitude_vector", "fc", .added("lora_magnitude_vector"), false),
    ("base_model.model.norm.ln_tuning_layers.bias", "norm", .added("ln_tuning_layers.bias"), false),
    ("base_model.model.fc.lokr_w2_a", "fc", .added("lokr_w2_a"), false),
  ])
  func `a name is a module and what is there, whatever the network`(
    _ name: String, _ module: String, _ slot: PEFTKey.Slot, _ isInside: Bool
  ) throws {
    let key = try #require(PEFTKey(name))
    #expect(key.module == module && key.slot == slot && key.isInsideWrapped == isInside)
  }

  @Test func `names of another form are none`() {
    for name in [
      "fc.lora_A.weight", "base_model.model.fc.other", "base_model.model..weight",
    ] { #expect(PEFTKey(name) == nil, "\(name)") }
  }

  @Test func `every name that PEFT writes for a BERT is understood`() throws {
    let url = try #require(Bundle.module.resourceURL).appending(
      path: "Fixtures/peft/bert/lora-task/adapter_model.safetensors")
    let keys = try SafetensorsFile(contentsOf: url).names.map { try #require(PEFTKey($0)) }
    #expect(
      Set(keys.map(\.module)) == [
        "bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.0.attention.self.value",
        "bert.encoder.layer.1.attention.self.query", "bert.encoder.layer.1.attention.self.value", "classifier",
      ])
  }
}
