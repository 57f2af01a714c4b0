import Foundation
import Tensors
import Testing

@testable import Formats
@testable import NeuralNetworks

/// From the backbone's tensors back to the file's.
@Suite struct PretrainedFolderTests {
  private func write(_ folder: PretrainedFolder, _ changes: PretrainedFolder.Changes) throws -> TemporaryFolder {
    let output = try TemporaryFolder()
    _ = try folder.write(changes, to: output.url)
    return output
  }

  private func weights(_ folder: URL) throws -> Data {
    try Data(contentsOf: folder.appendingPathComponent("model.safetensors"))
  }

  @Test(arguments: Fixture.all)
  func `with the values it has, a checkpoint is written byte for byte`(_ fixture: Fixture) throws {
    let folder = try PretrainedFolder(fixture.url)
    let model = try fixture.model()
    let changes = try folder.changes(Dictionary(uniqueKeysWithValues: model.tensors.map { ($0.name, $0.tensor) }))
    #expect(changes.tensors.isEmpty && changes.roundings.isEmpty)
    let output = try write(folder, changes)
    #expect(try weights(output.url) == weights(fixture.url))
    #expect(try PretrainedFolder(output.url).digest == folder.digest)
    #expect(try VisionTransformer(from: output.url).fingerprint == model.fingerprint)
  }

  @Test(arguments: Fixture.all)
  func `other values in every tensor are what a network read from the new checkpoint has`(_ fixture: Fixture) throws {
    let folder = try PretrainedFolder(fixture.url)
    let model = try fixture.model()
    let generator = try Generator(seed: 4)
    var values: [String: Tensor] = [:]
    for (name, tensor) in model.tensors {
      // Multiples of 1/64 are exact in half precision as well.
      values[name] = try (Tensor.normal(tensor.shape, from: generator) * 64).rounded() * (1.0 / 64)
    }
    let changes = try folder.changes(values)
    #expect(Set(changes.tensors.keys) == Set(model.tensors.flatMap { folder.sources(of: $0.name) }))
    #expect(changes.roundings.allSatisfy { $0.loss == 0 })
    let output = try write(folder, changes)
    let written = try VisionTransformer(from: output.url)
    #expect(written.configuration == model.configuration)
    for (name, tensor) in written.tensors { #expect(try tensor.isEqual(to: #require(values[name])), "\(name)") }
    // What is no part of the image tower, or stands beside it, is as it was; so are the header and its metadata.
    let (old, new) = (try ShardedSafetensors(in: fixture.url), try ShardedSafetensors(in: output.url))
    #expect(old.tensors == new.tensors)
    for name in old.names where changes.tensors[name] == nil {
      #expect(try old.tensor(name).isEqual(to: new.tensor(name)), "\(name)")
    }
    let start = try #require(old.tensors.map(\.byteRange.lowerBound).min())
    #expect(try weights(output.url).prefix(start) == weights(fixture.url).prefix(start))
  }

  @Test func `values of the queries change the queries' tensor alone`() throws {
    let folder = try PretrainedFolder(Fixture(name: "hf-vit").url)
    let weight = try #require(
      try Fixture.model("hf-vit").tensors.first { $0.name == "blocks.1.attn.qkv.weight" }
    ).tensor
    let moved = try weight.clone()
    try moved.narrowed(0, 0..<24).fillInPlace(0.5)
    let changes = try folder.changes(["blocks.1.attn.qkv.weight": moved])
    #expect(Array(changes.tensors.keys) == ["vit.encoder.layer.1.attention.attention.query.weight"])
    #expect(try #require(changes.tensors.values.first).isEqual(to: .full(0.5, [24, 24])))
  }

  @Test func `half precision is rounded once, and what that lost is told`() throws {
    let folder = try PretrainedFolder(Fixture(name: "timm-vit-no-config").url)
    let model = try Fixture.model("timm-vit-no-config")
    let weight = try #require(model.tensors.first { $0.name == "blocks.0.mlp.fc1.weight" }).tensor
    // A third of float16's spacing for numbers from 1 to 2 is lost whole on the larger ones and kept on small ones.
    let wanted = try weight + 0.0003
    let changes = try folder.changes(["blocks.0.mlp.fc1.weight": wanted])
    let written = try #require(changes.tensors["blocks.0.mlp.fc1.weight"])
    #expect(written.dtype == .float16)
    #expect(try written.isEqual(to: wanted.to(.float16)))
    let rounding = try #require(changes.roundings.first)
    #expect(changes.roundings.count == 1 && rounding.dtype == .float16 && rounding.tensors == 1)
    let lost: Double = try (written.to(.float64) - wanted.to(.float64)).norm().item()
    let change: Double = try (wanted.to(.float64) - weight.to(.float64)).norm().item()
    #expect(abs(rounding.loss - lost / change) < 1e-9)
    #expect(rounding.loss > 0.01)
  }

  @Test func `what the file has no place for is refused by name`() throws {
    let folder = try PretrainedFolder(Fixture(name: "hf-vit-base").url)
    func refusal(_ values: [String: Tensor]) throws -> PretrainedFolderError {
      try thrown { _ = try folder.changes(values) }
    }
    let bias = try refusal(["blocks.0.attn.qkv.bias": .zeros([72])])
    #expect(bias == .noPlace("blocks.0.attn.qkv.bias", folder: folder.url.path))
    #expect(bias.description.contains("the map 'blocks.0.attn.qkv' has no bias there"))
    #expect(
      try refusal(["blocks.0.attn.qkv.weight": .zeros([71, 24])])
        == .shape("blocks.0.attn.qkv.weight", expected: [72, 24], found: [71, 24]))
    #expect(
      try refusal(["blocks.0.mlp.fc1.weight": .zeros([36, 23])])
        == .shape("blocks.0.mlp.fc1.weight", expected: [36, 24], found: [36, 23]))
  }

  @Test func `numbers that are not finite in the file's type are refused`() throws {
    let half = try PretrainedFolder(Fixture(name: "timm-vit-no-config").url)
    let large = try Tensor.full(1e5, [128])
    let error: PretrainedFolderError = try thrown { _ = try half.changes(["norm.weight": large]) }
    #expect(error == .notFinite("norm.weight", .float16))
    #expect(error.description.contains("'norm.weight' would hold NaN or infinity as float16"))
    let single = try PretrainedFolder(Fixture(name: "timm-vit").url)
    #expect(
      try thrown(PretrainedFolderError.self) { _ = try single.changes(["norm.weight": .full(.nan, [24])]) }
        == .notFinite("norm.weight", .float32))
  }

  /// `hf-vit` in two shards.
  private func sharded() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    let file = try SafetensorsFile(contentsOf: Fixture(name: "hf-vit").url.appendingPathComponent("model.safetensors"))
    var map = JSONObject()
    for (part, names) in [file.names.filter { $0.contains("layer.0") }, file.names.filter { !$0.contains("layer.0") }]
      .enumerated()
    {
      let shard = "model-0000\(part + 1)-of-00002.safetensors"
      var writer = SafetensorsWriter(metadata: ["format": "pt"])
      for name in names {
        try writer.add(name, file.tensor(name))
        map[name] = .string(shard)
      }
      try writer.write(to: folder.url.appendingPathComponent(shard))
    }
    let index: JSONValue = ["metadata": ["total_size": 1], "weight_map": .object(map)]
    try index.data().write(to: folder.url.appendingPathComponent("model.safetensors.index.json"))
    try FileManager.default.copyItem(
      at: Fixture(name: "hf-vit").url.appendingPathComponent("config.json"),
      to: folder.url.appendingPathComponent("config.json"))
    return folder
  }

  @Test func `shards stay shards, with their index`() throws {
    let input = try sharded()
    let folder = try PretrainedFolder(input.url)
    let value = try Tensor.full(0.25, [24])
    let output = try write(folder, folder.changes(["blocks.1.norm1.bias": value]))
    func bytes(_ url: URL, _ name: String) throws -> Data { try Data(contentsOf: url.appendingPathComponent(name)) }
    let names = try FileManager.default.contentsOfDirectory(atPath: input.url.path).sorted()
    #expect(try FileManager.default.contentsOfDirectory(atPath: output.url.path).sorted() == names)
    for name in names {
      #expect(try (bytes(output.url, name) == bytes(input.url, name)) == (name != "model-00002-of-00002.safetensors"))
    }
    let written = try VisionTransformer(from: output.url)
    #expect(try #require(written.tensors.first { $0.name == "blocks.1.norm1.bias" }).tensor.isEqual(to: value))
  }

  @Test func `other files are copied, through links too; weights in other formats, digests and folders are not`() throws
  {
    let input = try TemporaryFolder()
    let manager = FileManager.default
    for name in ["model.safetensors", "config.json"] {
      try manager.copyItem(
        at: Fixture(name: "hf-vit").url.appendingPathComponent(name), to: input.url.appendingPathComponent(name))
    }
    func put(_ name: String) throws { try Data(name.utf8).write(to: input.url.appendingPathComponent(name)) }
    for name in [
      "README.md", "preprocessor_config.json", "pytorch_model.bin", "open_clip_model.safetensors", "manifest.json",
      ".gitattributes", "model.onnx", "private.json",
    ] { try put(name) }
    try manager.createDirectory(at: input.url.appendingPathComponent("onnx"), withIntermediateDirectories: true)
    try manager.createSymbolicLink(
      atPath: input.url.appendingPathComponent("LICENSE").path, withDestinationPath: "README.md")
    let output = try TemporaryFolder()
    let leftOut = try PretrainedFolder(input.url)
      .write(PretrainedFolder.Changes(), to: output.url, leavingOut: ["private.json"])
    #expect(
      try manager.contentsOfDirectory(atPath: output.url.path).sorted()
        == ["LICENSE", "README.md", "config.json", "model.safetensors", "preprocessor_config.json"])
    #expect(try String(contentsOf: output.url.appendingPathComponent("LICENSE"), encoding: .utf8) == "README.md")
    let type = try manager.attributesOfItem(atPath: output.url.appendingPathComponent("LICENSE").path)[.type]
    #expect(type as? FileAttributeType == .typeRegular)
    #expect(
      leftOut.map(\.description) == [
        ".gitattributes: a hidden file", "manifest.json: its digests are those of the unchanged files",
        "model.onnx: weights that are not changed", "onnx: a folder",
        "open_clip_model.safetensors: weights that are not changed", "pytorch_model.bin: weights that are not changed",
      ])
  }

  @Test func `a link that leads out of the folder is refused`() throws {
    let (input, outside) = (try TemporaryFolder(), try TemporaryFolder())
    try FileManager.default.copyItem(
      at: Fixture(name: "hf-vit").url.appendingPathComponent("model.safetensors"),
      to: input.url.appendingPathComponent("model.safetensors"))
    let secret = outside.url.appendingPathComponent("secret.txt")
    try Data("key".utf8).write(to: secret)
    try FileManager.default.createSymbolicLink(
      atPath: input.url.appendingPathComponent("notes.txt").path, withDestinationPath: secret.path)
    let folder = try PretrainedFolder(input.url)
    let output = try TemporaryFolder()
    let error: ContainedPathError = try thrown {
      _ = try folder.write(PretrainedFolder.Changes(), to: output.url)
    }
    guard case .linkOutside = error.reason else {
      Issue.record("\(error)")
      return
    }
    #expect(error.name == "notes.txt")
  }

  @Test func `a shard outside the folder is refused`() throws {
    let input = try sharded()
    let index = input.url.appendingPathComponent("model.safetensors.index.json")
    let text = try String(contentsOf: index, encoding: .utf8)
    try text.replacing("model-00002-of-00002.safetensors", with: "../model-00002-of-00002.safetensors")
      .write(to: index, atomically: true, encoding: .utf8)
    let error: ShardedSafetensorsError = try thrown { _ = try PretrainedFolder(input.url) }
    #expect(error.description.contains("it holds '..'"))
  }
}
