import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// Every method that merges, with its defaults, on the real ViT-S/14 that `scripts/fetch vit-s14` puts in the cache.
@Suite struct EndToEndMergeTests {
  /// The cache is where `scripts/support/cache.py` chooses it.
  private static func weights() throws -> URL {
    let environment = ProcessInfo.processInfo.environment
    func folder(_ variable: String) -> String? { environment[variable].flatMap { $0.isEmpty ? nil : $0 } }
    let cache =
      folder("GRAFT_CACHE") ?? ((folder("XDG_CACHE_HOME") ?? "~/.cache") as NSString).appendingPathComponent("graft")
    let folder = URL(fileURLWithPath: (cache as NSString).expandingTildeInPath).appending(path: "models/vit-s14")
    // The manifest is written last: without it the folder is unfinished.
    try #require(
      FileManager.default.fileExists(atPath: folder.appending(path: "manifest.json").path),
      "The weights are not in \(folder.path). Run `make test`, or `scripts/fetch vit-s14` and this test again.")
    return folder
  }

  @Test(arguments: adapterMethods.filter { $0.init().obstacleToMerging == nil }.map { $0.method })
  func `merged into ViT-S 14 and read back, the logits are within 1e-4 of the adapter's`(_ method: String) throws {
    let folder = try Self.weights()
    let backbone = try VisionTransformer(from: folder)
    let configuration = try adapterConfiguration(named: method)
    var model = try backbone.adapted(by: configuration, seed: 1)
    // As far as training goes: about a percent of the weights' size, and every parameter.
    try model.adapter.perturb(deviation: 0.01)
    model.head = try Head(
      classes: (0..<10).map { "class \($0)" }, features: backbone.featureWidth, generator: Generator(seed: 2))
    let root = FileManager.default.temporaryDirectory.appending(path: "merge-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: root) }
    try model.save(to: root.appending(path: "adapter"))
    let part = try MergedCheckpoint.part(at: root.appending(path: "adapter"), onto: backbone, from: folder)
    let probe = try Tensor.normal([4, 3, 112, 112], from: Generator(seed: 3))
    let deviation = try MergedCheckpoint(of: backbone, from: folder, probe: probe, source: "noise")
      .write([part], to: root.appending(path: "merged")).record.deviation
    let logits = try #require(deviation.logits)
    #expect(logits <= 1e-4 && deviation.agreement == 1, "\(method): \(deviation)")
    #expect(try #require(deviation.largestLogit) > 0.1)
  }
}
