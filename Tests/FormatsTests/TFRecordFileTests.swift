import Foundation
import Testing

@testable import Formats

@Suite struct TFRecordFileTests {
  private func little(_ number: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
  }

  private func record(_ data: [UInt8], length: UInt64? = nil) -> [UInt8] {
    let header = little(length ?? UInt64(data.count), 8)
    return header + little(UInt64(CRC32C.masked(header)), 4) + data + little(UInt64(CRC32C.masked(data)), 4)
  }

  private func error(_ bytes: [UInt8], limit: Int = 1 << 20) throws -> TFRecordError? {
    let folder = try TemporaryFolder()
    let url = try folder.file("r", bytes)
    return #expect(throws: TFRecordError.self) { try TFRecordFile(at: url.path, maximumRecordBytes: limit) }
  }

  @Test func `records come back in any order`() throws {
    let folder = try TemporaryFolder()
    let url = try folder.file("r", record([1, 2, 3]) + record([]) + record([4, 5]))
    let file = try TFRecordFile(at: url.path)
    #expect(file.records.map(\.offset) == [12, 31, 47] && file.records.map(\.length) == [3, 0, 2])
    #expect(try file.records.reversed().map { try file.data(of: $0) } == [[4, 5], [], [1, 2, 3]])
    #expect(try TFRecordFile(at: folder.file("empty", []).path).records.isEmpty)
  }

  @Test func `a file cut off anywhere within a record is refused`() throws {
    let good = record([1, 2, 3])
    for length in 1..<good.count {
      guard case .truncated(_, 19, length + 19) = try error(good + good.prefix(length)) else {
        Issue.record("\(length) bytes of the second record")
        return
      }
    }
  }

  @Test func `damage to a length and to data is told apart`() throws {
    var bytes = record([1, 2, 3]) + record([4])
    bytes[19] ^= 1
    guard case .wrongLengthChecksum(_, 19) = try error(bytes) else {
      Issue.record("the second record's length")
      return
    }
    bytes[19] ^= 1
    bytes[13] ^= 1
    let folder = try TemporaryFolder()
    let url = try folder.file("r", bytes)
    let file = try TFRecordFile(at: url.path)
    #expect(throws: TFRecordError.wrongChecksum(path: url.path, offset: 12, length: 3)) {
      try file.data(of: file.records[0])
    }
    #expect(try file.data(of: file.records[1]) == [4])
  }

  @Test func `absurd lengths are refused before anything is read`() throws {
    guard case .tooLong(_, 0, .max, 1 << 20) = try error(record([], length: .max)) else {
      Issue.record("2^64 - 1 bytes")
      return
    }
    guard case .tooLong(_, 0, 11, 10) = try error(record([UInt8](repeating: 0, count: 11)), limit: 10) else {
      Issue.record("one byte above the limit")
      return
    }
    guard case .truncated(_, 0, 17) = try error(record([1], length: 1 << 19)) else {
      Issue.record("more than the file has")
      return
    }
  }

  @Test func `a file that changed since it was listed is refused`() throws {
    let folder = try TemporaryFolder()
    let url = try folder.file("r", record([1, 2, 3]))
    let file = try TFRecordFile(at: url.path)
    try Data(record([1])).write(to: url)
    #expect(throws: TFRecordError.truncated(path: url.path, offset: 12, size: 17)) {
      try file.data(of: file.records[0])
    }
    #expect(throws: FileError.self) { try TFRecordFile(at: url.path + "x") }
    #expect(throws: FileError.self) { try TFRecordFile(at: folder.url.path) }
  }
}
