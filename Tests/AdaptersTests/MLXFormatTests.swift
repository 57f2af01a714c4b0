import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite final class MLXFormatTests {
  let fixtures: URL
  let backbone: VisionTransformer
  let folder = FileManager.default.temporaryDirectory.appending(path: "mlx-\(UUID().uuidString)")

  init() throws {
    fixtures = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/peft/vit")
    backbone = try VisionTransformer(from: fixtures)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  @Test(arguments: ["mlx-lora", "mlx-dora"])
  func `an adapter in mlx-lm's layout gives the numbers of the same one in PEFT's`(_ name: String) throws {
    let loaded = try AdapterFolder.read(from: fixtures.appending(path: name), onto: backbone)
    #expect(loaded.format == .mlx && loaded.notes == [])
    let input = try Fixture("peft/vit/reference")["input"]
    try expectClose(loaded.model.features(input), Fixture("peft/vit/\(name)/reference")["features"], tolerance: 1e-5)
    #expect(type(of: loaded.model.adapter.configuration).method == (name == "mlx-lora" ? "LORA" : "DORA"))
  }

  @Test(arguments: ["mlx-lora", "mlx-dora"])
  func `written again, the tensors are the same bytes and the configuration says the same`(_ name: String) throws {
    let source = fixtures.appending(path: name)
    try AdapterFolder.save(AdapterFolder.load(from: source, onto: backbone), to: folder, as: .mlx)
    let theirs = try SafetensorsFile(contentsOf: source.appending(path: "adapters.safetensors"))
    let ours = try SafetensorsFile(contentsOf: folder.appending(path: "adapters.safetensors"))
    #expect(Set(ours.names) == Set(theirs.names))
    for name in theirs.names { #expect(try ours.tensor(name).isEqual(to: theirs.tensor(name)), "\(name)") }
    let (config, original) = (
      try JSONValue(contentsOf: folder.appending(path: "adapter_config.json")),
      try JSONValue(contentsOf: source.appending(path: "adapter_config.json"))
    )
    for key in ["fine_tune_type", "num_layers", "lora_parameters"] { #expect(config[key] == original[key]) }
  }

  @Test func `num_layers counts from the last block`() throws {
    var model = try backbone.adapted(by: .lora(rank: 2), at: .mlp, blocks: .last(1))
    try model.adapter.perturb()
    try AdapterFolder.save(model, to: folder, as: .mlx)
    let config = try JSONValue(contentsOf: folder.appending(path: "adapter_config.json"))
    #expect(config["num_layers"] == 1 && config["lora_parameters"]?["keys"] == ["mlp.fc1", "mlp.fc2"])
    #expect(config["lora_parameters"]?["scale"] == 2.0)
    let again = try AdapterFolder.load(from: folder, onto: backbone)
    #expect(again.adapter.sites == model.adapter.sites)
    let input = try Fixture("peft/vit/reference")["input"]
    #expect(try again.features(input).isEqual(to: model.features(input)))
    model.head = try Head(classes: ["a", "b"], features: 12, generator: Generator(seed: 1))
    #expect(
      throws: AdapterFolderError.notWritable(
        .mlx, "mlx-lm has no place for a head (leave it out), or for biases that train.")
    ) {
      try AdapterFolder.save(model, to: folder, as: .mlx)
    }
  }

  @Test func `what mlx-lm has and this program has not is refused by name`() throws {
    try FileManager.default.copyItem(at: fixtures.appending(path: "mlx-lora"), to: folder)
    let file = folder.appending(path: "adapter_config.json")
    var config = try #require(try JSONValue(contentsOf: file).object)
    config["fine_tune_type"] = "full"
    try JSONValue.object(config).data().write(to: file)
    #expect(
      try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: folder, onto: backbone) }.description
        == "The adapter in \(folder.path) cannot be read: \"fine_tune_type\" is \"full\", and of mlx-lm's \"lora\" and "
        + "\"dora\" are read.")
    config["fine_tune_type"] = "lora"
    config["num_layers"] = 3
    try JSONValue.object(config).data().write(to: file)
    #expect(
      try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: folder, onto: backbone) }.description
        .hasSuffix(#""num_layers" is 3, and this backbone has 2 blocks."#))
  }

  @Test func `ranks that differ cannot be said`() throws {
    var lora = LoRA(rank: 2)
    lora.overrides["blocks.0.mlp.fc1"] = SiteOverride(rank: 3)
    let error = try thrown(AdapterFolderError.self) {
      try AdapterFolder.save(backbone.adapted(by: lora, at: .mlp), to: folder, as: .mlx)
    }
    #expect(error.description.contains("cannot be written for mlx-lm: mlx-lm has one rank and one scale"))
    #expect(!FileManager.default.fileExists(atPath: folder.path))
  }
}
