import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters
@testable import Formats

/// Merging through folders, on the small networks of other libraries.
@Suite struct MergedCheckpointTests {
  let fixture: MergeFixture

  init() throws { fixture = try MergeFixture() }

  // MARK: Every method

  @Test(
    arguments: AdapterContractTests.cases.filter { $0.configuration.obstacleToMerging == nil },
    ["timm-vit", "timm-dinov2", "hf-vit", "hf-clip", "open-clip"])
  func `read back from disk, the merged network computes what the adapted one does`(
    _ method: AdapterContractTests.Case, network: String
  ) throws {
    let setting = try MergeFixture.Setting(network)
    let sites = setting.backbone.sites.flatMap { site in
      method.parts && !site.parts.isEmpty ? [site.parts[0], site.parts[2]] : [site]
    }
    let adapter = try Adapter(method.configuration, at: sites, of: setting.backbone, generator: Generator(seed: 1))
    let folder = try fixture.save(adapter, setting, as: "adapter")
    let outcome = try fixture.merge(setting, [(folder, 1)])
    let deviation = outcome.record.deviation
    #expect(deviation.features <= 2e-5 && (deviation.logits ?? .nan) <= 2e-5, "\(deviation)")
    #expect(deviation.agreement == 1 && outcome.record.keepsOriginals == false && outcome.classes?.count == 3)
    // By a second reading, of an input that was not the probe.
    let input = try Tensor.normal([2, 3, 16, 16], from: Generator(seed: 8))
    let merged = try VisionTransformer(from: fixture.root.appending(path: "merged"))
    let adapted = AdaptedModel(backbone: setting.backbone, adapter: adapter)
    try expectClose(merged.features(input), adapted.features(input).detached(), tolerance: 2e-5)
    let moved = try merged.features(input).distance(to: setting.backbone.features(input))
    #expect((moved > 1e-3) == !(method.configuration is LinearProbe))
    // The classifier goes with it, as an adapter that changes nothing.
    let head = try merged.adapted(from: fixture.root.appending(path: "merged/head"))
    try expectClose(
      head.logits(input).detached(), AdapterFolder.load(from: folder, onto: setting.backbone).logits(input).detached(),
      tolerance: 2e-5)
  }

  // MARK: What is written

  @Test func `several adapters with weights, from files of the network's own format and nothing but theirs`() throws {
    let setting = try MergeFixture.Setting("hf-vit")
    let (one, other) = (
      try fixture.lora(setting, as: "one"), try fixture.lora(setting, as: "other", at: [.fc1], seed: 4)
    )
    let outcome = try fixture.merge(setting, [(one, 0.5), (other, -2)])
    #expect(outcome.heads == 2 && outcome.classes == nil)
    #expect(outcome.record.deviation.relative <= 1e-5)
    let merged = fixture.root.appending(path: "merged")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: merged.path).sorted()
        == ["config.json", "graft_merge.json", "model.safetensors"])
    let (old, new) = (try ShardedSafetensors(in: setting.folder), try ShardedSafetensors(in: merged))
    #expect(old.tensors == new.tensors)
    let changed = try old.names.filter { try !old.tensor($0).isEqual(to: new.tensor($0)) }.sorted()
    #expect(changed == outcome.record.changed)
    #expect(changed.count == 2 * 3 + 2)
    #expect(
      changed.allSatisfy {
        $0.hasSuffix("weight") && ($0.contains("attention.attention") || $0.contains("intermediate"))
      })
  }

  @Test func `the record says what was merged, into what, and how well`() throws {
    let setting = try MergeFixture.Setting("timm-vit")
    let folder = try fixture.lora(setting)
    let written = try fixture.merge(setting, [(folder, 0.25)]).record
    let record = try #require(try MergeRecord(in: fixture.root.appending(path: "merged")))
    #expect(record == written)
    #expect(record.base.fingerprint == setting.backbone.fingerprint)
    #expect(record.base.digest == FileDigest.sha256(of: try fixture.weights(setting.folder)))
    #expect(record.adapters.count == 1 && record.adapters[0].method == "LORA" && record.adapters[0].weight == 0.25)
    #expect(try record.adapters[0].digest == MergeRecord.digest(ofAdapter: folder))
    #expect(record.adapters[0].classes == ["cat", "dog", "owl"])
    #expect(record.changed == ["blocks.0.attn.qkv.weight", "blocks.1.attn.qkv.weight"])
    #expect(record.probe == .init(source: "noise", shape: [3, 3, 16, 16]) && !record.isApproximate)
    #expect(record.earlier.isEmpty && record.roundings.isEmpty)
    let again = fixture.root.appending(path: "again")
    try FileManager.default.moveItem(at: fixture.root.appending(path: "merged"), to: again)
    try fixture.merge(setting, [(folder, 0.25)])
    for name in ["graft_merge.json", "model.safetensors"] {
      #expect(
        try Data(contentsOf: again.appending(path: name))
          == Data(contentsOf: fixture.root.appending(path: "merged").appending(path: name)))
    }
  }

  @Test func `float16 weights are rounded once, and the loss is told`() throws {
    let setting = try MergeFixture.Setting("timm-vit-no-config")
    let folder = try fixture.lora(setting)
    let outcome = try fixture.merge(setting, [(folder, 1)])
    #expect(outcome.roundings.map(\.dtype) == [.float16] && outcome.roundings[0].loss > 1e-4)
    #expect(outcome.record.roundings["float16"] == outcome.roundings[0].loss)
    #expect(outcome.record.deviation.relative > 1e-5 && outcome.record.deviation.relative < 0.02)
    #expect(throws: MergedCheckpointError.self) {
      try fixture.merge(setting, [(folder, 1)], as: "strict") { $0.tolerance = 1e-6 }
    }
    #expect(try fixture.names() == ["lora", "merged"])
  }

  // MARK: Nothing half-written

  @Test func `a deviation above the tolerance leaves nothing`() throws {
    let setting = try MergeFixture.Setting("timm-vit")
    let folder = try fixture.lora(setting)
    let error = try thrown(MergedCheckpointError.self) {
      try fixture.merge(setting, [(folder, 1)]) { $0.tolerance = 0 }
    }
    guard case .deviation(let deviation, limit: 0) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(deviation.relative > 0)
    #expect(
      error.description.contains("The merged network differs from the adapted one by ")
        && error.description.contains("nothing was written"))
    #expect(try fixture.names() == ["lora"])
  }

  @Test func `a folder with something in it is left as it is`() throws {
    let setting = try MergeFixture.Setting("timm-vit")
    let folder = try fixture.lora(setting)
    try fixture.merge(setting, [(folder, 1)])
    let before = try fixture.weights(fixture.root.appending(path: "merged"))
    let error = try thrown(FileError.self) { try fixture.merge(setting, [(folder, 0.5)]) }
    #expect(error.code == EEXIST)
    #expect(try fixture.weights(fixture.root.appending(path: "merged")) == before)
    #expect(try fixture.names() == ["lora", "merged"])
  }

  // MARK: What is refused

  @Test func `an adapter that is merged already is refused unless asked for`() throws {
    let base = try MergeFixture.Setting("timm-vit")
    let folder = try fixture.lora(base)
    try fixture.merge(base, [(folder, 1)], as: "once")
    let once = try MergeFixture.Setting(at: fixture.root.appending(path: "once"))
    let error = try thrown(MergedCheckpointError.self) { try fixture.merge(once, [(folder, 1)], as: "twice") }
    #expect(error == .alreadyMerged(folder.path, model: once.folder.path, weight: 1))
    let outcome = try fixture.merge(once, [(folder, 1)], as: "twice", again: true)
    #expect(outcome.record.earlier.map(\.base.digest) == [try PretrainedFolder(base.folder).digest])
    try fixture.merge(base, [(folder, 2)], as: "double")
    let input = try Tensor.normal([2, 3, 16, 16], from: Generator(seed: 8))
    try expectClose(
      VisionTransformer(from: fixture.root.appending(path: "twice")).features(input),
      VisionTransformer(from: fixture.root.appending(path: "double")).features(input), tolerance: 1e-5)
  }

  @Test func `an adapter of another network is refused`() throws {
    let folder = try fixture.lora(MergeFixture.Setting("timm-vit"))
    let other = try MergeFixture.Setting("timm-dinov2")
    let error = try thrown(AdapterFolderError.self) { try fixture.merge(other, [(folder, 1)]) }
    #expect(error.description.contains("was trained on another network"))
  }

  @Test func `a mixture is refused, and merged with its mean gates where that is asked for`() throws {
    let setting = try MergeFixture.Setting("timm-vit")
    var mixture = MixtureOfAdapters(of: .kronecker(dimension: 3), ranks: [1, 2])
    mixture.router = .cosine(projection: 8)
    let folder = try fixture.save(setting.backbone.adapted(by: mixture, at: .qkv).adapter, setting, as: "mixture")
    let error = try thrown(MergeError.self) { try fixture.merge(setting, [(folder, 1)]) }
    #expect(error.description.contains("the gates depend on the token"))
    let outcome = try fixture.merge(setting, [(folder, 1)]) { $0.approximates = true }
    #expect(outcome.record.isApproximate)
    #expect(outcome.record.deviation.relative > 1e-4)
    let gates = try #require(outcome.record.adapters[0].gates)
    #expect(Array(gates.keys) == ["blocks.0.attn.qkv"])
    #expect(gates.values.allSatisfy { $0.count == 2 && $0.reduce(0, +) <= 1 })
  }
}
