import Foundation
import Testing

@testable import Formats

@Suite struct SafetensorsFileRewritingTests {
  /// A file of another layout than the writer's: tensors out of order, spaces in the header, a key of metadata.
  private func unusual(in folder: TemporaryFolder) throws -> SafetensorsFile {
    let header =
      #"{"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}, "__metadata__":{"format":"pt"},"#
      + #" "a":{"dtype":"F32","shape":[1],"data_offsets":[2,6]},"c":{"dtype":"U8","shape":[0],"data_offsets":[6,6]}}   "#
    let bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian, Array.init) + Array(header.utf8)
    return try SafetensorsFile(contentsOf: folder.file("in.safetensors", bytes + [7, 8, 1, 2, 3, 4]))
  }

  private func giving(_ bytes: UInt8...) -> SafetensorsWriter.Provider {
    { append in try bytes.withUnsafeBytes(append) }
  }

  @Test func `with nothing replaced the bytes are the same, whatever the layout`() throws {
    let folder = try TemporaryFolder()
    let file = try unusual(in: folder)
    let out = folder.url.appendingPathComponent("out.safetensors")
    try file.write(to: out, replacing: [:])
    #expect(try Data(contentsOf: out) == Data(contentsOf: file.url))
  }

  @Test func `only the bytes of a replaced tensor change`() throws {
    let folder = try TemporaryFolder()
    let file = try unusual(in: folder)
    let out = folder.url.appendingPathComponent("out.safetensors")
    try file.write(to: out, replacing: ["b": giving(9, 10), "c": giving()])
    var expected = try Data(contentsOf: file.url)
    expected.replaceSubrange(expected.count - 6..<expected.count - 4, with: [9, 10])
    #expect(try Data(contentsOf: out) == expected)
  }

  @Test func `a file may be written over itself`() throws {
    let folder = try TemporaryFolder()
    let file = try unusual(in: folder)
    try file.write(to: file.url, replacing: ["a": giving(5, 6, 7, 8)])
    let again = try SafetensorsFile(contentsOf: file.url)
    #expect(try again.withBytes(of: "a") { Array($0) } == [5, 6, 7, 8])
    #expect(try again.withBytes(of: "b") { Array($0) } == [7, 8])
    #expect(again.metadata == ["format": "pt"])
  }

  @Test func `a tensor that is not there and a wrong number of bytes are refused, and nothing is left`() throws {
    let folder = try TemporaryFolder()
    let file = try unusual(in: folder)
    let out = folder.url.appendingPathComponent("out.safetensors")
    let missing = #expect(throws: SafetensorsError.self) { try file.write(to: out, replacing: ["d": giving()]) }
    guard case .noSuchTensor = missing?.problem else {
      Issue.record("\(String(describing: missing))")
      return
    }
    for given in [giving(1), giving(1, 2, 3)] {
      let error = #expect(throws: SafetensorsError.self) { try file.write(to: out, replacing: ["b": given]) }
      guard case .bytesDiffer(expected: 2, _) = error?.problem else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    #expect(try folder.names() == ["in.safetensors"])
  }
}
