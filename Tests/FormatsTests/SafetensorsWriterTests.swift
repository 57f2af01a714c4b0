import Foundation
import Testing

@testable import Formats

@Suite struct SafetensorsWriterTests {
  @Test(arguments: ["python.safetensors", "python-no-metadata.safetensors", "python-nothing.safetensors"], 0..<3)
  func `the bytes are those of the Python package, in whatever order tensors are added`(
    name: String, seed: UInt64
  ) throws {
    let expected = try Data(contentsOf: fixture(name))
    let file = try SafetensorsFile(contentsOf: fixture(name))
    var generator = SplitMix64(seed: seed)
    var writer = SafetensorsWriter(metadata: file.metadata.isEmpty ? nil : file.metadata)
    for tensor in file.tensors.shuffled(using: &generator) {
      try writer.add(tensor.name, tensor.dtype, shape: tensor.shape) { append in
        // In two pieces, as a tensor that is computed by tiles would come.
        let bytes = try file.bytes(of: tensor.name)
        try append(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)]))
        try append(UnsafeRawBufferPointer(rebasing: bytes[(bytes.count / 2)...]))
      }
    }
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("out.safetensors")
    try writer.write(to: url)
    #expect(try Data(contentsOf: url) == expected)
    #expect(try folder.names() == ["out.safetensors"])
  }

  @Test func `metadata goes by key and the header is padded to 8`() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("out.safetensors")
    try SafetensorsWriter(metadata: ["b": "2", "a": "1", "Z": "0"]).write(to: url)
    let text = #"{"__metadata__":{"Z":"0","a":"1","b":"2"}}"#
    #expect(try Data(contentsOf: url) == Data([48, 0, 0, 0, 0, 0, 0, 0] + Array((text + "      ").utf8)))
  }

  @Test func `empty metadata is written so that it can be read`() throws {
    // safetensors 0.8.0 writes `{},"__metadata__":{}}` here, which it then refuses itself.
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("out.safetensors")
    try SafetensorsWriter(metadata: [:]).write(to: url)
    #expect(try SafetensorsFile(contentsOf: url).tensors.isEmpty)
    #expect(try Data(contentsOf: url).dropFirst(8) == Data(#"{"__metadata__":{}}     "#.utf8))
  }

  @Test func `what the reader would refuse is not added`() throws {
    var writer = SafetensorsWriter()
    try writer.add("x", .uint8, shape: [1], Data([1]))
    func problem(_ name: String, _ shape: [Int], _ data: Data = Data()) -> SafetensorsError.Problem? {
      #expect(throws: SafetensorsError.self) { try writer.add(name, .float32, shape: shape, data) }?.problem
    }
    #expect(problem("x", [0]) == .nameTwice)
    #expect(problem("", [0]) == .nameUnusable)
    #expect(problem("__metadata__", [0]) == .nameUnusable)
    #expect(problem("a\0", [0]) == .nameUnusable)
    #expect(problem(String(repeating: "n", count: 4_097), [0]) == .nameTooLong(bytes: 4_097))
    #expect(problem("y", [-1]) == .negativeExtent(shape: [-1]))
    #expect(problem("y", [.max, 2]) == .sizeOverflows(shape: [.max, 2], .float32))
    #expect(problem("y", [Int](repeating: 1, count: 65), Data(count: 4)) == .tooManyDimensions)
    #expect(problem("y", [2], Data(count: 7)) == .bytesDiffer(expected: 8, given: 7))
    try writer.add("y", .uint8, shape: [1], Data([2]))  // none of the refused left a trace
  }

  @Test(arguments: [[3], [9], [4, 5], [0]])
  func `a provider that gives another number of bytes leaves what was there`(pieces: [Int]) throws {
    let folder = try TemporaryFolder()
    let url = try folder.file("out.safetensors", "before".utf8)
    var writer = SafetensorsWriter()
    try writer.add("x", .float32, shape: [2]) { append in
      for piece in pieces { try [UInt8](repeating: 1, count: piece).withUnsafeBytes(append) }
    }
    let error = #expect(throws: SafetensorsError.self) { try writer.write(to: url) }
    #expect(error?.problem == .bytesDiffer(expected: 8, given: pieces.reduce(0, +)))
    #expect(try String(contentsOf: url, encoding: .utf8) == "before")
    #expect(try folder.names() == ["out.safetensors"])
  }

  @Test func `a header beyond the format's limit is refused`() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("x")
    let writer = SafetensorsWriter(metadata: ["m": "12345"])  // a header of 30 bytes, padded to 32
    let error = #expect(throws: SafetensorsError.self) { try writer.write(to: url, maximumHeader: 31) }
    #expect(error?.problem == .headerTooLong(bytes: 32, limit: 31))
    #expect(try folder.names().isEmpty)
    try writer.write(to: url, maximumHeader: 32)
  }
}
