import Formats
import Foundation
import NeuralNetworks
import Tensors

/// A ViT-S/16 at 224 pixels with random weights, in timm's names: what a step costs does not depend on the values.
public enum RandomBackbone {
  public static func visionTransformerSmall() throws -> VisionTransformer {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("graft-benchmark-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let generator = try Generator(seed: 1)
    var writer = SafetensorsWriter()
    func add(_ name: String, _ shape: [Int], deviation: Double = 0.02, mean: Double = 0) throws {
      try writer.add(name, Tensor.normal(shape, mean: mean, deviation: deviation, from: generator))
    }
    let width = 384
    try add("cls_token", [1, 1, width])
    try add("pos_embed", [1, 197, width])
    try add("patch_embed.proj.weight", [width, 3, 16, 16])
    try add("patch_embed.proj.bias", [width])
    try add("norm.weight", [width], mean: 1)
    try add("norm.bias", [width])
    for block in 0..<12 {
      for (name, shape) in [
        ("attn.qkv", [3 * width, width]), ("attn.proj", [width, width]), ("mlp.fc1", [4 * width, width]),
        ("mlp.fc2", [width, 4 * width]),
      ] {
        try add("blocks.\(block).\(name).weight", shape)
        try add("blocks.\(block).\(name).bias", [shape[0]])
      }
      for name in ["norm1", "norm2"] {
        try add("blocks.\(block).\(name).weight", [width], mean: 1)
        try add("blocks.\(block).\(name).bias", [width])
      }
    }
    try writer.write(to: folder.appendingPathComponent("model.safetensors"))
    return try VisionTransformer(from: folder)
  }
}
