import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters
@testable import Formats

/// The way back from a merged checkpoint.
@Suite struct UnmergedCheckpointTests {
  let fixture: MergeFixture

  init() throws { fixture = try MergeFixture() }

  private func unmerge(_ name: String = "merged", by means: UnmergedCheckpoint.Means) throws
    -> UnmergedCheckpoint.Outcome
  {
    try UnmergedCheckpoint(of: fixture.root.appending(path: name)).write(
      by: means, to: fixture.root.appending(path: "restored"))
  }

  @Test(arguments: ["timm-vit", "hf-clip", "timm-vit-no-config"])
  func `kept originals, or the base, give every bit back`(_ network: String) throws {
    let setting = try MergeFixture.Setting(network)
    let tuned = try fixture.save(
      setting.backbone.adapted(by: BiasTuning()).adapter, setting, as: "biases", classes: nil)
    let folder = try fixture.lora(setting)
    try fixture.merge(setting, [(folder, 0.5), (tuned, 1)]) { $0.keepsOriginals = true }
    for means in [UnmergedCheckpoint.Means.originals, .base(setting.folder)] {
      let outcome = try unmerge(by: means)
      #expect(outcome.isExact && outcome.deviation == nil && outcome.restored > 2)
      let restored = fixture.root.appending(path: "restored")
      #expect(try fixture.weights(restored) == fixture.weights(setting.folder))
      #expect(try VisionTransformer(from: restored).fingerprint == setting.backbone.fingerprint)
      #expect(!FileManager.default.fileExists(atPath: restored.appending(path: MergeRecord.fileName).path))
      try FileManager.default.removeItem(at: restored)
    }
  }

  @Test func `subtracting the adapter comes near, says how near, and that it is not bit-exact`() throws {
    let setting = try MergeFixture.Setting("hf-vit")
    let folder = try fixture.lora(setting)
    try fixture.merge(setting, [(folder, 1)])
    let merged = try VisionTransformer(from: fixture.root.appending(path: "merged"))
    let probe = try Tensor.normal([2, 3, 16, 16], from: Generator(seed: 8))
    let outcome = try unmerge(by: .adapters([folder], onto: merged, probe: probe))
    #expect(!outcome.isExact && outcome.restored == 6)
    #expect(outcome.expected == (try PretrainedFolder(setting.folder).digest) && outcome.digest != outcome.expected)
    let deviation = try #require(outcome.deviation)
    #expect(deviation.features <= 2e-5 && (deviation.logits ?? .nan) <= 2e-5)
    let restored = try VisionTransformer(from: fixture.root.appending(path: "restored"))
    try expectClose(restored.features(probe), setting.backbone.features(probe), tolerance: 1e-5)
    #expect(try merged.features(probe).distance(to: setting.backbone.features(probe)) > 1e-3)
  }

  @Test func `after two merges the last one is taken out, and the record of the first is back`() throws {
    let base = try MergeFixture.Setting("timm-vit")
    let first = try fixture.lora(base, as: "first")
    try fixture.merge(base, [(first, 1)], as: "once")
    let once = try MergeFixture.Setting(at: fixture.root.appending(path: "once"))
    let second = try fixture.lora(once, as: "second", at: [.fc1])
    try fixture.merge(once, [(second, 1)]) { $0.keepsOriginals = true }
    #expect(try unmerge(by: .originals).isExact)
    let record = try #require(try MergeRecord(in: fixture.root.appending(path: "restored")))
    #expect(try record == MergeRecord(in: once.folder))
  }

  @Test func `what was not merged is not taken out`() throws {
    let setting = try MergeFixture.Setting("timm-vit")
    let (folder, other) = (try fixture.lora(setting), try fixture.lora(setting, as: "other", seed: 3))
    #expect(throws: MergedCheckpointError.noRecord(setting.folder.path)) { try UnmergedCheckpoint(of: setting.folder) }
    try fixture.merge(setting, [(folder, 1), (other, 1)]) { $0.keepsOriginals = true }
    let merged = try VisionTransformer(from: fixture.root.appending(path: "merged"))
    func refusal(_ means: UnmergedCheckpoint.Means) throws -> MergedCheckpointError {
      try thrown(MergedCheckpointError.self) { _ = try unmerge(by: means) }
    }
    let probe = try Tensor.normal([2, 3, 16, 16], from: Generator(seed: 8))
    let stranger = try fixture.lora(setting, as: "stranger", seed: 5)
    #expect(
      try refusal(.adapters([folder, stranger], onto: merged, probe: probe))
        == .otherAdapter(stranger.path, recorded: [folder.path, other.path]))
    #expect(try refusal(.adapters([folder], onto: merged, probe: probe)) == .missingAdapters([other.path]))
    guard case .otherBase = try refusal(.base(VisionFixture.url("timm-dinov2"))) else {
      Issue.record("another base was taken")
      return
    }
    // Originals that are not the originals: bit-exact means must give the recorded bits.
    let originals = fixture.root.appending(path: "merged/graft_originals.safetensors")
    var bytes = try Data(contentsOf: originals)
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: originals)
    guard case .otherBase = try refusal(.originals) else {
      Issue.record("damaged originals were taken")
      return
    }
    #expect(try fixture.names() == ["lora", "merged", "other", "stranger"])
  }
}
