import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

/// A small random model, as its own library wrote it, and what that library computes: see `Fixtures/README.md`.
struct Fixture: Sendable, CustomTestStringConvertible {
  let name: String
  var testDescription: String { name }

  static let folder = Bundle.module.bundleURL.appendingPathComponent("Fixtures")
  static let all = [
    "hf-clip", "hf-clip-vision", "hf-clip-vision-projection", "hf-deit", "hf-dinov2", "hf-dinov2-registers", "hf-vit",
    "hf-vit-base", "hf-vit-names5", "open-clip", "open-clip-quickgelu", "timm-deit-distilled", "timm-deit3",
    "timm-dinov2", "timm-dinov2-registers", "timm-vit", "timm-vit-clip", "timm-vit-clip-quickgelu",
    "timm-vit-no-config",
  ].map(Fixture.init)

  var url: URL { Self.folder.appendingPathComponent(name) }

  func model(pooling: VisionTransformerConfiguration.Pooling? = nil) throws -> VisionTransformer {
    try VisionTransformer(from: url, pooling: pooling)
  }

  func reference() throws -> SafetensorsFile {
    try SafetensorsFile(contentsOf: url.appendingPathComponent("reference.safetensors"))
  }

  static func model(_ name: String) throws -> VisionTransformer { try Fixture(name: name).model() }
  static func input(_ name: String) throws -> Tensor { try Fixture(name: name).reference().tensor("input") }
}

/// A folder for one test, removed when it is let go.
final class TemporaryFolder: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("graft-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }
}

/// A fixture's weights and configuration, to be damaged and loaded.
struct Checkpoint {
  var tensors: [String: Tensor]
  /// JSON files by their names.
  var files: [String: JSONValue] = [:]

  init(_ fixture: String) throws {
    let url = Fixture(name: fixture).url
    let file = try SafetensorsFile(contentsOf: url.appendingPathComponent("model.safetensors"))
    tensors = try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0)) })
    for name in ["config.json", "open_clip_config.json", "modules.json", "1_Pooling/config.json"] {
      let config = url.appendingPathComponent(name)
      if FileManager.default.fileExists(atPath: config.path) { files[name] = try JSONValue(contentsOf: config) }
    }
  }

  mutating func rename(_ name: String, to other: String) throws {
    let removed = tensors.removeValue(forKey: name)
    let tensor: Tensor = try #require(removed)
    tensors[other] = tensor
  }

  /// Sets a key of `config.json`; nil takes it out.
  mutating func configure(_ key: String, _ value: JSONValue?) throws {
    var object = try #require(files["config.json"]?.object)
    object[key] = value
    files["config.json"] = .object(object)
  }

  func write(to folder: URL) throws {
    var writer = SafetensorsWriter()
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) { try writer.add(name, tensor) }
    try writer.write(to: folder.appendingPathComponent("model.safetensors"))
    for (name, json) in files {
      let file = folder.appendingPathComponent(name)
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try json.data().write(to: file)
    }
  }

  func load(
    pooling: VisionTransformerConfiguration.Pooling? = nil, heads: Int? = nil,
    activation: VisionTransformerConfiguration.Activation? = nil
  ) throws -> VisionTransformer {
    let folder = try TemporaryFolder()
    try write(to: folder.url)
    return try VisionTransformer(from: folder.url, pooling: pooling, heads: heads, activation: activation)
  }

  func loadText(pooling: TextTransformerConfiguration.Pooling? = nil) throws -> TextTransformer {
    let folder = try TemporaryFolder()
    try write(to: folder.url)
    return try TextTransformer(from: folder.url, pooling: pooling)
  }

  /// What loading says. Mentions of the temporary folder read `FOLDER`.
  func refusal(heads: Int? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
    try refusal(sourceLocation: sourceLocation) { _ = try VisionTransformer(from: $0, heads: heads) }
  }

  func refusal(sourceLocation: SourceLocation = #_sourceLocation, opening open: (URL) throws -> Void) throws -> String {
    let folder = try TemporaryFolder()
    try write(to: folder.url)
    let error = #expect(throws: (any Error).self, sourceLocation: sourceLocation) { try open(folder.url) }
    return "\(try #require(error, sourceLocation: sourceLocation))"
      .replacingOccurrences(of: folder.url.path, with: "FOLDER")
  }
}

func expectClose(
  _ found: Tensor, _ expected: Tensor, tolerance: Double, _ what: Comment? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  #expect(found.shape == expected.shape, what, sourceLocation: sourceLocation)
  guard found.shape == expected.shape else { return }
  let distance = try found.distance(to: expected)
  // Written so that NaN fails.
  #expect(distance <= tolerance, what, sourceLocation: sourceLocation)
}

/// The error that `body` throws, as the type it should have.
func thrown<Failure: Error>(
  _ type: Failure.Type = Failure.self, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) throws -> Failure {
  try #require(#expect(throws: type, sourceLocation: sourceLocation, performing: body), sourceLocation: sourceLocation)
}

/// Values put in the place of some of a backbone's own tensors.
struct Replacing: Adaptation {
  var values: [String: Tensor]
  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor { try linear(input) }
  func value(of name: String, original: Tensor) -> Tensor { values[name] ?? original }
}
