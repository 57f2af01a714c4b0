import Foundation
import NeuralNetworks
import Tensors
import Testing

/// The real MiniLM, which `scripts/fetch minilm` puts in the cache.
@Suite struct EndToEndTextTransformerTests {
  private static func model() throws -> TextTransformer {
    let folder = EndToEndVisionTransformerTests.cache().appendingPathComponent("models/minilm")
    // The manifest is written last: without it the folder is unfinished.
    try #require(
      FileManager.default.fileExists(atPath: folder.appendingPathComponent("manifest.json").path),
      "The weights are not in \(folder.path). Run `make test`, or `scripts/fetch minilm` and this test again.")
    return try TextTransformer(from: folder)
  }

  @Test func `three sentences are as similar as sentence-transformers has them`() throws {
    let model = try Self.model()
    let features = try model.features(
      model.input([
        // The weather is lovely today. · It's so sunny outside! · He drove to the stadium.
        [101, 1996, 4633, 2003, 8403, 2651, 1012, 102], [101, 2009, 1005, 1055, 2061, 11559, 2648, 999, 102],
        [101, 2002, 5225, 2000, 1996, 3346, 1012, 102],
      ]))
    let directions = try features / features.norm(1, keep: true)
    let cosines = try directions.matmul(directions.transposed()).doubles()
    for (found, expected) in zip([cosines[1], cosines[2], cosines[5]], [0.6660, 0.1046, 0.1411]) {
      #expect(abs(found - expected) < 1e-3, "\(found), not \(expected)")
    }
  }

  @Test func `the real weights are read whole, and what they are is known`() throws {
    let model = try Self.model()
    let configuration = model.configuration
    #expect(configuration.family == .bert && configuration.width == 384 && configuration.depth == 6)
    #expect(configuration.heads == 12 && configuration.hidden == 1536 && configuration.layerNormEpsilon == 1e-12)
    #expect(configuration.pooling == .mean && configuration.vocabulary == 30_522 && model.maximumLength == 512)
    // 22,713,216 with the pooler, which the mean does not read.
    #expect(model.parameterCount == 22_713_216 - 384 * 385)
    #expect(
      model.report.ignored.map(\.name) == ["embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight"])
    #expect(model.report.assumptions == ["features keep their length, which sentence-transformers makes 1"])
  }
}
