import Foundation
import Testing

@testable import Formats

@Suite struct ShardedSafetensorsTests {
  /// Shards `one` (a, b) and `two` (c), each tensor one byte: 1, 2, 3.
  private func folder(_ weightMap: String) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try write(["a": 1, "b": 2], to: folder.url.appendingPathComponent("one.safetensors"))
    try write(["c": 3], to: folder.url.appendingPathComponent("two.safetensors"))
    _ = try folder.file(
      "model.safetensors.index.json", #"{"metadata":{"total_size":3},"weight_map":\#(weightMap)}"#.utf8)
    return folder
  }

  private func write(_ tensors: [String: UInt8], to url: URL) throws {
    var writer = SafetensorsWriter()
    for (name, value) in tensors { try writer.add(name, .uint8, shape: [1], Data([value])) }
    try writer.write(to: url)
  }

  private func refusal(_ folder: TemporaryFolder) -> ShardedSafetensorsError? {
    #expect(throws: ShardedSafetensorsError.self) { try ShardedSafetensors(in: folder.url) }
  }

  private static let good = #"{"a":"one.safetensors","c":"two.safetensors","b":"one.safetensors"}"#

  @Test func `each tensor comes from the shard of the index`() throws {
    let folder = try folder(Self.good)
    let model = try ShardedSafetensors(in: folder.url)
    #expect(model.names == ["a", "b", "c"])
    #expect(try model.names.map { try Array(model.bytes(of: $0)) } == [[1], [2], [3]])
    #expect(model.indexMetadata?["total_size"] == 3)
    #expect(try model.file(of: "c").url.lastPathComponent == "two.safetensors")
    let error = #expect(throws: SafetensorsError.self) { try model.info(of: "d") }
    #expect(error?.tensor == "d")
  }

  @Test func `a single file is taken, before an index too`() throws {
    let folder = try folder(Self.good)
    try write(["whole": 9], to: folder.url.appendingPathComponent("model.safetensors"))
    let model = try ShardedSafetensors(in: folder.url)
    #expect(model.names == ["whole"])
    #expect(try model.withBytes(of: "whole") { Array($0) } == [9])
  }

  @Test func `a folder without weights is refused with what it holds`() throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("pytorch_model.bin", [0x80, 2])
    let error = refusal(folder)
    #expect(
      error
        == .noWeights(
          folder: folder.url.path, expected: ["model.safetensors", "model.safetensors.index.json"],
          found: ["pytorch_model.bin"]))
    #expect(error?.description.contains("It holds pytorch_model.bin. Its weights are Python pickles") == true)
  }

  @Test func `a shard that is missing is refused with those present`() throws {
    let folder = try folder(Self.good)
    try FileManager.default.removeItem(at: folder.url.appendingPathComponent("one.safetensors"))
    guard case .missingShards(_, let missing, let present) = refusal(folder) else {
      Issue.record("another error")
      return
    }
    #expect(missing == ["one.safetensors"])
    #expect(present == ["two.safetensors"])
  }

  @Test func `an index and shards that disagree are refused, both sides listed`() throws {
    let folder = try folder(#"{"a":"one.safetensors","b":"two.safetensors","x":"two.safetensors"}"#)
    guard case .disagreement(_, let missing, let unlisted) = refusal(folder) else {
      Issue.record("another error")
      return
    }
    #expect(missing.map(\.tensor) == ["b", "x"])
    #expect(missing.map(\.shard) == ["two.safetensors", "two.safetensors"])
    #expect(unlisted.map(\.tensor) == ["b", "c"])
    #expect(unlisted.map(\.shard) == ["one.safetensors", "two.safetensors"])
    let text = refusal(folder)?.description
    #expect(
      text?.contains("In the index but not in the shard it gives: b (two.safetensors), x (two.safetensors).") == true)
  }

  @Test func `a tensor in two shards is refused`() throws {
    let folder = try folder(Self.good)
    try write(["c": 3, "a": 4], to: folder.url.appendingPathComponent("two.safetensors"))
    guard case .disagreement(_, let missing, let unlisted) = refusal(folder) else {
      Issue.record("another error")
      return
    }
    #expect(missing.isEmpty)
    #expect(unlisted == [.init(tensor: "a", shard: "two.safetensors")])
  }

  @Test(arguments: [
    "../one.safetensors", "/etc/passwd", "a/../../b", "a\\\\b", "one\\u0000.safetensors", "", "./one.safetensors",
  ])
  func `a shard outside the folder is refused`(shard: String) throws {
    let folder = try folder(#"{"a":"\#(shard)"}"#)
    guard case .unsafeShard(_, "a", _) = refusal(folder) else {
      Issue.record("another error")
      return
    }
  }

  @Test func `a shard that is a link out of the folder is refused`() throws {
    let outside = try TemporaryFolder()
    try write(["a": 1], to: outside.url.appendingPathComponent("secret.safetensors"))
    let folder = try folder(#"{"a":"link.safetensors"}"#)
    try FileManager.default.createSymbolicLink(
      at: folder.url.appendingPathComponent("link.safetensors"),
      withDestinationURL: outside.url.appendingPathComponent("secret.safetensors"))
    guard case .unsafeShard(_, "a", let error) = refusal(folder), case .linkOutside(let target) = error.reason else {
      Issue.record("another error")
      return
    }
    #expect(target.hasSuffix("secret.safetensors"))
  }

  @Test(arguments: [
    "[]", "{}", #"{"weight_map":[]}"#, #"{"weight_map":{}}"#, #"{"weight_map":{"a":1}}"#,
    #"{"weight_map":{"a":"one","a":"two"}}"#, "{",
  ])
  func `a malformed index is refused`(text: String) throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("model.safetensors.index.json", text.utf8)
    guard case .malformedIndex = refusal(folder) else {
      Issue.record("another error")
      return
    }
  }

  @Test func `a damaged shard is refused by its own name`() throws {
    let folder = try folder(Self.good)
    let shard = try folder.file("two.safetensors", [1, 2, 3])
    let error = #expect(throws: SafetensorsError.self) { try ShardedSafetensors(in: folder.url) }
    #expect(error?.file == shard.path)
  }
}
