import Formats
import Foundation
import Testing

@testable import Reports

@Suite struct ResultsFileTests {
  @Test func `records are appended as lines and read back in order`() throws {
    try withTemporaryFolder { folder in
      let file = ResultsFile(at: folder.appendingPathComponent(ResultsFile.name))
      #expect(try file.read() == ResultsFile.Contents())
      try file.append(record(step: 0))
      try file.append(record(step: 100))
      #expect(
        try String(contentsOf: file.url, encoding: .utf8) == record(step: 0).json + "\n" + record(step: 100).json + "\n"
      )
      #expect(try file.read() == ResultsFile.Contents(records: [record(step: 0), record(step: 100)]))
    }
  }

  @Test func `a line cut anywhere is reported, blocks appending, and is removed by repair`() throws {
    let line = try record(step: 100).json
    for kept in [1, line.utf8.count / 2, line.utf8.count - 1] {
      try withTemporaryFolder { folder in
        let file = ResultsFile(at: folder.appendingPathComponent(ResultsFile.name))
        try file.append(record(step: 0))
        let whole = try Data(contentsOf: file.url)
        try (whole + Data(line.utf8.prefix(kept))).write(to: file.url)

        let contents = try file.read()
        #expect(contents.records == [record(step: 0)])
        #expect(contents.badLines.map(\.number) == [2])
        #expect(contents.badLines.first?.description == "line 2: cut off by a crash")
        #expect(throws: ResultsError.tornLastLine(path: file.url.path, line: 2)) { try file.append(record(step: 200)) }

        #expect(try file.repair() == .removedTornLine(number: 2, bytes: kept))
        #expect(try Data(contentsOf: file.url) == whole)
        #expect(try file.repair() == nil)
        try file.append(record(step: 200))
        #expect(try file.read().records.map(\.step) == [0, 200])
      }
    }
  }

  @Test func `a record that lacks only its newline is kept`() throws {
    try withTemporaryFolder { folder in
      let file = ResultsFile(at: folder.appendingPathComponent(ResultsFile.name))
      try Data(try record(step: 5).json.utf8).write(to: file.url)
      #expect(try file.read() == ResultsFile.Contents(records: [record(step: 5)]))
      #expect(try file.repair() == .endedLastLine(number: 1))
      #expect(try String(contentsOf: file.url, encoding: .utf8) == record(step: 5).json + "\n")
    }
  }

  @Test func `bad lines in the middle are named with their numbers`() throws {
    try withTemporaryFolder { folder in
      let file = ResultsFile(at: folder.appendingPathComponent(ResultsFile.name))
      let text =
        try [record(step: 0).json, "", "{\"args\": ", record(step: 1).json, "{}"].joined(separator: "\n") + "\n"
      try (Data(text.utf8) + Data([0xFF, 0x0A])).write(to: file.url)
      let contents = try file.read()
      #expect(contents.records.map(\.step) == [0, 1])
      #expect(
        contents.badLines.map(\.description) == [
          "line 2: a record that is empty",
          "line 3: a record that is not valid JSON (byte 9: the text ends where a value should be)",
          "line 5: a record that has no \"args\"", "line 6: a record that is not valid UTF-8",
        ])
    }
  }

  @Test func `records after a step are discarded before a run is resumed`() throws {
    try withTemporaryFolder { folder in
      let file = ResultsFile(at: folder.appendingPathComponent(ResultsFile.name))
      for step in [0, 100, 200, 300] { try file.append(record(step: step)) }
      #expect(try file.discardRecords(after: 100) == 2)
      #expect(try file.read().records.map(\.step) == [0, 100])
      #expect(try file.discardRecords(after: 100) == 0)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [ResultsFile.name])
    }
  }

  @Test func `a record without its target's score is not written`() throws {
    try withTemporaryFolder { folder in
      let file = ResultsFile(at: folder.appendingPathComponent(ResultsFile.name))
      var bad = record(step: 0)
      bad.domains = []
      #expect(throws: ResultsError.self) { try file.append(bad) }
      bad = record(step: 0)
      bad.extras["step_time"] = 3
      #expect(
        throws: ResultsError.invalidRecord(reason: "has \"step_time\", which belongs to no scored domain")
      ) { try file.append(bad) }
      #expect(!FileManager.default.fileExists(atPath: file.url.path))
    }
  }

  @Test func `a folder that is missing is named in the error`() {
    let file = ResultsFile(at: URL(fileURLWithPath: "/nonexistent/results.jsonl"))
    #expect(throws: FileError("open", "/nonexistent/results.jsonl", code: ENOENT)) { try file.append(record(step: 0)) }
  }

  @Test func `writers that append at the same time do not mix their lines`() async throws {
    let folder = try makeTemporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = ResultsFile(at: folder.appendingPathComponent(ResultsFile.name))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for step in 0..<40 { group.addTask { try file.append(record(step: step)) } }
      try await group.waitForAll()
    }
    let contents = try file.read()
    #expect(contents.badLines.isEmpty)
    #expect(contents.records.map(\.step).sorted() == Array(0..<40))
  }
}

private func record(step: Int) -> ResultRecord {
  var record = sampleRecord
  record.step = step
  return record
}

func makeTemporaryFolder() throws -> URL {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("reports-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  return folder
}

func withTemporaryFolder(_ body: (URL) throws -> Void) throws {
  let folder = try makeTemporaryFolder()
  defer { try? FileManager.default.removeItem(at: folder) }
  try body(folder)
}
