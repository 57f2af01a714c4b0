import Foundation
import Graft
import Logging
import Testing

/// What a newcomer types. The README shows the lines between the markers, and a test holds them together.
private func firstPage(folder: URL, root: URL, output: URL, images: Tensor, log: Logger) async throws -> [Prediction] {
  // README begin
  let backbone = try VisionTransformer(from: folder, device: .cpu)
  let domains = try DomainFolder(at: root)  // root/domain/class/image
  var model = try backbone.adapted(
    by: .mixture(of: .kronecker(dimension: 32), ranks: [1, 2, 4, 8]), at: .qkv, blocks: .everySecond)
  let run = try Training(
    of: &model, head: .linear(domains.classes), on: domains.leavingOut("sketch"),
    configuration: .init(steps: 1_000, seed: 1))
  for try await event in run {
    if case .evaluated(let scores) = event { log.info("\(scores)") }
  }
  try model.save(to: output)  // a few MB; PEFT's format where PEFT has the method
  let labels = try model.predict(images)
  // README end
  return labels
}

@Suite struct FirstPageTests {
  @Test func `the README shows the code that this test runs`() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
    let afterBegin = try #require(source.components(separatedBy: "  // README begin\n").dropFirst().first)
    let lines = try #require(afterBegin.components(separatedBy: "  // README end").first)
    let shown = lines.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.hasPrefix("  ") ? String($0.dropFirst(2)) : String($0) }.joined(separator: "\n")
    #expect(readme.contains("```swift\nimport Graft\n\n\(shown)```"))
  }

  @Test func `the first page trains, saves, loads and predicts`() async throws {
    let work = FileManager.default.temporaryDirectory.appendingPathComponent("first-page-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: work) }
    let folder = work.appendingPathComponent("model")
    try writeBackbone(to: folder)
    let root = work.appendingPathComponent("images")
    try writeImages(to: root)

    let backbone = try VisionTransformer(from: folder)
    let domains = try DomainFolder(at: root)
    var model = try backbone.adapted(
      by: .mixture(of: .kronecker(dimension: 32), ranks: [1, 2, 4, 8]), at: .qkv, blocks: .everySecond)
    #expect(model.adapter.sites.map(\.name) == ["blocks.0.attn.qkv"])
    var configuration = TrainingConfiguration(steps: 12, seed: 1)
    configuration.imageSize = 16
    configuration.batchPerDomain = 4
    configuration.learningRate = 1e-2
    configuration.evaluationInterval = 6
    let run = try Training(
      of: &model, head: .linear(domains.classes), on: domains.leavingOut("sketch"), configuration: configuration,
      cache: work.appendingPathComponent("cache"))
    let result = try await run.finish()
    let first = try #require(result.evaluations.first?.trainingLoss)
    let last = try #require(result.evaluations.last?.trainingLoss)
    #expect(last < first)

    let output = work.appendingPathComponent("adapter")
    try model.save(to: output)
    let again = try backbone.adapted(from: output)
    let images = try Tensor.uniform([3, 3, 16, 16], from: Generator(seed: 3))
    let labels = try model.predict(images)
    #expect(try again.predict(images) == labels)
    #expect(labels.allSatisfy { domains.classes.contains($0.label) && (0...1).contains($0.probability) })
  }

  /// A random transformer of two blocks, 64 wide, in timm's names.
  private func writeBackbone(to folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let generator = try Generator(seed: 1)
    var writer = SafetensorsWriter()
    func add(_ name: String, _ shape: [Int], mean: Double = 0) throws {
      try writer.add(name, Tensor.normal(shape, mean: mean, deviation: 0.1, from: generator))
    }
    try add("cls_token", [1, 1, 64])
    try add("pos_embed", [1, 5, 64])
    try add("patch_embed.proj.weight", [64, 3, 8, 8])
    try add("patch_embed.proj.bias", [64])
    try add("norm.weight", [64], mean: 1)
    try add("norm.bias", [64])
    for block in 0..<2 {
      for (name, rows, columns) in [
        ("attn.qkv", 192, 64), ("attn.proj", 64, 64), ("mlp.fc1", 128, 64), ("mlp.fc2", 64, 128),
      ] {
        try add("blocks.\(block).\(name).weight", [rows, columns])
        try add("blocks.\(block).\(name).bias", [rows])
      }
      for name in ["norm1", "norm2"] {
        try add("blocks.\(block).\(name).weight", [64], mean: 1)
        try add("blocks.\(block).\(name).bias", [64])
      }
    }
    try writer.write(to: folder.appendingPathComponent("model.safetensors"))
  }

  /// Two classes, dark and light, in three domains of different tint.
  private func writeImages(to root: URL) throws {
    var noise = SplitMix64(seed: 2)
    for (domain, tint) in [("photo", 0), ("cartoon", 20), ("sketch", 40)] {
      for (label, base) in [("dark", 30), ("light", 170)] {
        let folder = root.appendingPathComponent("\(domain)/\(label)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for index in 0..<10 {
          let pixels = (0..<16 * 16 * 3).map { _ in UInt8(base + tint + Int(noise.next() % 30)) }
          let image = try PixelImage(width: 16, height: 16, pixels: pixels)
          try Data(image.png).write(to: folder.appendingPathComponent("\(index).png"))
        }
      }
    }
  }
}
