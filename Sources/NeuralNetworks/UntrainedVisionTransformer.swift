import Formats
import Foundation
import Tensors

/// A vision transformer with random weights, written as a folder like any download: what pretraining from nothing begins with.
///
/// Names and configuration are timm's. Weights are normal of deviation 0.02, clamped at two of them; biases, class token's
/// offset and position embeddings as Dosovitskiy et al. 2021, arXiv:2010.11929, and timm start them: zeros, and normal of
/// deviations 1e-6 and 0.02.
public struct UntrainedVisionTransformer: Sendable, Hashable, Codable {
  /// Pixels along each side of the images it is meant for: a multiple of the patch size.
  public var imageSize: Int
  /// Pixels along each side of a patch.
  public var patchSize: Int
  public var width: Int
  public var depth: Int
  public var heads: Int
  /// Width of the MLP's middle over the width.
  public var mlpRatio: Int

  private enum CodingKeys: String, CodingKey {
    case imageSize = "image_size"
    case patchSize = "patch_size"
    case width, depth, heads
    case mlpRatio = "mlp_ratio"
  }

  public init(imageSize: Int, patchSize: Int, width: Int, depth: Int, heads: Int, mlpRatio: Int = 4) {
    self.imageSize = imageSize
    self.patchSize = patchSize
    self.width = width
    self.depth = depth
    self.heads = heads
    self.mlpRatio = mlpRatio
  }

  /// - Throws: `UntrainedNetworkError` for sizes that do not fit each other or are out of all proportion.
  public func validate() throws(UntrainedNetworkError) {
    func check(_ setting: String, _ value: Int, _ range: ClosedRange<Int>) throws(UntrainedNetworkError) {
      guard range.contains(value) else {
        throw .range(setting: setting, value: value, allowed: "\(range.lowerBound) to \(range.upperBound)")
      }
    }
    try check(CodingKeys.patchSize.rawValue, patchSize, 1...1_024)
    try check(CodingKeys.imageSize.rawValue, imageSize, patchSize...16_384)
    try check(CodingKeys.width.rawValue, width, 1...16_384)
    try check(CodingKeys.depth.rawValue, depth, 1...256)
    try check(CodingKeys.heads.rawValue, heads, 1...width)
    try check(CodingKeys.mlpRatio.rawValue, mlpRatio, 1...64)
    guard imageSize.isMultiple(of: patchSize) else {
      throw .indivisible(CodingKeys.imageSize.rawValue, imageSize, by: CodingKeys.patchSize.rawValue, patchSize)
    }
    guard width.isMultiple(of: heads) else {
      throw .indivisible(CodingKeys.width.rawValue, width, by: CodingKeys.heads.rawValue, heads)
    }
  }

  /// Writes `config.json` and `model.safetensors`; the folder appears whole. The same seed gives the same bytes.
  ///
  /// - Throws: `UntrainedNetworkError`; `FileError`, also where the folder is there and not empty.
  public func write(to folder: URL, seed: UInt64) throws {
    try validate()
    let generator = try Generator(seed: seed).derived("untrained")
    var writer = SafetensorsWriter()
    func normal(_ name: String, _ shape: [Int], deviation: Double = 0.02) throws {
      let values = try Tensor.normal(shape, deviation: deviation, from: generator)
      try writer.add(name, values.clamped(-2 * deviation...2 * deviation))
    }
    func linear(_ name: String, _ shape: [Int]) throws {
      try normal("\(name).weight", shape)
      try writer.add("\(name).bias", .zeros([shape[0]]))
    }
    func norm(_ name: String) throws {
      try writer.add("\(name).weight", .ones([width]))
      try writer.add("\(name).bias", .zeros([width]))
    }
    let side = imageSize / patchSize
    try normal("cls_token", [1, 1, width], deviation: 1e-6)
    try normal("pos_embed", [1, 1 + side * side, width])
    try linear("patch_embed.proj", [width, 3, patchSize, patchSize])
    for block in 0..<depth {
      try norm("blocks.\(block).norm1")
      try linear("blocks.\(block).attn.qkv", [3 * width, width])
      try linear("blocks.\(block).attn.proj", [width, width])
      try norm("blocks.\(block).norm2")
      try linear("blocks.\(block).mlp.fc1", [mlpRatio * width, width])
      try linear("blocks.\(block).mlp.fc2", [width, mlpRatio * width])
    }
    try norm("norm")
    let configuration: JSONValue = [
      "architecture": "vit_tiny_patch16_224", "num_classes": 0, "num_features": .integer(width), "global_pool": "token",
      "model_args": [
        "img_size": .integer(imageSize), "patch_size": .integer(patchSize), "embed_dim": .integer(width),
        "depth": .integer(depth), "num_heads": .integer(heads), "mlp_ratio": .integer(mlpRatio),
      ],
      "pretrained_cfg": ["mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]],
    ]
    try AtomicFolder.write(to: folder) { unfinished in
      try AtomicFile.write(configuration.text(.readable) + "\n", to: unfinished.appendingPathComponent("config.json"))
      try writer.write(to: unfinished.appendingPathComponent("model.safetensors"))
    }
  }
}

public enum UntrainedNetworkError: Error, Equatable, CustomStringConvertible {
  case range(setting: String, value: Int, allowed: String)
  case indivisible(String, Int, by: String, Int)

  public var description: String {
    switch self {
    case .range(let setting, let value, let allowed): "'\(setting)' is \(value). Give \(allowed)."
    case .indivisible(let setting, let value, let other, let divisor):
      "'\(setting)' is \(value), no multiple of '\(other)', \(divisor). Change one of them."
    }
  }
}
