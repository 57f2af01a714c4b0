import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// Adapters that AdapterHub wrote for text encoders, with what each computes there.
@Suite final class AdapterHubTextTests {
  let fixtures: URL
  let folder = FileManager.default.temporaryDirectory.appending(path: "adapterhub-\(UUID().uuidString)")

  init() throws { fixtures = try #require(Bundle.module.resourceURL).appending(path: "Fixtures") }

  deinit { try? FileManager.default.removeItem(at: folder) }

  static let families = ["bert", "minilm", "roberta", "distilbert"]
  static let cases = ["lora", "sequential", "double", "parallel"]

  func backbone(_ family: String) throws -> TextTransformer {
    try TextTransformer(
      from: fixtures.appending(path: "peft/\(family)"), pooling: family == "bert" ? .pooler : .classToken)
  }

  func expectParity(_ model: AdaptedModel, _ family: String, _ name: String) throws {
    let input = try Fixture("peft/\(family)/reference")["input"]
    let reference = try Fixture("adapterhub-text/\(family)/\(name)/reference")
    try expectClose(model.features(input), reference["features"], tolerance: 1e-5)
    #expect(try model.features(input).distance(to: model.backbone.features(input)) > 1e-2)
    if family == "bert" { try expectClose(model.logits(input), reference["logits"], tolerance: 1e-5) }
  }

  @Test(arguments: families, cases) func `an adapter that AdapterHub wrote gives its numbers`(
    _ family: String, _ name: String
  ) throws {
    let source = fixtures.appending(path: "adapterhub-text/\(family)/\(name)")
    let loaded = try AdapterFolder.read(from: source, onto: backbone(family))
    #expect(loaded.format == .adapterHub)
    let isLeftOut = ["roberta", "distilbert"].contains(family)
    #expect(
      loaded.notes == (isLeftOut ? ["its head was left out: it is no one layer on this backbone's features"] : []))
    #expect((loaded.model.head != nil) == (family == "bert"))
    try expectParity(loaded.model, family, name)
  }

  @Test(arguments: families, cases) func `written again, it is the same adapter under another name`(
    _ family: String, _ name: String
  ) throws {
    let source = fixtures.appending(path: "adapterhub-text/\(family)/\(name)")
    let backbone = try backbone(family)
    let loaded = try AdapterFolder.read(from: source, onto: backbone)
    try AdapterFolder.save(loaded.model, to: folder, as: .adapterHub)
    let theirs = try SafetensorsFile(contentsOf: source.appending(path: "adapter.safetensors"))
    let ours = try SafetensorsFile(contentsOf: folder.appending(path: "adapter.safetensors"))
    #expect(Set(ours.names) == Set(theirs.names.map { $0.replacing(".pets.", with: ".graft.") }))
    try expectParity(AdapterFolder.load(from: folder, onto: backbone), family, name)
    let (config, original) = (
      try JSONValue(contentsOf: folder.appending(path: "adapter_config.json")),
      try JSONValue(contentsOf: source.appending(path: "adapter_config.json"))
    )
    #expect(config["model_type"] == original["model_type"])
    for (key, value) in original["config"]?.object?.members ?? [] where key != "init_weights" {
      #expect(config["config"]?[key]?.double == value.double, "\(key)")
      if value.double == nil { #expect(config["config"]?[key] == value, "\(key)") }
    }
  }

  @Test func `without a choice of its input, Pfeiffer's is AdapterHub's sequential bottleneck`() throws {
    let backbone = try backbone("minilm")
    let source = fixtures.appending(path: "adapterhub-text/minilm/sequential")
    let theirs = try AdapterFolder.load(from: source, onto: backbone)
    let ours = try backbone.adapted(by: Pfeiffer(width: 3))
    for (parameter, other) in zip(ours.parameters, theirs.parameters) { try parameter.load(other.value) }
    try expectParity(ours, "minilm", "sequential")
    try AdapterFolder.save(ours, to: folder, as: .adapterHub)
    try expectParity(AdapterFolder.load(from: folder, onto: backbone), "minilm", "sequential")
  }

  @Test func `Adapter+ leaves the LayerNorm behind the sum out there, which is refused both ways`() throws {
    let backbone = try backbone("minilm")
    let source = fixtures.appending(path: "adapterhub-text/minilm/plus")
    #expect(
      try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: source, onto: backbone) }.description
        .contains(#""original_ln_after" is false, and no method here leaves out the LayerNorm behind the sum."#))
    let model = try backbone.adapted(by: AdapterPlus(width: 3))
    #expect(
      try thrown(AdapterFolderError.self) { try AdapterFolder.save(model, to: folder, as: .adapterHub) }.description
        .contains("its Adapter+ leaves out the LayerNorm behind the sum, which this one does not."))
  }
}
