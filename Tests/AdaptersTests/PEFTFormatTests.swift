import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct PEFTFormatTests {
  let fixtures: URL
  let backbone: VisionTransformer

  init() throws {
    fixtures = try #require(Bundle.module.resourceURL).appending(path: "Fixtures")
    backbone = try VisionTransformer(from: fixtures.appending(path: "peft-backbone"))
  }

  /// What PEFT wrote, with the pretrained classifier as the head.
  func model(_ name: String) throws -> AdaptedModel {
    var model = try backbone.adapted(from: fixtures.appending(path: name))
    let classifier = try #require(backbone.beside.classifier)
    let head = try Head(classes: ["a", "b", "c", "d", "e"], features: 24, generator: Generator(seed: 1))
    try head.weight.load(classifier.weight)
    try head.bias.load(#require(classifier.bias))
    model.head = head
    return model
  }

  @Test(arguments: ["peft-lora", "peft-rslora"])
  func `an adapter that PEFT wrote gives PEFT's numbers`(_ name: String) throws {
    let reference = try Fixture("\(name)/reference")
    let model = try model(name)
    let input = try reference["input"].clone().requiringGradient()
    try expectClose(model.features(input), reference["features"], tolerance: 1e-5)
    let logits = try model.logits(input)
    try expectClose(logits, reference["logits"], tolerance: 1e-5)
    #expect(try logits.distance(to: reference["logits.disabled"]) > 0.1)
    let loss = try (logits * reference["logits.weights"]).sum()
    let parameters = model.adapter.parameters
    let found = try gradients(of: loss, parameters.map(\.value) + [input])
    for (parameter, gradient) in zip(parameters, found) {
      try expectClose(
        gradient, reference["gradient.base_model.model.\(parameter.name).weight"], tolerance: 2e-5)
    }
    try expectClose(#require(found.last), reference["gradient.input"], tolerance: 2e-5)
    let site = try #require(backbone.sites.first { $0.name == "blocks.1.attn.qkv" })
    let delta = try #require(try model.adapter.delta(at: site)?.weight)
    try expectClose(
      delta.merged(into: backbone.linear(at: site).weight), reference["merged.blocks.1.attn.qkv.weight"],
      tolerance: 1e-6)
  }

  @Test(arguments: ["peft-lora", "peft-rslora"])
  func `written again, the tensors are the same bytes under the same names`(_ name: String) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "peft-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try backbone.adapted(from: fixtures.appending(path: name)).save(to: folder)
    let theirs = try SafetensorsFile(contentsOf: fixtures.appending(path: "\(name)/adapter_model.safetensors"))
    let ours = try SafetensorsFile(contentsOf: folder.appending(path: "adapter_model.safetensors"))
    #expect(Set(ours.names) == Set(theirs.names))
    for tensor in theirs.names { #expect(try ours.tensor(tensor).isEqual(to: theirs.tensor(tensor)), "\(tensor)") }
    let configuration = try JSONValue(contentsOf: folder.appending(path: "adapter_config.json"))
    let scale = try #require(configuration["lora_alpha"]?.double) / 4
    #expect(configuration["peft_type"]?.string == "LORA" && configuration["r"]?.integer == 4)
    // Ours always divides by the rank: 6/√4 is 12/4.
    #expect(scale == (name == "peft-lora" ? 1.5 : 3) && configuration["use_rslora"]?.bool == false)
    let targets = try #require(configuration["target_modules"]?.array).compactMap(\.string)
    #expect(
      targets
        == Set(theirs.names.map { $0.dropFirst("base_model.model.".count).dropLast(".lora_A.weight".count) }).map(
          String.init
        ).sorted())
  }

  @Test func `what is not read is refused, not passed over`() throws {
    let patterns = try thrown(AdapterFolderError.self) { _ = try model("peft-lora-patterns") }
    let folder = fixtures.appending(path: "peft-lora-patterns").path
    #expect(patterns.description.hasPrefix("The adapter in \(folder) cannot be read: it sets "))
    let convolution = try thrown(AdapterFolderError.self) { _ = try model("peft-lora-convolution") }
    guard case .names(_, let missing, let unexpected) = convolution else {
      Issue.record("\(convolution)")
      return
    }
    #expect(missing == [])
    #expect(
      unexpected == [
        "base_model.model.patch_embed.proj.lora_A.weight", "base_model.model.patch_embed.proj.lora_B.weight",
      ])
  }
}
