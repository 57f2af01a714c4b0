import Foundation
import Testing

@testable import Formats

@Suite struct FilePiecesTests {
  @Test func `pieces follow each other to the end of the file`() throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<1000).map { UInt8($0 % 251) }
    let url = folder.url.appendingPathComponent("bytes")
    try Data(bytes).write(to: url)
    let file = try FilePieces(of: url)
    var piece: [UInt8] = [1, 2, 3]
    var pieces: [[UInt8]] = []
    repeat {
      try file.next(into: &piece, bytes: 300)
      pieces.append(piece)
    } while !piece.isEmpty
    #expect(pieces.map(\.count) == [300, 300, 300, 100, 0])
    #expect(Array(pieces.joined()) == bytes)
  }

  @Test func `what is not a file is refused`() throws {
    let folder = try TemporaryFolder()
    #expect(throws: FileError("read", folder.url.path, code: EISDIR)) { try FilePieces(of: folder.url) }
    let missing = folder.url.appendingPathComponent("missing")
    #expect(throws: FileError("read", missing.path, code: ENOENT)) { try FilePieces(of: missing) }
  }
}
