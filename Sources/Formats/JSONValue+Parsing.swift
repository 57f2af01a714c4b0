import Foundation

extension JSONValue {
  /// Reads one JSON text (RFC 8259), strictly: no comments, no trailing commas, no key twice in one object, no byte
  /// that is not UTF-8, nothing after the value.
  ///
  /// An integer beyond `Int` becomes a double where the double is exactly that number, and is refused otherwise.
  /// - Throws: `JSONError`, with the offset of the byte.
  public init(parsing bytes: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits()) throws(JSONError) {
    var scanner = try JSONScanner(bytes, limits: limits)
    self = try scanner.value(limits)
    try scanner.finish()
  }

  public init(parsing data: Data, limits: JSONLimits = JSONLimits()) throws(JSONError) {
    self = try data.withUnsafeBytes { bytes in
      Result { () throws(JSONError) in try JSONValue(parsing: bytes, limits: limits) }
    }.get()
  }

  public init(parsing text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) {
    var text = text
    self = try text.withUTF8 { utf8 in
      Result { () throws(JSONError) in try JSONValue(parsing: UnsafeRawBufferPointer(utf8), limits: limits) }
    }.get()
  }

  /// Reads a file that holds one JSON text; its size is checked before it is read.
  /// - Throws: `FileError` where the file cannot be read, `JSONFileError` where it is not JSON.
  public init(contentsOf url: URL, limits: JSONLimits = JSONLimits()) throws {
    let file = try MappedFile(contentsOf: url, access: .mapped)
    do {
      self = try withExtendedLifetime(file) { try JSONValue(parsing: file.bytes, limits: limits) }
    } catch let error as JSONError {
      throw JSONFileError(path: url.path, error: error)
    }
  }
}

extension JSONScanner {
  /// The value that starts here. The depth limit of `enterArray` and `enterObject` bounds the recursion.
  fileprivate mutating func value(_ limits: JSONLimits) throws(JSONError) -> JSONValue {
    let byte = try peek(expecting: "a value")
    switch byte {
    case UInt8(ascii: "{"):
      return .object(try object(limits))
    case UInt8(ascii: "["):
      return .array(try array(limits))
    case UInt8(ascii: "\""):
      return .string(try string())
    case UInt8(ascii: "t"):
      try literal("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try literal("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try literal("null")
      return .null
    case UInt8(ascii: "N") where limits.allowsNonFiniteNumbers:
      try literal("NaN")
      return .double(.nan)
    case UInt8(ascii: "I") where limits.allowsNonFiniteNumbers:
      try literal("Infinity")
      return .double(.infinity)
    case UInt8(ascii: "-") where limits.allowsNonFiniteNumbers && isNext(UInt8(ascii: "I"), after: 1):
      try literal("-Infinity")
      return .double(-.infinity)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      return try number()
    default:
      throw JSONError(.unexpectedByte(byte, expected: "a value"), at: position)
    }
  }

  private mutating func object(_ limits: JSONLimits) throws(JSONError) -> JSONObject {
    try enterObject()
    var object = JSONObject()
    while let (key, offset) = try nextKey(isFirst: object.isEmpty) {
      guard object.insert(try value(limits), under: key) else { throw JSONError(.duplicateKey(key), at: offset) }
    }
    return object
  }

  private mutating func array(_ limits: JSONLimits) throws(JSONError) -> [JSONValue] {
    try enterArray()
    var array: [JSONValue] = []
    while try nextElement(isFirst: array.isEmpty) { array.append(try value(limits)) }
    return array
  }
}
