import Formats
import Foundation
import Testing

@testable import Tokenizers

/// What scripts/fixtures/tokenizers_reference.py left.
enum Fixture {
  static func url(_ name: String) -> URL {
    Bundle.module.resourceURL?.appendingPathComponent("Fixtures/\(name)") ?? URL(fileURLWithPath: name)
  }

  static func references(_ key: String) throws -> [JSONValue] {
    try #require(JSONValue(contentsOf: url("references.json"))[key]?.array)
  }

  static func file(_ name: String) throws -> JSONObject {
    try #require(JSONValue(contentsOf: url("\(name)/tokenizer.json")).object)
  }

  /// The tokenizer of a fixture with parts of its file replaced.
  static func tokenizer(_ name: String, replacing parts: JSONObject = [:]) throws -> Tokenizer {
    try Tokenizer(parsing: .object(replaced(name, parts)))
  }

  static func replaced(_ name: String, _ parts: JSONObject) throws -> JSONObject {
    var file = try file(name)
    for (key, value) in parts.members { file[key] = value }
    return file
  }

  /// A folder with these files; removed when `body` returns.
  static func withFolder<Result>(_ files: [String: String], _ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tokenizer-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
    return try body(folder)
  }
}

extension JSONValue {
  var integers: [Int]? { array?.compactMap(\.integer) }
}
