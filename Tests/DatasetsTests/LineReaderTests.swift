import Foundation
import Testing

@testable import Datasets

@Suite struct LineReaderTests {
  private func lines(_ bytes: [UInt8], limit: Int = 100) throws -> [LineReader.Line] {
    let folder = try TemporaryFolder()
    var reader = try LineReader(URL(fileURLWithPath: folder.write(bytes, "lines")), limit: limit)
    var lines: [LineReader.Line] = []
    while let line = try reader.next() { lines.append(line) }
    return lines
  }

  private func texts(_ text: String) throws -> [String] {
    try lines(Array(text.utf8)).map { String(decoding: $0.bytes, as: UTF8.self) }
  }

  @Test func `lines end in LF or CRLF, the last one with or without`() throws {
    #expect(try texts("a\nb\r\nc") == ["a", "b", "c"])
    #expect(try texts("a\nb\r\nc\n") == ["a", "b", "c"])
    #expect(try texts("\n\nx\r\r\n") == ["", "", "x\r"])
    #expect(try texts("a\r") == ["a\r"])
    #expect(try texts("") == [])
  }

  @Test func `a byte order mark is skipped at the beginning of the file only`() throws {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    #expect(try lines(mark + [0x61, 0x0A] + mark + [0x62]).map(\.bytes) == [[0x61], mark + [0x62]])
    #expect(try lines(mark).map(\.bytes) == [[]])
  }

  @Test func `a line beyond the limit is reported empty, and the next one is whole`() throws {
    let text = "1234\n12345\r\n123456\r\n12\n"
    let read = try lines(Array(text.utf8), limit: 5)
    #expect(read.map(\.isTooLong) == [false, false, true, false])
    #expect(read.map { String(decoding: $0.bytes, as: UTF8.self) } == ["1234", "12345", "", "12"])
    #expect(read.map(\.number) == [1, 2, 3, 4])
  }

  @Test func `lines cross the pieces that a file is read in`() throws {
    // 65,536 bytes are a piece: the first line ends just before, the second just after its end.
    let first = [UInt8](repeating: 0x61, count: 65_534)
    let second = [UInt8](repeating: 0x62, count: 70_000)
    let read = try lines(first + [0x0D, 0x0A] + second + [0x0A, 0x63], limit: 1 << 20)
    #expect(read.map(\.bytes) == [first, second, [0x63]])
  }
}
