import Foundation
import NeuralNetworks
import Tensors

@testable import Adapters
@testable import Formats

/// A folder of its own for one test, with adapters for the small networks of other libraries and what they are merged to.
final class MergeFixture {
  let root = FileManager.default.temporaryDirectory.appending(path: "merge-\(UUID().uuidString)")

  init() throws { try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(at: root) }

  /// A backbone, and adapters for it in folders.
  struct Setting {
    let folder: URL
    let backbone: VisionTransformer

    init(_ fixture: String) throws {
      folder = VisionFixture.url(fixture)
      backbone = try VisionTransformer(from: folder)
    }

    init(at folder: URL) throws {
      self.folder = folder
      backbone = try VisionTransformer(from: folder)
    }
  }

  func save(
    _ adapter: Adapter, _ setting: Setting, as name: String, classes: [String]? = ["cat", "dog", "owl"],
    deviation: Double = 0.05, seed: UInt64 = 9
  ) throws -> URL {
    try adapter.perturb(seed: seed, deviation: deviation)
    let head = try classes.map {
      try Head(classes: $0, features: setting.backbone.featureWidth, generator: Generator(seed: 2))
    }
    let folder = root.appending(path: name)
    try AdaptedModel(backbone: setting.backbone, adapter: adapter, head: head).save(to: folder)
    return folder
  }

  func lora(
    _ setting: Setting, as name: String = "lora", at targets: Targets = .qkv,
    classes: [String]? = ["cat", "dog", "owl"],
    seed: UInt64 = 9
  ) throws -> URL {
    try save(
      setting.backbone.adapted(by: LoRA(rank: 2, alpha: 4), at: targets).adapter, setting, as: name, classes: classes,
      seed: seed)
  }

  func checkpoint(_ setting: Setting, probe: Int = 3) throws -> MergedCheckpoint {
    try MergedCheckpoint(
      of: setting.backbone, from: setting.folder, probe: .normal([probe, 3, 16, 16], from: Generator(seed: 1)),
      source: "noise")
  }

  @discardableResult
  func merge(
    _ setting: Setting, _ adapters: [(URL, Double)], as name: String = "merged", again: Bool = false,
    _ change: (inout MergedCheckpoint) -> Void = { _ in }
  ) throws -> MergedCheckpoint.Outcome {
    var checkpoint = try checkpoint(setting)
    change(&checkpoint)
    let parts = try adapters.map {
      try MergedCheckpoint.part(at: $0, weight: $1, onto: setting.backbone, from: setting.folder, again: again)
    }
    return try checkpoint.write(parts, to: root.appending(path: name))
  }

  func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: root.path).sorted() }

  func weights(_ folder: URL) throws -> Data {
    try Data(contentsOf: folder.appending(path: "model.safetensors"))
  }
}
