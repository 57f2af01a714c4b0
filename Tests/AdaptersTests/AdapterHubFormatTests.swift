import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite final class AdapterHubFormatTests {
  let fixtures: URL
  let backbone: VisionTransformer
  let folder = FileManager.default.temporaryDirectory.appending(path: "adapterhub-\(UUID().uuidString)")

  init() throws {
    fixtures = try #require(Bundle.module.resourceURL).appending(path: "Fixtures")
    backbone = try VisionTransformer(from: fixtures.appending(path: "peft/vit"))
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  static let cases = [
    "lora", "lora-everywhere", "sequential", "double", "parallel", "leave-out", "learned-scale", "plus",
  ]

  func expectParity(_ model: AdaptedModel, _ name: String) throws {
    let input = try Fixture("peft/vit/reference")["input"]
    let reference = try Fixture("adapterhub/\(name)/reference")
    try expectClose(model.features(input), reference["features"], tolerance: 1e-5)
    try expectClose(model.logits(input), reference["logits"], tolerance: 1e-5)
    #expect(try model.features(input).distance(to: backbone.features(input)) > 1e-2)
  }

  @Test(arguments: cases) func `an adapter that AdapterHub wrote gives its numbers`(_ name: String) throws {
    let loaded = try AdapterFolder.read(from: fixtures.appending(path: "adapterhub/\(name)"), onto: backbone)
    #expect(loaded.format == .adapterHub && loaded.writer == "AdapterHub adapters.1.3.0" && loaded.notes == [])
    #expect(loaded.model.head?.classes == ["ant", "bee", "cow"])
    try expectParity(loaded.model, name)
  }

  @Test(arguments: cases) func `written again, it is the same adapter under another name`(_ name: String) throws {
    let source = fixtures.appending(path: "adapterhub/\(name)")
    let loaded = try AdapterFolder.read(from: source, onto: backbone)
    try AdapterFolder.save(loaded.model, to: folder, as: .adapterHub)
    let theirs = try SafetensorsFile(contentsOf: source.appending(path: "adapter.safetensors"))
    let ours = try SafetensorsFile(contentsOf: folder.appending(path: "adapter.safetensors"))
    #expect(Set(ours.names) == Set(theirs.names.map { $0.replacing(".pets.", with: ".graft.") }))
    let again = try AdapterFolder.read(from: folder, onto: backbone)
    try expectParity(again.model, name)
    #expect(again.model.adapter.sites == loaded.model.adapter.sites)
    for (one, other) in zip(again.model.parameters, loaded.model.parameters) {
      #expect(one.name == other.name)
      #expect(try one.value.isEqual(to: other.value))
    }
    // Every field but those that only say how it started.
    let (config, original) = (
      try JSONValue(contentsOf: folder.appending(path: "adapter_config.json")),
      try JSONValue(contentsOf: source.appending(path: "adapter_config.json"))
    )
    for (key, value) in original["config"]?.object?.members ?? [] where key != "init_weights" {
      #expect(config["config"]?[key]?.double == value.double, "\(key)")
      if value.double == nil { #expect(config["config"]?[key] == value, "\(key)") }
    }
  }

  private func refusal(_ name: String, _ edit: (inout JSONObject) -> Void) throws -> String {
    try? FileManager.default.removeItem(at: folder)
    try FileManager.default.copyItem(at: fixtures.appending(path: "adapterhub/\(name)"), to: folder)
    let file = folder.appending(path: "adapter_config.json")
    var json = try #require(try JSONValue(contentsOf: file).object)
    var config = try #require(json["config"]?.object)
    edit(&config)
    json["config"] = .object(config)
    try JSONValue.object(json).data().write(to: file)
    return try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: folder, onto: backbone) }.description
  }

  @Test func `a setting that changes the numbers and is not supported is refused by name`() throws {
    for (field, value) in [
      ("use_gating", JSONValue.bool(true)), ("ln_before", true), ("phm_layer", true), ("inv_adapter", "nice"),
      ("cross_adapter", true), ("adapter_residual_before_ln", true), ("non_linearity", "tanh"), ("scaling", "half"),
      ("reduction_factor", ["0": 4, "default": 2]), ("residual_before_ln", false),
    ] {
      let said = try refusal("sequential") { $0[field] = value }
      #expect(said.hasPrefix("The adapter in \(folder.path) cannot be read: \"\(field)\" is "), "\(said)")
    }
    for (field, value) in [
      ("use_gating", JSONValue.bool(true)), ("composition_mode", "scale"), ("use_dora", true), ("vera_d", 0.1),
      ("attn_matrices", ["o"]), ("architecture", "reft"),
    ] {
      let said = try refusal("lora") { $0[field] = value }
      #expect(said.hasPrefix("The adapter in \(folder.path) cannot be read: \"\(field)\" is "), "\(said)")
    }
    #expect(
      try refusal("double") { $0["original_ln_before"] = true }.contains("bottlenecks stand where no method here has"))
    #expect(
      try refusal("sequential") { $0["reduction_factor"] = 2 }.contains("has shape [3, 12] where [6, 12] is wanted"))
    #expect(try refusal("sequential") { $0["leave_out"] = [1] }.contains("Not part of it (4): vit.encoder.layer.1."))
  }

  @Test func `Python's own format is refused, and a head of more layers is`() throws {
    try FileManager.default.copyItem(at: fixtures.appending(path: "adapterhub/double"), to: folder)
    func said() throws -> String {
      try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: folder, onto: backbone) }.description
    }
    let file = folder.appending(path: "head_config.json")
    let original = try JSONValue(contentsOf: file)
    var json = try #require(original.object)
    var config = try #require(json["config"]?.object)
    config["layers"] = 2
    json["config"] = .object(config)
    try JSONValue.object(json).data().write(to: file)
    #expect(try said().contains(#""layers" is 2, and only a head of one linear layer on the class token is read."#))
    try original.data().write(to: file)
    for (name, pickle) in [("model_head", "pytorch_model_head.bin"), ("adapter", "pytorch_adapter.bin")] {
      try FileManager.default.moveItem(
        at: folder.appending(path: "\(name).safetensors"), to: folder.appending(path: pickle))
      #expect(try said().hasPrefix("\(folder.appending(path: pickle).path) is a pickle"))
    }
  }

  @Test func `what AdapterHub has no words for is not written`() throws {
    func said(_ model: AdaptedModel) throws -> String {
      try thrown(AdapterFolderError.self) { try AdapterFolder.save(model, to: folder, as: .adapterHub) }.description
    }
    #expect(
      try said(backbone.adapted(by: .lora(rank: 2), at: .proj)).contains("and 'blocks.0.attn.proj' is none of them"))
    #expect(try said(backbone.adapted(by: .loHa(rank: 2))).hasSuffix("`adapters` has no method loha."))
    #expect(try said(backbone.adapted(by: .parallelAdapter(width: 3))).contains("this one reads 'branch'"))
    #expect(!FileManager.default.fileExists(atPath: folder.path))
    // A width that does not divide the stream's.
    try AdapterFolder.save(backbone.adapted(by: .houlsby(width: 5)), to: folder, as: .adapterHub)
    let config = try JSONValue(contentsOf: folder.appending(path: "adapter_config.json"))
    let factor = try #require(config["config"]?["reduction_factor"]?.double)
    #expect((12 / factor).rounded(.down) == 5)
    #expect(throws: Never.self) { try AdapterFolder.load(from: folder, onto: backbone) }
  }
}
