import Formats
import Foundation
import Testing

@testable import Reports

@Suite struct RunFolderTests {
  @Test func `the name is the MD5 of the sorted arguments without the output folder`() throws {
    // hashlib.md5(json.dumps(args, sort_keys=True).encode()).hexdigest() in Python 3.11
    #expect(try RunFolder.name(for: sampleRecord.run) == "95a0758cf7aa662c383bb6a9e3728eca")
    var elsewhere = sampleRecord.run
    elsewhere.outputDirectory = nil
    #expect(try RunFolder.name(for: elsewhere) == "95a0758cf7aa662c383bb6a9e3728eca")
    elsewhere.trialSeed = 1
    #expect(try RunFolder.name(for: elsewhere) != "95a0758cf7aa662c383bb6a9e3728eca")
  }

  @Test func `a run is absent, then incomplete, then done`() throws {
    try withTemporaryFolder { root in
      let folder = try RunFolder(of: sampleRecord.run, in: root)
      #expect(folder.state == .absent)
      try folder.create()
      #expect(folder.state == .incomplete)
      try folder.markDone()
      #expect(folder.state == .done)
      #expect(try String(contentsOf: folder.url.appendingPathComponent("done"), encoding: .utf8) == "done")
    }
  }

  @Test func `results are collected from every run, and other folders passed over`() throws {
    try withTemporaryFolder { root in
      var second = sampleRecord
      second.run.trialSeed = 1
      for record in [sampleRecord, second] {
        let folder = try RunFolder(of: record.run, in: root)
        try folder.create()
        try folder.results.append(record)
      }
      try RunFolder(at: root.appendingPathComponent("plots")).create()
      let collected = try RunFolder.collect(in: root)
      #expect(collected.map(\.folder.url.lastPathComponent) == collected.map(\.folder.url.lastPathComponent).sorted())
      #expect(Set(collected.flatMap(\.contents.records).map(\.run.trialSeed)) == [0, 1])
      #expect(collected.count == 2)
    }
  }

  @Test func `a root that is missing is named in the error`() {
    #expect(throws: FileError("list", "/nonexistent", code: ENOENT)) {
      try RunFolder.collect(in: URL(fileURLWithPath: "/nonexistent"))
    }
  }
}
