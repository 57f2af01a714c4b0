import Foundation
import Testing

@testable import Adapters

@Suite struct MergeRecordTests {
  let fixture: MergeFixture

  init() throws { fixture = try MergeFixture() }

  private func deviation(_ features: Double, _ largest: Double, _ logits: Double?, _ largestLogit: Double?)
    -> MergeRecord.Deviation
  { .init(features: features, largestFeature: largest, logits: logits, largestLogit: largestLogit, agreement: nil) }

  @Test func `a deviation is relative to the largest output, or to 1, and not-a-number stays so`() {
    #expect(deviation(0.5, 4, nil, nil).relative == 0.125)
    #expect(deviation(0.5, 0.25, nil, nil).relative == 0.5)
    #expect(deviation(0.5, 4, 3, 6).relative == 0.5)
    #expect(deviation(0.5, 4, 0.25, 0.1).relative == 0.25)
    #expect(deviation(.nan, 4, 3, 6).relative.isNaN && deviation(0.5, 4, .nan, 6).relative.isNaN)
  }

  @Test func `a folder without a record has none`() throws {
    #expect(try MergeRecord(in: fixture.root) == nil)
  }

  @Test func `the digest of an adapter is that of its files, whatever lies beside them`() throws {
    func put(_ name: String, _ text: String) throws {
      try Data(text.utf8).write(to: fixture.root.appending(path: name))
    }
    try put("adapter_config.json", "{}")
    try put("adapter_model.safetensors", "weights")
    let digest = try MergeRecord.digest(ofAdapter: fixture.root)
    try put("README.md", "about")
    #expect(try MergeRecord.digest(ofAdapter: fixture.root) == digest)
    try put("adapter_model.safetensors", "Weights")
    #expect(try MergeRecord.digest(ofAdapter: fixture.root) != digest)
  }

  @Test(arguments: ["{", "[]", #"{"version": 1}"#, #"{"version": "one"}"#])
  func `a damaged record is refused`(_ text: String) throws {
    try Data(text.utf8).write(to: fixture.root.appending(path: MergeRecord.fileName))
    #expect(throws: (any Error).self) { try MergeRecord(in: fixture.root) }
  }

  @Test func `a record of a newer version is refused`() throws {
    let setting = try MergeFixture.Setting("timm-vit")
    var record = try fixture.merge(setting, [(fixture.lora(setting), 1)]).record
    record.version = 2
    try record.write(to: fixture.root)
    let error = try thrown(MergedCheckpointError.self) { _ = try MergeRecord(in: fixture.root) }
    #expect(
      error.description.contains("graft_merge.json' is no record of a merge that can be read: it is of version 2."))
  }
}
