import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

/// The real ViT-S/14 in DINOv2's layout, which `scripts/fetch vit-s14` puts in the cache.
@Suite struct EndToEndVisionTransformerTests {
  /// As `scripts/support/cache.py` chooses it.
  static func cache() -> URL {
    let environment = ProcessInfo.processInfo.environment
    func folder(_ variable: String) -> String? { environment[variable].flatMap { $0.isEmpty ? nil : $0 } }
    if let chosen = folder("GRAFT_CACHE") { return URL(fileURLWithPath: (chosen as NSString).expandingTildeInPath) }
    let parent = ((folder("XDG_CACHE_HOME") ?? "~/.cache") as NSString).expandingTildeInPath
    return URL(fileURLWithPath: parent).appendingPathComponent("graft")
  }

  private static func weights() throws -> URL {
    let folder = cache().appendingPathComponent("models/vit-s14")
    // The manifest is written last: without it the folder is unfinished.
    try #require(
      FileManager.default.fileExists(atPath: folder.appendingPathComponent("manifest.json").path),
      "The weights are not in \(folder.path). Run `make test`, or `scripts/fetch vit-s14` and this test again.")
    return folder
  }

  @Test func `the real DINOv2 layout ViT-S 14 computes the reference, at another size than it was trained on`() throws {
    let model = try VisionTransformer(from: Self.weights())
    let reference = try SafetensorsFile(
      contentsOf: Fixture.folder.appendingPathComponent("dinov2s_reference_112.safetensors"))
    let tokens = try model.tokens(try reference.tensor("input"))
    try expectClose(tokens, try reference.tensor("output"), tolerance: 1e-4)
    let features = try model.features(try reference.tensor("input"))
    try expectClose(features, try reference.tensor("output").select(1, 0), tolerance: 1e-4)
  }

  @Test func `the real weights are read whole, and what they are is known`() throws {
    let model = try VisionTransformer(from: Self.weights())
    #expect(model.configuration.family == .dinov2)
    #expect(model.configuration.patchSize == 14)
    #expect(model.configuration.width == 384)
    #expect(model.configuration.depth == 12)
    #expect(model.configuration.heads == 6)
    #expect(model.configuration.hidden == 1536)
    #expect(model.configuration.layerNormEpsilon == 1e-6)
    #expect(model.configuration.imageSize == 518)
    #expect(model.configuration.pooling == .classToken)
    #expect(model.normalization == .imageNet)
    #expect(model.parameterCount == 22_056_192)
    #expect(model.sites.count == 48)
    #expect(model.report.assumptions == [])
    #expect(model.report.ignored == [])
  }
}
