import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite final class PEFTFormatTests {
  let fixtures: URL
  let folder = FileManager.default.temporaryDirectory.appending(path: "peft-\(UUID().uuidString)")

  init() throws { fixtures = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/peft") }

  deinit { try? FileManager.default.removeItem(at: folder) }

  static let families = ["timm", "vit", "clip", "open-clip"]
  /// What PEFT has in its file and Graft refuses, with the reason tested below.
  static let refused: Set<String> = ["open-clip/lora-out-proj"]

  static let cases: [String] = {
    let root = Bundle.module.resourceURL?.appending(path: "Fixtures/peft")
    return families.flatMap { family -> [String] in
      let names = try? FileManager.default.contentsOfDirectory(atPath: root?.appending(path: family).path ?? "")
      return (names ?? []).sorted().map { "\(family)/\($0)" }.filter { name in
        let folder = root?.appending(path: name)
        return !name.contains("/mlx-") && !refused.contains(name)
          && FileManager.default.fileExists(atPath: folder?.appending(path: "adapter_config.json").path ?? "")
      }
    }
  }()

  func backbone(_ family: String) throws -> VisionTransformer {
    try VisionTransformer(from: fixtures.appending(path: family))
  }

  func family(_ name: String) -> String { name.split(separator: "/").first.map(String.init) ?? "" }

  /// The largest difference as a part of the largest number.
  func expectParity(_ model: AdaptedModel, _ name: String, hasOwnHead: Bool) throws {
    let shared = try Fixture("peft/\(family(name))/reference")
    let reference = try Fixture("peft/\(name)/reference")
    let input = try shared["input"].clone().requiringGradient()
    let features = try model.features(input)
    try expectClose(features, reference["features"], tolerance: 1e-5)
    #expect(try features.distance(to: shared["features"]) > 1e-2)
    var loss = try (features * shared["features.weights"]).sum()
    if ["timm", "vit"].contains(family(name)) {
      var model = model
      if model.head == nil {
        let classifier = try #require((model.backbone as? VisionTransformer)?.beside.classifier)
        let head = try Head(classes: ["a", "b", "c"], features: 12, generator: Generator(seed: 1))
        try head.weight.load(classifier.weight)
        try head.bias.load(#require(classifier.bias))
        model.head = head
        #expect(!hasOwnHead)
      }
      let logits = try model.logits(input)
      try expectClose(logits, reference["logits"], tolerance: 1e-5)
      loss = try loss + (logits * shared["logits.weights"]).sum()
    }
    try expectClose(gradients(of: loss, [input])[0], reference["gradient.input"], tolerance: 2e-5)
  }

  @Test(arguments: cases) func `an adapter that PEFT wrote gives PEFT's numbers`(_ name: String) throws {
    let loaded = try AdapterFolder.read(from: fixtures.appending(path: name), onto: backbone(family(name)))
    #expect(loaded.format == .peft && loaded.writer == "PEFT 0.21.2")
    try expectParity(loaded.model, name, hasOwnHead: name.contains("-head") || name.contains("lora-norm"))
  }

  @Test(arguments: cases) func `written again, the tensors are the same bytes under the same names`(_ name: String)
    throws
  {
    let source = fixtures.appending(path: name)
    let loaded = try AdapterFolder.read(from: source, onto: backbone(family(name)))
    let names = name.hasSuffix("-names4") ? ModuleNames(library: "ViT of transformers 4", prefix: "vit.") : nil
    try AdapterFolder.save(loaded.model, to: folder, as: .peft, names: names)
    let theirs = try SafetensorsFile(contentsOf: source.appending(path: "adapter_model.safetensors"))
    let ours = try SafetensorsFile(contentsOf: folder.appending(path: "adapter_model.safetensors"))
    let textTower = theirs.names.filter { $0.hasPrefix("base_model.model.transformer.") }
    // PEFT saves the classifier's bias alone here; we save classifiers whole.
    let head = theirs.names.filter { $0.hasSuffix("head.bias") || $0.hasSuffix("classifier.bias") }.map {
      $0.replacing(".bias", with: ".weight")
    }
    #expect(Set(ours.names) == Set(theirs.names).union(head).subtracting(textTower))
    for tensor in ours.names where theirs[tensor] != nil {
      #expect(try ours.tensor(tensor).isEqual(to: theirs.tensor(tensor)), "\(tensor)")
    }
    let again = try AdapterFolder.read(from: folder, onto: backbone(family(name)))
    try expectParity(again.model, name, hasOwnHead: loaded.model.head != nil)
    let configuration = try JSONValue(contentsOf: folder.appending(path: "adapter_config.json"))
    let original = try JSONValue(contentsOf: source.appending(path: "adapter_config.json"))
    #expect(configuration.object?.keys.sorted() == original.object?.keys.sorted())
    #expect(configuration.object?.keys == configuration.object?.keys.sorted())
  }

  @Test(arguments: cases) func `saved in our own format, the adapter comes back as it was`(_ name: String) throws {
    let backbone = try backbone(family(name))
    let model = try AdapterFolder.load(from: fixtures.appending(path: name), onto: backbone)
    try model.save(to: folder)
    #expect(try AdapterFolder.format(of: folder) == .graft)
    let again = try AdapterFolder.load(from: folder, onto: backbone)
    #expect(again.adapter.sites == model.adapter.sites)
    #expect(again.parameters.map(\.name) == model.parameters.map(\.name))
    for (one, other) in zip(again.parameters, model.parameters) {
      #expect(try one.value.isEqual(to: other.value), "\(one.name)")
    }
  }

  @Test(arguments: ["peft-lora", "peft-rslora", "peft-lora-patterns"])
  func `gradients and the merged weight are PEFT's`(_ name: String) throws {
    let root = fixtures.deletingLastPathComponent()
    let backbone = try VisionTransformer(from: root.appending(path: "peft-backbone"))
    let reference = try Fixture("\(name)/reference")
    var model = try AdapterFolder.load(from: root.appending(path: name), onto: backbone)
    if model.head == nil {
      let classifier = try #require(backbone.beside.classifier)
      let head = try Head(classes: ["a", "b", "c", "d", "e"], features: 24, generator: Generator(seed: 1))
      try head.weight.load(classifier.weight)
      try head.bias.load(#require(classifier.bias))
      model.head = head
    }
    let input = try reference["input"].clone().requiringGradient()
    let logits = try model.logits(input)
    try expectClose(logits, reference["logits"], tolerance: 1e-5)
    #expect(try logits.distance(to: reference["logits.disabled"]) > 0.1)
    let parameters = model.adapter.parameters
    let loss = try (logits * reference["logits.weights"]).sum()
    for (parameter, gradient) in zip(parameters, try gradients(of: loss, parameters.map(\.value))) {
      try expectClose(gradient, reference["gradient.base_model.model.\(parameter.name).weight"], tolerance: 2e-5)
    }
    let site = try #require(backbone.sites.first { $0.name == "blocks.1.attn.qkv" })
    let linear = try backbone.linear(at: site)
    let delta = try #require(try model.adapter.delta(of: linear)?.weight)
    try expectClose(
      delta.merged(into: linear.weight), reference["merged.blocks.1.attn.qkv.weight"], tolerance: 1e-6)
  }

  @Test func `LoRA on the patch embedding, a convolution, is no part of an adapter here`() throws {
    let root = fixtures.deletingLastPathComponent()
    let backbone = try VisionTransformer(from: root.appending(path: "peft-backbone"))
    let source = root.appending(path: "peft-lora-convolution")
    let error = try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: source, onto: backbone) }
    #expect(
      error
        == .names(
          source.appending(path: "adapter_model.safetensors").path, missing: [],
          unexpected: ["A", "B"].map { "base_model.model.patch_embed.proj.lora_\($0).weight" }))
  }

  @Test func `parts go into a fused map as more ranks on a block diagonal, and wholes apart as one A three times`()
    throws
  {
    let timm = try backbone("timm")
    var parts = LoRA(rank: 2, alpha: 3)
    parts.overrides["blocks.1.attn.qkv.value"] = SiteOverride(rank: 1, alpha: 6)
    let model = try timm.adapted(by: parts, at: .queryAndValue)
    try model.adapter.perturb()
    try AdapterFolder.save(model, to: folder, as: .peft)
    let file = try SafetensorsFile(contentsOf: folder.appending(path: "adapter_model.safetensors"))
    let configuration = try JSONValue(contentsOf: folder.appending(path: "adapter_config.json"))
    // Block 0: ranks 2 and 2 of scale 1.5. Block 1: ranks 2 and 1, the values' scale of 6 within their rows.
    #expect(configuration["r"] == 4 && configuration["lora_alpha"] == 6)
    #expect(configuration["rank_pattern"] == [#"blocks\.1\.attn\.qkv"#: 3])
    #expect(configuration["alpha_pattern"] == [#"blocks\.1\.attn\.qkv"#: 4.5])
    #expect(configuration["target_modules"] == ["blocks.0.attn.qkv", "blocks.1.attn.qkv"])
    let up = try file.tensor("base_model.model.blocks.1.attn.qkv.lora_B.weight")
    #expect(up.shape == [36, 3])
    let value = try model.adapter.parameter("blocks.1.attn.qkv.value.lora_B").value.detached()
    try expectClose(up.narrowed(0, 24..<36).narrowed(1, 2..<3), value * 4, tolerance: 1e-7)
    #expect(try up.narrowed(0, 12..<24).abs().max().item() == 0)
    #expect(try up.narrowed(0, 0..<24).narrowed(1, 2..<3).abs().max().item() == 0)
    let input = try Fixture("peft/timm/reference")["input"]
    let again = try AdapterFolder.load(from: folder, onto: timm)
    try expectClose(again.features(input), model.features(input), tolerance: 1e-6)
    #expect(again.adapter.sites.map(\.role) == [.qkv, .qkv])

    try FileManager.default.removeItem(at: folder)
    let vit = try backbone("vit")
    let whole = try vit.adapted(by: .lora(rank: 2), at: .qkv)
    try whole.adapter.perturb()
    try AdapterFolder.save(whole, to: folder, as: .peft)
    let apart = try SafetensorsFile(contentsOf: folder.appending(path: "adapter_model.safetensors"))
    let down = try whole.adapter.parameter("blocks.0.attn.qkv.lora_A").value
    for letter in "qkv" {
      let name = "base_model.model.vit.layers.0.attention.\(letter)_proj.lora_A.weight"
      #expect(try apart.tensor(name).isEqual(to: down))
    }
    let divided = try AdapterFolder.load(from: folder, onto: vit)
    #expect(divided.adapter.sites.map(\.role) == [.query, .key, .value, .query, .key, .value])
    try expectClose(divided.features(input), whole.features(input), tolerance: 1e-6)
  }

  @Test func `the same adapter gives the same bytes`() throws {
    let other = folder.appendingPathExtension("again")
    defer { try? FileManager.default.removeItem(at: other) }
    let vit = try backbone("vit")
    for url in [folder, other] {
      let model = try vit.adapted(by: .lora(rank: 2), at: [.query, .value, .fc1])
      try AdapterFolder.save(model, to: url, as: .peft)
    }
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
      #expect(try Data(contentsOf: folder.appending(path: name)) == Data(contentsOf: other.appending(path: name)))
    }
  }

  @Test func `a folder of the first version is read: the names of the backbone's file, and the head apart`() throws {
    let vit = try backbone("vit")
    var model = try vit.adapted(by: .lora(rank: 2), at: .attention)
    try model.adapter.perturb()
    try AdapterFolder.save(model, to: folder, names: .ofFile(vit))
    let names = try SafetensorsFile(contentsOf: folder.appending(path: "adapter_model.safetensors")).names
    #expect(names.contains("base_model.model.vit.encoder.layer.0.attention.attention.query.lora_A.weight"))
    model.head = try Head(classes: ["a", "b"], features: 12, generator: Generator(seed: 3))
    var details = try #require(try JSONValue(contentsOf: folder.appending(path: "graft.json")).object)
    details["format_version"] = 1
    details["names"] = nil
    details["classes"] = ["a", "b"]
    try JSONValue.object(details).data().write(to: folder.appending(path: "graft.json"))
    var writer = SafetensorsWriter()
    for parameter in try #require(model.head).parameters { try writer.add(parameter.name, parameter.value) }
    try writer.write(to: folder.appending(path: "head.safetensors"))
    let again = try AdapterFolder.load(from: folder, onto: vit)
    for (one, other) in zip(again.parameters, model.parameters) { #expect(try one.value.isEqual(to: other.value)) }
    details["format_version"] = 2
    details["names"] = ["library": "timm", "prefix": "vit."]
    try JSONValue.object(details).data().write(to: folder.appending(path: "graft.json"))
    let error = try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: folder, onto: vit) }
    #expect(error.description.contains(#"its modules are named as in {"library":"timm","prefix":"vit."}"#))
  }

  @Test func `a tower that was wrapped alone has no prefix, and a text tower's adapter is not taken for it`() throws {
    let backbone = try backbone("open-clip")
    try FileManager.default.copyItem(at: fixtures.appending(path: "open-clip/lora"), to: folder)
    let weights = folder.appending(path: "adapter_model.safetensors")
    let file = try SafetensorsFile(contentsOf: weights)
    let tensors = try file.names.map { ($0.replacing(".visual.", with: "."), try file.tensor($0).clone()) }
    try FileManager.default.removeItem(at: weights)
    var writer = SafetensorsWriter()
    for (name, tensor) in tensors { try writer.add(name, tensor) }
    try writer.write(to: weights)
    let configurationFile = folder.appending(path: "adapter_config.json")
    var configuration = try #require(try JSONValue(contentsOf: configurationFile).object)
    configuration["target_modules"] = ["attn", "c_fc", "c_proj"]
    try JSONValue.object(configuration).data().write(to: configurationFile)
    // It says that the whole CLIP was wrapped: what has no prefix is then the text tower's.
    let error = try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: folder, onto: backbone) }
    guard case .names = error else {
      Issue.record("\(error)")
      return
    }
    configuration["auto_mapping"] = ["base_model_class": "VisionTransformer"]
    try JSONValue.object(configuration).data().write(to: configurationFile)
    try expectParity(AdapterFolder.load(from: folder, onto: backbone), "open-clip/lora", hasOwnHead: false)
  }
}
