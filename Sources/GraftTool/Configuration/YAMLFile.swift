import Formats
import Foundation
import Yams

/// A configuration file in YAML, as JSON values and the place of each.
///
/// Plain scalars are read by the core schema of YAML 1.2: `null`, `~` and nothing are null, `true` and `false` are
/// booleans, `no` and `on` are words, numbers are decimal. Quoted scalars are strings. Keys are strings and stand once.
struct YAMLFile {
  let name: String
  let root: JSONObject
  /// Line and column by path, as in `methods.0.name`.
  let places: [String: Mark]

  private static let largestFile = 1 << 20
  private static let mostNodes = 100_000
  private static let deepest = 32

  /// - Throws: `ConfigurationError`; `FileError`.
  init(contentsOf url: URL) throws {
    let file: FileHandle
    do { file = try FileHandle(forReadingFrom: url) } catch {
      throw ConfigurationError.value(place: url.path, problem: "the configuration file cannot be read. Check its path.")
    }
    let bytes = try file.read(upToCount: Self.largestFile + 1) ?? Data()
    guard bytes.count <= Self.largestFile else {
      throw ConfigurationError.tooLarge(file: url.path, limit: "at most \(Self.largestFile >> 20) MiB are read")
    }
    guard let text = String(data: bytes, encoding: .utf8) else {
      throw ConfigurationError.value(place: url.path, problem: "the file is not UTF-8 text.")
    }
    try self.init(text, name: url.relativePath)
  }

  init(_ text: String, name: String) throws {
    self.name = name
    // The parser calls itself for each level of nesting; a flow collection can nest with one character.
    var depth = 0
    for byte in text.utf8 where depth <= Self.mostFlowLevels {
      if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") { depth += 1 }
      if byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") { depth = max(0, depth - 1) }
    }
    guard depth <= Self.mostFlowLevels else {
      throw ConfigurationError.tooLarge(file: name, limit: "brackets nest deeper than \(Self.mostFlowLevels)")
    }
    let node: Node?
    do { node = try Yams.compose(yaml: text) } catch let error as YamlError {
      throw ConfigurationError.syntax(place: name, problem: Self.explain(error))
    }
    var reading = Reading(name: name)
    guard let node else {
      (root, places) = (JSONObject(), [:])
      return
    }
    guard let root = try reading.value(node, []).object else {
      throw ConfigurationError.value(place: name, problem: "the file must be a mapping, 'key: value' on each line.")
    }
    (self.root, places) = (root, reading.places)
  }

  private static let mostFlowLevels = 200

  private static func explain(_ error: YamlError) -> String {
    // The parser's text repeats the lines concerned below the message; a place and a problem are enough.
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      "line \(mark.line), column \(mark.column): \(problem)"
    case .duplicatedKeysInMapping(let duplicates, _):
      "the keys \(duplicates.map { "'\($0)'" }.joined(separator: ", ")) stand twice in a mapping"
    default: "\(error)"
    }
  }

  private struct Reading {
    let name: String
    var places: [String: Mark] = [:]
    var count = 0

    mutating func value(_ node: Node, _ path: [String]) throws -> JSONValue {
      // Aliases make a small file large, so what is counted is what they expand to.
      count += 1
      guard count <= YAMLFile.mostNodes, path.count <= YAMLFile.deepest else {
        throw ConfigurationError.tooLarge(file: name, limit: "it has too many or too deeply nested values")
      }
      if let mark = node.mark, places[path.joined(separator: ".")] == nil {
        places[path.joined(separator: ".")] = mark
      }
      switch node {
      case .scalar(let scalar): return YAMLFile.value(of: scalar)
      case .sequence(let sequence):
        return .array(try sequence.enumerated().map { try value($1, path + ["\($0)"]) })
      case .mapping(let mapping):
        var object = JSONObject()
        for (key, content) in mapping {
          guard let key = key.scalar else {
            throw ConfigurationError.value(place: place(key), problem: "a key must be a word.")
          }
          guard object[key.string] == nil else {
            throw ConfigurationError.value(
              place: key.mark.map { "\(name):\($0)" } ?? name, problem: "'\(key.string)' stands twice.")
          }
          // A message about a value points at its key: that is where a misspelling is.
          if let mark = key.mark { places[(path + [key.string]).joined(separator: ".")] = mark }
          object[key.string] = try value(content, path + [key.string])
        }
        return .object(object)
      case .alias: throw ConfigurationError.value(place: place(node), problem: "an alias without its anchor.")
      }
    }

    private func place(_ node: Node) -> String { node.mark.map { "\(name):\($0)" } ?? name }
  }

  private static func value(of scalar: Node.Scalar) -> JSONValue {
    let text = scalar.string
    guard scalar.style == .plain || scalar.style == .any else { return .string(text) }
    return plain(text)
  }

  /// What a scalar without quotes stands for.
  static func plain(_ text: String) -> JSONValue {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    default: break
    }
    guard text.allSatisfy({ $0.isASCII && ($0.isNumber || "+-.eE".contains($0)) }) else { return .string(text) }
    if let integer = Int(text) { return .integer(integer) }
    if let number = Double(text), number.isFinite { return .double(number) }
    return .string(text)
  }
}

extension JSONValue {
  /// As YAML that `YAMLFile` reads back to the same value.
  func yaml() throws -> String {
    try Yams.serialize(node: node, width: -1, allowUnicode: true)
  }

  private var node: Node {
    switch self {
    case .null: Node("null")
    case .bool(let value): Node("\(value)")
    case .integer(let value): Node("\(value)")
    case .double(let value): Node("\(value)")
    case .string(let text):
      YAMLFile.plain(text) == .string(text) ? Node(text) : Node(text, .implicit, .doubleQuoted)
    case .array(let values):
      .sequence(
        Node.Sequence(values.map(\.node), .implicit, values.allSatisfy { $0.object == nil } ? .flow : .block))
    case .object(let object):
      .mapping(Node.Mapping(object.members.map { (Node($0.key), $0.value.node) }))
    }
  }
}
