import Foundation
import Tensors
import Testing

@testable import NeuralNetworks

@Suite struct UntrainedVisionTransformerTests {
  private let untrained = UntrainedVisionTransformer(imageSize: 16, patchSize: 8, width: 12, depth: 2, heads: 3)

  private func written(_ seed: UInt64, _ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("untrained-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try untrained.write(to: folder, seed: seed)
    try body(folder)
  }

  @Test func `what is written is read as any download, nothing assumed and nothing left over`() throws {
    try written(1) { folder in
      let network = try VisionTransformer(from: folder)
      #expect(network.report.ignored.isEmpty && network.report.assumptions.isEmpty)
      #expect(network.configuration.heads == 3 && network.configuration.depth == 2 && network.configuration.width == 12)
      #expect(network.configuration.imageSize == 16 && network.normalization.mean == [0.5, 0.5, 0.5])
      // Patches 12·192 + 12, class token 12, positions 5·12, two blocks of 12·12² + 13·12, the last LayerNorm 2·12.
      #expect(network.parameterCount == 2_316 + 12 + 60 + 2 * (1_728 + 156) + 24)
      let features = try network.features(.ones([2, 3, 16, 16]))
      #expect(try features.isAllFinite())
      #expect(try features.select(0, 0).isClose(to: features.select(0, 1), tolerance: 1e-6))
    }
  }

  @Test func `weights have the deviation they should, biases are zero and scales one`() throws {
    try written(1) { folder in
      let network = try VisionTransformer(from: folder)
      let tensors = Dictionary(uniqueKeysWithValues: network.tensors.map { ($0.name, $0.tensor) })
      let weight = try #require(tensors["blocks.1.mlp.fc1.weight"])
      // A normal clamped at two deviations has 0.9599 of its deviation.
      let deviation = try weight.variance().item().squareRoot()
      #expect(abs(deviation - 0.02 * 0.9599) < 0.001)
      #expect(try weight.abs().max().item() <= 0.0400001)
      #expect(try tensors["blocks.0.attn.proj.bias"]?.abs().max().item() == 0)
      #expect(try tensors["blocks.0.norm2.weight"]?.min().item() == 1)
    }
  }

  @Test func `the same seed writes the same network and another one another`() throws {
    try written(1) { first in
      try written(1) { second in
        try written(2) { third in
          let fingerprints = try [first, second, third].map { try VisionTransformer(from: $0).fingerprint }
          #expect(fingerprints[0] == fingerprints[1] && fingerprints[0] != fingerprints[2])
        }
      }
    }
  }

  @Test func `sizes that do not fit are refused before anything is written`() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("untrained-\(UUID().uuidString)")
    var other = untrained
    other.imageSize = 20
    #expect(throws: UntrainedNetworkError.indivisible("image_size", 20, by: "patch_size", 8)) {
      try other.write(to: folder, seed: 0)
    }
    other = untrained
    other.heads = 5
    #expect(throws: UntrainedNetworkError.indivisible("width", 12, by: "heads", 5)) {
      try other.write(to: folder, seed: 0)
    }
    other = untrained
    other.depth = 0
    #expect(throws: UntrainedNetworkError.range(setting: "depth", value: 0, allowed: "1 to 256")) {
      try other.write(to: folder, seed: 0)
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path))
  }
}
