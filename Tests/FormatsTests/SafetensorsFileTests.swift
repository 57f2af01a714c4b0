import Foundation
import Testing

@testable import Formats

/// Hand-made files: the length of the header, the header, the data.
private func bytes(_ header: some Sequence<UInt8>, _ data: [UInt8] = []) -> [UInt8] {
  let header = Array(header)
  return withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header + data
}

private func bytes(_ header: String, _ data: [UInt8] = []) -> [UInt8] { bytes(header.utf8, data) }

private func refusal(_ bytes: [UInt8], _ access: MappedFile.Access = .mapped) throws -> SafetensorsError? {
  let folder = try TemporaryFolder()
  let url = try folder.file("bad.safetensors", bytes)
  let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(contentsOf: url, access: access) }
  #expect(error?.file == url.path)
  return error
}

private func expect(
  _ error: SafetensorsError?, _ problem: SafetensorsError.Problem, tensor: String? = nil, at offset: Int?,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(error?.problem == problem, sourceLocation: sourceLocation)
  #expect(error?.tensor == tensor, sourceLocation: sourceLocation)
  #expect(error?.offset == offset, sourceLocation: sourceLocation)
}

private func opened(_ bytes: [UInt8], _ access: MappedFile.Access = .mapped) throws -> SafetensorsFile {
  let folder = try TemporaryFolder()
  return try SafetensorsFile(contentsOf: folder.file("good.safetensors", bytes), access: access)
}

@Suite struct SafetensorsFileTests {
  @Test(arguments: [MappedFile.Access.mapped, .copied])
  func `a file of the Python package is read, every type`(access: MappedFile.Access) throws {
    let file = try SafetensorsFile(contentsOf: fixture("python.safetensors"), access: access)
    #expect(file.metadata == ["format": "pt é\n"])
    #expect(Set(file.tensors.map(\.dtype)) == Set(SafetensorsDType.allCases))
    #expect(file.names.first == "i.int64")
    #expect(file.names.last == "zeta.bool")
    let floats = try file.withBytes(of: "g.float32") { bytes in
      (0..<6).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    }
    #expect(floats == [0.5, -2, 1e-3, 3e38, 0, 1 / 3])
    #expect(floats[4].sign == .minus)
    #expect(file["g.float32"]?.shape == [2, 3])
    #expect(file["g.float32"]?.elementCount == 6)
    #expect(try file.bytes(of: "h.float64").loadUnaligned(as: Double.self) == .pi)
    #expect(try file.bytes(of: "i.int64").loadUnaligned(as: Int64.self) == .min)
    #expect(try Array(file.bytes(of: "zeta.bool")) == [1, 0, 1])
    #expect(try file.bytes(of: "scalar").loadUnaligned(as: Float.self) == 42)
    #expect(file["scalar"]?.shape == [])
    #expect(file["empty"]?.shape == [0, 3])
    #expect(try file.bytes(of: "empty").isEmpty)
    #expect(file["é \"quoted\" \\ / \n\u{7F}\u{01} 🦉"]?.byteCount == 4)
  }

  @Test func `a file of no tensors is read`() throws {
    #expect(try SafetensorsFile(contentsOf: fixture("python-nothing.safetensors")).tensors.isEmpty)
    #expect(try opened(bytes("{}")).metadata.isEmpty)
  }

  @Test func `the header may list tensors in any order`() throws {
    let header = #"""
      {"b":{"data_offsets":[2,3],"dtype":"U8","shape":[1]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}
      """#
    let file = try opened(bytes(header, [7, 8, 9]))
    #expect(file.names == ["a", "b"])
    #expect(try Array(file.bytes(of: "a")) == [7, 8])
    #expect(try Array(file.bytes(of: "b")) == [9])
  }

  @Test func `a tensor that is not there is named with its likes`() throws {
    let file = try SafetensorsFile(contentsOf: fixture("python.safetensors"))
    let error = #expect(throws: SafetensorsError.self) { try file.bytes(of: "g.flaot32") }
    #expect(error?.description.hasSuffix("there is no such tensor. Did you mean 'g.float32'?") == true)
    #expect(file["g.flaot32"] == nil)
  }

  @Test func `the bytes outlive every other holder of the file's name`() throws {
    let folder = try TemporaryFolder()
    let url = try folder.file(
      "x.safetensors", bytes(#"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, [5, 6]))
    let file = try SafetensorsFile(contentsOf: url)
    try FileManager.default.removeItem(at: url)
    #expect(try Array(file.bytes(of: "x")) == [5, 6])
  }
}

@Suite struct SafetensorsHeaderTests {
  private static let good = #"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#

  // MARK: The file

  @Test func `a file that is not there is refused`() {
    let url = URL(fileURLWithPath: "/nonexistent/x.safetensors")
    let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(contentsOf: url) }
    #expect(error?.problem == .unreadable(FileError("read", url.path, code: ENOENT)))
    #expect(error?.description.contains("Check the path") == true)
  }

  @Test func `a folder is refused`() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(contentsOf: folder.url) }
    #expect(error?.problem == .unreadable(FileError("read", folder.url.path, code: EISDIR)))
  }

  @Test func `a pipe is refused without waiting for a writer`() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("pipe")
    #expect(mkfifo(url.path, 0o600) == 0)
    let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(contentsOf: url) }
    #expect(error?.problem == .unreadable(FileError("read", url.path, code: EINVAL)))
  }

  @Test(arguments: [MappedFile.Access.mapped, .copied])
  func `an empty file is refused`(access: MappedFile.Access) throws {
    expect(try refusal([], access), .shorterThanItsLength(bytes: 0), at: 0)
  }

  @Test func `a file shorter than the length is refused`() throws {
    expect(try refusal([2, 0, 0, 0, 0, 0, 0]), .shorterThanItsLength(bytes: 7), at: 0)
  }

  @Test func `a header that is too long is refused`() throws {
    var file = bytes(Self.good, [1, 2])
    file.replaceSubrange(0..<8, with: withUnsafeBytes(of: UInt64(100_000_001), Array.init))
    expect(try refusal(file), .headerTooLong(bytes: 100_000_001, limit: 100_000_000), at: 0)
    file.replaceSubrange(0..<8, with: [UInt8](repeating: 255, count: 8))
    expect(try refusal(file), .headerTooLong(bytes: .max, limit: 100_000_000), at: 0)
  }

  @Test func `a header longer than the file is refused`() throws {
    expect(try refusal([100, 0, 0, 0, 0, 0, 0, 0] + "{}".utf8), .headerCutShort(bytes: 100, present: 2), at: 0)
  }

  @Test func `an empty header is refused`() throws {
    expect(try refusal(bytes("", [1, 2, 3])), .headerDoesNotOpen(nil), at: 8)
  }

  @Test func `a header that does not open with a brace is refused, be it JSON`() throws {
    expect(try refusal(bytes(" " + Self.good, [1, 2])), .headerDoesNotOpen(UInt8(ascii: " ")), at: 8)
    expect(try refusal(bytes("[]")), .headerDoesNotOpen(UInt8(ascii: "[")), at: 8)
  }

  @Test func `a header that is not UTF-8 is refused`() throws {
    let header = Array(#"{"a"#.utf8) + [0xFF] + Array(#"":1}"#.utf8)
    expect(try refusal(bytes(header)), .headerNotUTF8, at: 11)
  }

  @Test func `a header that is not JSON is refused`() throws {
    let problem = JSONError.Problem.unexpectedByte(UInt8(ascii: "x"), expected: "a key or '}'")
    expect(try refusal(bytes("{x}")), .headerNotJSON(problem), at: 9)
  }

  @Test func `a header cut off within its JSON is refused`() throws {
    let error = try refusal(bytes(#"{"x":{"dtype":"U8""#))
    expect(error, .headerNotJSON(.unexpectedEnd(expected: "',' or '}'")), tensor: "x", at: 26)
  }

  @Test func `spaces after the header are padding, and nothing else is`() throws {
    #expect(try opened(bytes(Self.good + "   ", [1, 2])).names == ["x"])
    expect(try refusal(bytes(Self.good + " \n", [1, 2])), .paddingNotSpaces(10), at: 62)
    expect(try refusal(bytes(Self.good + "\0", [1, 2])), .paddingNotSpaces(0), at: 61)
    expect(try refusal(bytes(Self.good + "{}", [1, 2])), .paddingNotSpaces(UInt8(ascii: "{")), at: 61)
  }

  // MARK: Something else

  @Test(
    arguments: [
      (Array("PK\u{03}\u{04}\0\0\u{08}\u{08}\0\0".utf8), .zip, "weights_only=True"),
      ([0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9], .pickle, "can run code"),
      (
        Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".utf8), .gitLFSPointer, "git lfs pull"
      ),
      (Array("<!DOCTYPE html><html>".utf8), .webPage, "download it again"),
      (Array("GGUF\u{03}\0\0\0\0\0".utf8), .gguf, ".safetensors file"),
      ([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A, 0], .hdf5, ".safetensors file"),
      (Array("PK\u{03}\u{04}".utf8), .zip, "torch.save"),
    ] as [([UInt8], Lookalike, String)])
  func `a file of another kind is called by its name, with the remedy`(
    bytes: [UInt8], kind: Lookalike, remedy: String
  ) throws {
    let error = try refusal(bytes)
    #expect(error?.problem == .lookalike(kind))
    #expect(error?.description.contains(remedy) == true)
  }

  @Test func `a header whose length looks like the start of a pickle is read`() throws {
    // 640 is 80 02 in hexadecimal, the first bytes of pickle protocol 2.
    let header = Self.good + String(repeating: " ", count: 640 - Self.good.utf8.count)
    #expect(try opened(bytes(header, [1, 2])).names == ["x"])
  }

  // MARK: Metadata

  @Test func `metadata that is not an object of strings is refused`() throws {
    expect(try refusal(bytes(#"{"__metadata__":[]}"#)), .metadataNotAnObject, at: 24)
    expect(try refusal(bytes(#"{"__metadata__":null}"#)), .metadataNotAnObject, at: 24)
    expect(try refusal(bytes(#"{"__metadata__":{"a":1}}"#)), .metadataNotAString(key: "a"), at: 29)
  }

  @Test func `metadata given twice is refused`() throws {
    expect(try refusal(bytes(#"{"__metadata__":{"a":"","a":""}}"#)), .metadataKeyTwice(key: "a"), at: 32)
    let twice = #"{"__metadata__":{},"__metadata__":{}}"#
    expect(try refusal(bytes(twice)), .metadataKeyTwice(key: "__metadata__"), at: 27)
  }

  @Test func `more keys of metadata than the limit are refused`() throws {
    let keys = (0..<100_000).map { #""\#($0)":"""# }.joined(separator: ",")
    #expect(try opened(bytes(#"{"__metadata__":{\#(keys)}}"#)).metadata.count == 100_000)
    let error = try refusal(bytes(#"{"__metadata__":{\#(keys),"more":""}}"#))
    expect(error, .tooManyMetadataKeys(limit: 100_000), at: 8 + 17 + keys.utf8.count + 1)
  }

  // MARK: Names

  @Test func `a tensor given twice is refused`() throws {
    let entry = #"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#
    expect(try refusal(bytes(#"{"x":\#(entry),"x":\#(entry)}"#, [1])), .nameTwice, tensor: "x", at: 61)
    expect(try refusal(bytes(#"{"x":\#(entry),"\u0078":\#(entry)}"#, [1])), .nameTwice, tensor: "x", at: 61)
  }

  @Test func `an empty name, and one with a NUL, are refused`() throws {
    let entry = #"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#
    expect(try refusal(bytes(#"{"":\#(entry)}"#, [1])), .nameUnusable, tensor: "", at: 9)
    expect(try refusal(bytes(#"{"a\u0000b":\#(entry)}"#, [1])), .nameUnusable, tensor: "a\0b", at: 9)
  }

  @Test func `a name of 64 KB is refused and does not fill the error`() throws {
    let header = Self.good.replacing("\"x\"", with: "\"" + String(repeating: "x", count: 65_536) + "\"")
    let error = try refusal(bytes(header, [1, 2]))
    expect(error, .nameTooLong(bytes: 65_536), tensor: String(repeating: "x", count: 64), at: 9)
    #expect((error?.description.count ?? .max) < 400)
    let longest = Self.good.replacing("\"x\"", with: "\"" + String(repeating: "x", count: 4_096) + "\"")
    #expect(try opened(bytes(longest, [1, 2])).tensors.count == 1)
  }

  @Test func `more tensors than the limit are refused`() throws {
    #expect(SafetensorsLimits.tensors == 1_000_000)
    let entry = #"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#
    let file = bytes(#"{"a":\#(entry),"__metadata__":{},"b":\#(entry),"c":\#(entry)}"#)
    let header = try file.withUnsafeBytes { try SafetensorsHeader($0, file: "x", maximumTensors: 3) }
    #expect(header.tensors.map(\.name) == ["a", "b", "c"])
    let error = #expect(throws: SafetensorsError.self) {
      try file.withUnsafeBytes { try SafetensorsHeader($0, file: "x", maximumTensors: 2) }
    }
    #expect(error?.problem == .tooManyTensors(limit: 2))
    #expect(error?.tensor == "c")
  }

  // MARK: Entries

  @Test func `an entry that is not an object is refused`() throws {
    expect(try refusal(bytes(#"{"x":7}"#)), .entryNotAnObject, tensor: "x", at: 13)
  }

  @Test(arguments: ["dtype", "shape", "data_offsets"])
  func `an entry that lacks a field is refused`(field: String) throws {
    let fields = ["dtype": #""U8""#, "shape": "[2]", "data_offsets": "[0,2]"].filter { $0.key != field }
    let entry = fields.map { #""\#($0.key)":\#($0.value)"# }.sorted().joined(separator: ",")
    expect(try refusal(bytes(#"{"x":{\#(entry)}}"#, [1, 2])), .fieldMissing(field), tensor: "x", at: 13)
  }

  @Test func `a field that the format does not know is refused`() throws {
    let header = #"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"strides":[1]}}"#
    expect(try refusal(bytes(header, [1, 2])), .fieldUnknown("strides"), tensor: "x", at: 60)
  }

  @Test func `a field given twice is refused`() throws {
    let header = #"{"x":{"dtype":"U8","shape":[2],"shape":[2],"data_offsets":[0,2]}}"#
    expect(try refusal(bytes(header, [1, 2])), .fieldTwice("shape"), tensor: "x", at: 39)
  }

  @Test(arguments: ["U16", "U32", "U64", "F8_E4M3", "F8_E5M2", "C64", "F4", "f32", "F32 ", ""])
  func `a dtype that is not supported is refused by name`(dtype: String) throws {
    let header = Self.good.replacing("U8", with: dtype)
    let error = try refusal(bytes(header, [1, 2]))
    expect(error, .dtypeUnsupported(dtype), tensor: "x", at: 22)
    #expect(error?.description.contains("\"\(dtype)\" is not supported; supported are F64, F32") == true)
  }

  @Test func `a dtype that is not a string is refused`() throws {
    expect(try refusal(bytes(Self.good.replacing("\"U8\"", with: "8"), [1, 2])), .dtypeNotAString, tensor: "x", at: 22)
  }

  @Test func `a shape that is not an array is refused`() throws {
    expect(try refusal(bytes(Self.good.replacing("[2]", with: "2"), [1, 2])), .shapeNotAnArray, tensor: "x", at: 35)
  }

  @Test(arguments: ["-2", "-0", "2.0", "2e0", "\"2\"", "null", "[2]", "9223372036854775808", "1e999"])
  func `an extent that is not a count is refused`(extent: String) throws {
    let header = Self.good.replacing("[2]", with: "[\(extent)]")
    expect(try refusal(bytes(header, [1, 2])), .extentNotACount, tensor: "x", at: 36)
  }

  @Test func `more dimensions than libtorch has are refused`() throws {
    func header(_ dimensions: Int) -> String {
      let ones = [String](repeating: "1", count: dimensions - 1).joined(separator: ",")
      return Self.good.replacing("[2]", with: "[2,\(ones)]")
    }
    #expect(try opened(bytes(header(64), [1, 2]))["x"]?.shape.count == 64)
    expect(try refusal(bytes(header(65), [1, 2])), .tooManyDimensions, tensor: "x", at: 35)
  }

  @Test(arguments: ["[0]", "[]", "[0,2,2]", "2", "{}"])
  func `offsets that are not a pair are refused`(offsets: String) throws {
    let header = Self.good.replacing("[0,2]", with: offsets)
    expect(try refusal(bytes(header, [1, 2])), .offsetsNotAPair, tensor: "x", at: 54)
  }

  @Test(arguments: ["[-1,1]", "[0.0,2]", "[\"0\",2]", "[18446744073709551615,2]"])
  func `an offset that is not a count is refused`(offsets: String) throws {
    let header = Self.good.replacing("[0,2]", with: offsets)
    expect(try refusal(bytes(header, [1, 2])), .offsetNotACount, tensor: "x", at: 55)
  }

  @Test func `offsets in reverse are refused`() throws {
    let header = Self.good.replacing("[0,2]", with: "[2,0]")
    expect(try refusal(bytes(header, [1, 2])), .offsetsReversed(begin: 2, end: 0), tensor: "x", at: 54)
  }

  // MARK: Sizes

  @Test func `a size that overflows is refused, an extent of 0 or not`() throws {
    let huge = [4_611_686_018_427_387_904, 4]
    let header = Self.good.replacing("[2]", with: "\(huge)")
    expect(try refusal(bytes(header, [1, 2])), .sizeOverflows(shape: huge, .uint8), tensor: "x", at: 13)
    let hidden = [0] + huge
    let empty = Self.good.replacing("[2]", with: "\(hidden)").replacing("[0,2]", with: "[0,0]")
    expect(try refusal(bytes(empty)), .sizeOverflows(shape: hidden, .uint8), tensor: "x", at: 13)
  }

  @Test func `an end that overflows with the header's length is refused`() throws {
    let header = #"{"x":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}"#
    expect(try refusal(bytes(header)), .sizeOverflows(shape: [.max], .uint8), tensor: "x", at: 72)
  }

  @Test func `offsets that do not span the shape are refused`() throws {
    let header = Self.good.replacing("U8", with: "F32")
    let problem = SafetensorsError.Problem.sizeDiffers(shape: [2], .float32, expected: 8, found: 2)
    expect(try refusal(bytes(header, [1, 2])), problem, tensor: "x", at: 55)
  }

  // MARK: Layout

  private func pair(_ first: String, _ second: String) -> String {
    let start = #""dtype":"U8","shape":[2],"data_offsets":"#
    return "{\"a\":{\(start)\(first)},\"b\":{\(start)\(second)}}"
  }

  @Test func `a hole before the first tensor is refused`() throws {
    let header = Self.good.replacing("[0,2]", with: "[1,3]")
    let start = 8 + header.utf8.count
    expect(try refusal(bytes(header, [1, 2, 3])), .hole(bytes: 1), tensor: "x", at: start)
  }

  @Test func `a hole between tensors is refused`() throws {
    let header = pair("[0,2]", "[3,5]")
    expect(
      try refusal(bytes(header, [1, 2, 3, 4, 5])), .hole(bytes: 1), tensor: "b", at: 8 + header.utf8.count + 2)
  }

  @Test func `tensors that overlap are refused`() throws {
    let header = pair("[0,2]", "[1,3]")
    expect(
      try refusal(bytes(header, [1, 2, 3])), .overlap(with: "a", bytes: 1), tensor: "b", at: 8 + header.utf8.count + 1)
    let same = pair("[0,2]", "[0,2]")
    expect(
      try refusal(bytes(same, [1, 2])), .overlap(with: "a", bytes: 2), tensor: "b", at: 8 + same.utf8.count)
  }

  @Test func `data cut short is refused`() throws {
    let file = bytes(Self.good, [1])
    expect(try refusal(file), .dataCutShort(missing: 1), tensor: "x", at: file.count)
  }

  @Test func `bytes after the last tensor are refused`() throws {
    let file = bytes(Self.good, [1, 2, 3])
    expect(try refusal(file), .trailingBytes(1), at: file.count - 1)
    expect(try refusal(bytes("{}", [0])), .trailingBytes(1), at: 10)
  }

  @Test func `an empty tensor inside another is refused`() throws {
    let header = """
      {"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}
      """
    #expect(try refusal(bytes(header, [1, 2]))?.problem == .overlap(with: "a", bytes: 0))
  }

  // MARK: Damage

  @Test func `a file cut off at any byte is refused`() throws {
    let valid = try [UInt8](Data(contentsOf: fixture("python.safetensors")))
    for length in 0..<valid.count {
      let isRefused = valid[..<length].withUnsafeBytes { (try? SafetensorsHeader($0, file: "cut")) == nil }
      #expect(isRefused, "\(length) bytes")
    }
  }

  @Test func `damage never traps, and what is accepted keeps every promise`() throws {
    let valid = try [UInt8](Data(contentsOf: fixture("python.safetensors")))
    let headerEnd = 8 + Int(valid[0]) + Int(valid[1]) << 8
    let interesting = Array(#"{}[]":,0123456789-.eE\u/ "#.utf8) + [0, 0x7F, 0x80, 0xC0, 0xFF]
    var generator = SplitMix64(seed: 11)
    var accepted = 0
    for _ in 0..<30_000 {
      var bytes = valid
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place = Int.random(in: 0..<headerEnd, using: &generator)
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: bytes[place] = interesting.randomElement(using: &generator) ?? 0
        case 2: bytes.insert(interesting.randomElement(using: &generator) ?? 0, at: place)
        case 3: bytes.remove(at: place)
        default:
          let end = min(bytes.count, place + Int.random(in: 1...16, using: &generator))
          bytes.insert(contentsOf: bytes[place..<end], at: place)
        }
      }
      if Int.random(in: 0..<10, using: &generator) == 0 {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
      }
      // Half of the time the length is made to fit, or hardly any damage would get past it.
      if Bool.random(using: &generator), bytes.count >= 8, bytes.count >= valid.count - headerEnd {
        let length = max(0, bytes.count - (valid.count - headerEnd) - 8)
        bytes.replaceSubrange(0..<8, with: withUnsafeBytes(of: UInt64(length).littleEndian, Array.init))
      }
      let header = bytes.withUnsafeBytes { try? SafetensorsHeader($0, file: "damaged") }
      guard let header else { continue }
      accepted += 1
      var end = header.tensors.first?.byteRange.lowerBound ?? bytes.count
      for tensor in header.tensors {
        #expect(tensor.byteRange.lowerBound == end)
        #expect(TensorInfo.byteCount(of: tensor.shape, tensor.dtype) == tensor.byteCount)
        end = tensor.byteRange.upperBound
      }
      #expect(end == bytes.count)
    }
    #expect((1..<30_000).contains(accepted))
  }
}
