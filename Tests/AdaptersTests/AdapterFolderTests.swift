import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite final class AdapterFolderTests {
  let folder = FileManager.default.temporaryDirectory.appending(path: "adapter-\(UUID().uuidString)")
  let backbone: TinyBackbone

  init() throws { backbone = try TinyBackbone() }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func saved(_ configuration: some AdapterConfiguration = .kronecker(dimension: 3)) throws -> AdaptedModel {
    var model = try backbone.adapted(by: configuration, at: .qkv)
    try model.adapter.perturb()
    model.head = try Head(classes: ["cat", "dog"], features: 12, generator: Generator(seed: 2))
    try model.save(to: folder)
    return model
  }

  func edit(_ change: (inout JSONObject) -> Void) throws {
    let file = folder.appending(path: "graft.json")
    var details = try #require(try JSONValue(contentsOf: file).object)
    change(&details)
    try JSONValue.object(details).data().write(to: file)
  }

  func refusal() throws -> AdapterFolderError {
    try thrown(AdapterFolderError.self) { _ = try backbone.adapted(from: folder) }
  }

  @Test func `the same adapter gives the same bytes, and none is written over`() throws {
    let model = try saved()
    func contents(_ folder: URL) throws -> [String: Data] {
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      return try Dictionary(uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: folder.appending(path: $0))) })
    }
    let first = try contents(folder)
    #expect(Set(first.keys) == ["adapter_config.json", "adapter_model.safetensors", "graft.json", "head.safetensors"])
    let other = folder.appendingPathExtension("again")
    defer { try? FileManager.default.removeItem(at: other) }
    try model.save(to: other)
    #expect(try contents(other) == first)
    try model.adapter.perturb()
    let error = try thrown(FileError.self) { try model.save(to: folder) }
    #expect(error.description.contains(folder.path) && error.description.contains("exists"))
    #expect(try contents(folder) == first)
  }

  @Test func `a saved adapter knows how it started`() throws {
    let fresh = try backbone.adapted(by: .kronecker(dimension: 3), at: .qkv).adapter.parameters
    let model = try saved()
    #expect(model.adapter.initialSeed != nil)
    let loaded = try backbone.adapted(from: folder).adapter
    #expect(loaded.initialSeed == model.adapter.initialSeed)
    let initial = try #require(try loaded.initial(of: backbone)).parameters
    for (initial, (fresh, moved)) in zip(initial, zip(fresh, loaded.parameters)) {
      #expect(try initial.value.isEqual(to: fresh.value))
      #expect(try !initial.value.isEqual(to: moved.value))
    }
    try edit { $0["initial_seed"] = nil }
    #expect(try backbone.adapted(from: folder).adapter.initialSeed == nil)
    try edit { $0["initial_seed"] = "-1" }
    #expect(try refusal() == .details(folder.appending(path: "graft.json").path))
  }

  @Test func `a folder without an adapter is refused`() throws {
    #expect(try refusal() == .noAdapter(folder.path))
  }

  @Test func `weights of another sha256 are refused unless allowed`() throws {
    let model = try saved()
    try edit { $0["backbone"] = ["fingerprint": "0123456789abcdef", "feature_width": 12] }
    let error = try refusal()
    #expect(error == .otherBackbone(folder.path, expected: "0123456789abcdef", found: "tiny"))
    #expect(error.description.contains("was trained on another network, 0123456789ab… where this one is tiny…:"))
    let loaded = try AdapterFolder.load(from: folder, onto: backbone, allowingOtherBackbone: true)
    let input = try Tensor.normal([2, 3, 12], from: Generator(seed: 1))
    #expect(try loaded.logits(input).isEqual(to: model.logits(input)))
  }

  @Test func `a newer format, missing details and an unknown site are refused`() throws {
    _ = try saved()
    try edit { $0["sites"] = ["blocks.0.attn.qvk"] }
    #expect(try refusal().description.contains("no site 'blocks.0.attn.qvk'. Did you mean 'blocks.0.attn.qkv'"))
    try edit { $0["sites"] = nil }
    #expect(try refusal() == .details(folder.appending(path: "graft.json").path))
    try edit { $0["format_version"] = 4 }
    #expect(try refusal() == .version(folder.path, 4))
    try edit { $0["format_version"] = "one" }
    #expect(try refusal() == .version(folder.path, nil))
  }

  @Test func `tensors of another adapter are refused, with both sides named`() throws {
    _ = try saved()
    try edit { $0["sites"] = ["blocks.0.attn.qkv", "blocks.1.attn.proj"] }
    guard case .names(_, let missing, let unexpected) = try refusal() else {
      Issue.record("not the names")
      return
    }
    #expect(missing == ["U", "V", "bias"].map { "blocks.1.attn.proj.\($0)" })
    #expect(unexpected == ["U", "V", "bias"].map { "blocks.1.attn.qkv.\($0)" })
  }

  @Test func `tensors of another shape are refused`() throws {
    _ = try saved(.kronecker(dimension: 3, rank: 2))
    try edit { details in
      var settings = details["settings"]?.object ?? JSONObject()
      settings["rank"] = 3
      details["settings"] = .object(settings)
    }
    #expect(
      try refusal()
        == .shape(
          "blocks.0.attn.qkv.U", file: folder.appending(path: "adapter_model.safetensors").path, expected: [3, 4, 3],
          found: [3, 4, 2]))
  }

  @Test func `an adapter with NaN is not written`() throws {
    let model = try saved()
    try withoutGradients { try model.adapter.parameter("shared.rho").value.fillInPlace(.nan) }
    let before = try Data(contentsOf: folder.appending(path: "adapter_model.safetensors"))
    let error = try thrown(AdapterFolderError.self) { try model.save(to: folder) }
    #expect(error == .notFinite("shared.rho", file: nil))
    #expect(try Data(contentsOf: folder.appending(path: "adapter_model.safetensors")) == before)
  }
}
