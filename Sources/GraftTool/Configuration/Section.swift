import Formats
import Foundation

/// A mapping of settings, each of which knows where it was written: defaults, then a file, then flags over it.
struct Section {
  private(set) var values = JSONObject()
  private var path: [String] = []
  /// `demo.yaml:3:5` or `--steps`, by path.
  private var origins: [String: String] = [:]

  init() {}

  /// Puts a file's settings over those there are.
  ///
  /// - Throws: `ConfigurationError.unknownKey` for one that is not in `known`.
  mutating func add(_ file: YAMLFile, known: [String]) throws {
    for (key, mark) in file.places { origins[key] = "\(file.name):\(mark)" }
    for (key, value) in file.root.members {
      try check(key, known)
      values[key] = value
    }
  }

  /// Puts the value of a flag over what a file says; nil leaves it.
  mutating func set(_ key: String, _ value: JSONValue?, flag: String) {
    guard let value else { return }
    origins = origins.filter { $0.key != key && !$0.key.hasPrefix(key + ".") }
    origins[key] = flag
    values[key] = value
  }

  /// Puts one setting of a mapping over what a file says.
  mutating func set(_ key: String, _ inner: String, _ value: JSONValue, flag: String) {
    var mapping = values[key]?.object ?? JSONObject()
    mapping[inner] = value
    values[key] = .object(mapping)
    origins["\(key).\(inner)"] = flag
  }

  /// Puts a value in place of one that was written in a shorter way; its place stays.
  mutating func replace(_ key: String, _ value: JSONValue?) { values[key] = value }

  /// - Throws: `ConfigurationError.unknownKey` for a key that is not in `known`.
  func check(known: [String]) throws {
    for key in values.keys { try check(key, known) }
  }

  private func check(_ key: String, _ known: [String]) throws {
    guard !known.contains(key) else { return }
    throw ConfigurationError.unknownKey(
      key, place: place(key), suggestion: Suggestion.didYouMean(key, among: known), known: known.sorted())
  }

  /// Where a setting was written, or else the mapping that it is in.
  func place(_ key: String? = nil) -> String {
    var path = path + (key.map { $0.split(separator: ".").map(String.init) } ?? [])
    while true {
      if let origin = origins[path.joined(separator: ".")] { return origin }
      guard path.popLast() != nil else { return "configuration" }
    }
  }

  // MARK: Reading

  func has(_ key: String) -> Bool { values[key] != nil }

  func string(_ key: String) throws -> String? {
    try read(key, "a text") { value in
      switch value {
      case .string(let text): text
      // A folder may be called 2024.
      case .integer(let number): "\(number)"
      default: nil
      }
    }
  }

  func strings(_ key: String) throws -> [String]? {
    try read(key, "a list of names, as in [one, two]") { value in
      if let one = value.string { return [one] }
      guard let list = value.array else { return nil }
      let texts = list.compactMap { $0.string ?? $0.integer.map(String.init) }
      return texts.count == list.count ? texts : nil
    }
  }

  func integer(_ key: String) throws -> Int? { try read(key, "a whole number", \.integer) }
  func number(_ key: String) throws -> Double? { try read(key, "a number", \.double) }
  func bool(_ key: String) throws -> Bool? { try read(key, "true or false", \.bool) }

  func numbers(_ key: String) throws -> [Double]? {
    try read(key, "a list of numbers, as in [1e-4, 1e-3]") { value in
      guard let list = value.array else { return nil }
      let numbers = list.compactMap(\.double)
      return numbers.count == list.count ? numbers : nil
    }
  }

  func section(_ key: String) throws -> Section? {
    try read(key, "a mapping") { value in value.object.map { inner(key, $0) } }
  }

  func sections(_ key: String) throws -> [Section]? {
    try read(key, "a list of mappings, each beginning with '- '") { value in
      guard let list = value.array else { return nil }
      let sections = list.enumerated().compactMap { index, item in item.object.map { inner("\(key).\(index)", $0) } }
      return sections.count == list.count ? sections : nil
    }
  }

  private func inner(_ key: String, _ values: JSONObject) -> Section {
    var section = self
    section.values = values
    section.path = path + key.split(separator: ".").map(String.init)
    return section
  }

  private func read<Value>(_ key: String, _ expected: String, _ convert: (JSONValue) -> Value?) throws -> Value? {
    guard let value = values[key], !value.isNull else { return nil }
    guard let converted = convert(value) else { throw wrongType(key, expected, value) }
    return converted
  }

  private func wrongType(_ key: String, _ expected: String, _ value: JSONValue) -> ConfigurationError {
    let text = (try? value.text()) ?? value.kind
    return .type(key, place: place(key), expected: expected, found: text.count > 60 ? value.kind : text)
  }

  /// The settings that `keys` names, decoded; what decoding refuses is named with its place.
  func decode<Value: Decodable>(_ type: Value.Type, keys: [String]) throws -> Value {
    var chosen = JSONObject()
    for (key, value) in values.members where keys.contains(key) { chosen[key] = value }
    do {
      return try JSONDecoder().decode(type, from: JSONValue.object(chosen).data())
    } catch let error as DecodingError {
      throw explain(error)
    }
  }

  private func explain(_ error: DecodingError) -> ConfigurationError {
    let (context, expected): (DecodingError.Context, String) =
      switch error {
      case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
        (context, Self.name(of: type))
      case .keyNotFound(let key, let context): (context, "a mapping with '\(key.stringValue)'")
      case .dataCorrupted(let context): (context, "one of the values that it can have")
      @unknown default: (DecodingError.Context(codingPath: [], debugDescription: ""), "another value")
      }
    let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
    var value = JSONValue.object(values)
    for part in path { value = value[part] ?? Int(part).flatMap { value[$0] } ?? .null }
    let key = path.joined(separator: ".")
    if case .dataCorrupted = error, !context.debugDescription.isEmpty {
      return .value(place: place(key), problem: "'\(key)': \(context.debugDescription)")
    }
    return wrongType(key, expected, value)
  }

  private static func name(of type: Any.Type) -> String {
    switch type {
    case is Int.Type, is UInt64.Type: "a whole number"
    case is Double.Type, is Float.Type: "a number"
    case is Bool.Type: "true or false"
    case is String.Type: "a text"
    case is [Any].Type: "a list"
    default: "a mapping"
    }
  }
}
