import Formats

/// Reads the members of one JSON object, each by its type, and refuses the members that nobody asked for.
final class FieldReader {
  let file: String
  private let path: String
  private let object: JSONObject
  private var known: [String] = []

  init(_ value: JSONValue, path: String, file: String) throws {
    guard let object = value.object else {
      throw TokenizerError.unexpected(
        found: value.kind, expected: "an object", field: path.isEmpty ? "the whole file" : path, file: file)
    }
    (self.object, self.path, self.file) = (object, path, file)
  }

  func place(of key: String) -> String { path.isEmpty ? "'\(key)'" : "'\(path).\(key)'" }

  /// The value under a key; nil where it is absent or null.
  func value(_ key: String) -> JSONValue? {
    known.append(key)
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }

  func required(_ key: String) throws -> JSONValue {
    guard let value = value(key) else { throw TokenizerError.missing(field: place(of: key), file: file) }
    return value
  }

  func unexpected(_ found: JSONValue, _ expected: String, at key: String) -> TokenizerError {
    .unexpected(found: found.summary, expected: expected, field: place(of: key), file: file)
  }

  func unsupported(_ what: String, at key: String, supported: [String]) -> TokenizerError {
    .unsupported("'\(what)'", field: place(of: key), file: file, supported: supported)
  }

  func string(_ key: String) throws -> String {
    let value = try required(key)
    guard let string = value.string else { throw unexpected(value, "a string", at: key) }
    return string
  }

  func optionalString(_ key: String) throws -> String? {
    guard let value = value(key) else { return nil }
    guard let string = value.string else { throw unexpected(value, "a string", at: key) }
    return string
  }

  func optionalBool(_ key: String) throws -> Bool? {
    guard let value = value(key) else { return nil }
    guard let bool = value.bool else { throw unexpected(value, "true or false", at: key) }
    return bool
  }

  func bool(_ key: String, or standard: Bool) throws -> Bool { try optionalBool(key) ?? standard }

  /// An integer from 0 on that fits a token id.
  func integer(_ key: String) throws -> Int {
    let value = try required(key)
    guard let integer = value.integer, (0...Int(Int32.max)).contains(integer) else {
      throw unexpected(value, "an integer from 0 to \(Int32.max)", at: key)
    }
    return integer
  }

  func array(_ key: String) throws -> [JSONValue] {
    let value = try required(key)
    guard let array = value.array else { throw unexpected(value, "an array", at: key) }
    return array
  }

  func object(_ key: String) throws -> FieldReader {
    try FieldReader(required(key), path: path.isEmpty ? key : "\(path).\(key)", file: file)
  }

  func optionalObject(_ key: String) throws -> FieldReader? { value(key) == nil ? nil : try object(key) }

  func objects(_ key: String) throws -> [FieldReader] {
    try array(key).enumerated().map { place, value in
      try FieldReader(value, path: "\(path.isEmpty ? "" : path + ".")\(key)[\(place)]", file: file)
    }
  }

  /// - Throws: `TokenizerError.unknownField` for a member that was never asked for.
  func finish() throws {
    guard let unknown = object.keys.first(where: { key in !known.contains { $0 == key } }) else { return }
    throw TokenizerError.unknownField(place(of: unknown), file: file, known: known.map { "'\($0)'" })
  }
}

extension JSONValue {
  /// A value as an error shows it: short values themselves, others by their kind.
  fileprivate var summary: String {
    switch self {
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let value) where value.utf8.count <= 40: "'\(value)'"
    default: kind
    }
  }
}
