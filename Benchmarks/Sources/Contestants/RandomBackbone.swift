import Formats
import Foundation
import NeuralNetworks
import Tensors

/// Networks with random weights, written and read as files of other libraries: what a step costs does not depend on the
/// values.
public enum RandomBackbone {
  private static let width = 384

  /// A ViT-S/16 at 224 pixels, in timm's names.
  public static func visionTransformerSmall() throws -> VisionTransformer {
    try written { weights in
      try weights.add("cls_token", [1, 1, width])
      try weights.add("pos_embed", [1, 197, width])
      try weights.addAffine("patch_embed.proj", [width, 3, 16, 16])
      try weights.addNorm("norm")
      for block in 0..<12 {
        for (name, shape) in [
          ("attn.qkv", [3 * width, width]), ("attn.proj", [width, width]), ("mlp.fc1", [4 * width, width]),
          ("mlp.fc2", [width, 4 * width]),
        ] { try weights.addAffine("blocks.\(block).\(name)", shape) }
        for name in ["norm1", "norm2"] { try weights.addNorm("blocks.\(block).\(name)") }
      }
    } read: {
      try VisionTransformer(from: $0)
    }
  }

  /// A BERT of the shape of MiniLM-L6, mean pooling.
  public static func miniLM() throws -> TextTransformer {
    try written { weights in
      try weights.add("embeddings.word_embeddings.weight", [30_522, width])
      try weights.add("embeddings.position_embeddings.weight", [512, width])
      try weights.add("embeddings.token_type_embeddings.weight", [2, width])
      try weights.addNorm("embeddings.LayerNorm")
      for block in 0..<6 {
        for (name, shape) in [
          ("attention.self.query", [width, width]), ("attention.self.key", [width, width]),
          ("attention.self.value", [width, width]), ("attention.output.dense", [width, width]),
          ("intermediate.dense", [4 * width, width]), ("output.dense", [width, 4 * width]),
        ] { try weights.addAffine("encoder.layer.\(block).\(name)", shape) }
        for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
          try weights.addNorm("encoder.layer.\(block).\(name)")
        }
      }
      let configuration: JSONValue = [
        "model_type": "bert", "hidden_size": .integer(width), "num_hidden_layers": 6, "num_attention_heads": 12,
        "intermediate_size": .integer(4 * width), "hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": 30_522,
        "max_position_embeddings": 512, "type_vocab_size": 2, "pad_token_id": 0,
      ]
      try AtomicFile.write(configuration.text(), to: weights.folder.appendingPathComponent("config.json"))
    } read: {
      try TextTransformer(from: $0, pooling: .mean)
    }
  }

  private static func written<Network>(
    _ fill: (inout RandomWeights) throws -> Void, read: (URL) throws -> Network
  ) throws -> Network {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("graft-benchmark-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var weights = RandomWeights(folder: folder, generator: try Generator(seed: 1))
    try fill(&weights)
    try weights.writer.write(to: folder.appendingPathComponent("model.safetensors"))
    return try read(folder)
  }
}

private struct RandomWeights {
  let folder: URL
  let generator: Generator
  var writer = SafetensorsWriter()

  mutating func add(_ name: String, _ shape: [Int], mean: Double = 0) throws {
    try writer.add(name, Tensor.normal(shape, mean: mean, deviation: 0.02, from: generator))
  }

  mutating func addAffine(_ name: String, _ shape: [Int]) throws {
    try add("\(name).weight", shape)
    try add("\(name).bias", [shape[0]])
  }

  mutating func addNorm(_ name: String) throws {
    try add("\(name).weight", [384], mean: 1)
    try add("\(name).bias", [384])
  }
}
