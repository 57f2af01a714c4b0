/// A `tf.Example`: features by name, each a list of byte strings, of 32-bit floats or of 64-bit integers.
///
/// | message | fields |
/// |---|---|
/// | `Example` | 1 `Features` |
/// | `Features` | 1 a pair, repeated: 1 name, 2 `Feature` |
/// | `Feature` | one of 1 `BytesList`, 2 `FloatList`, 3 `Int64List` |
/// | the lists | 1 value, repeated; numbers packed or one by one |
///
/// Unknown fields are passed over, and a field that comes twice is merged with the first or replaces it, as protocol
/// buffers ask.
public struct TFExample: Sendable, Hashable {
  public enum Feature: Sendable, Hashable {
    case bytes([[UInt8]])
    case floats([Float])
    case integers([Int64])
  }

  public private(set) var features: [String: Feature] = [:]

  /// - Throws: `TFExampleError`, with the offset of the byte.
  public init(parsing bytes: [UInt8]) throws(TFExampleError) {
    var example = ProtobufReader(bytes)
    while let field = try example.field() {
      guard field.number == 1, case .message(var map) = field.value else { continue }
      while let pair = try map.field() {
        guard pair.number == 1, case .message(let entry) = pair.value else { continue }
        let (name, feature) = try Self.entry(entry)
        features[name] = feature
      }
    }
  }

  private static func entry(_ message: ProtobufReader) throws(TFExampleError) -> (String, Feature?) {
    var message = message
    var name = ""
    var feature: Feature?
    while let field = try message.field() {
      switch (field.number, field.value) {
      case (1, .message(let text)):
        guard let own = String(validating: text.bytes, as: UTF8.self) else {
          throw TFExampleError(offset: field.offset, problem: "the name of a feature is not UTF-8")
        }
        name = own
      case (2, .message(var kinds)):
        while let kind = try kinds.field() {
          guard case .message(let list) = kind.value else { continue }
          switch kind.number {
          case 1: feature = .bytes(try byteStrings(list))
          case 2: feature = .floats(try floats(list))
          case 3: feature = .integers(try integers(list))
          default: continue
          }
        }
      default: continue
      }
    }
    return (name, feature)
  }

  private static func byteStrings(_ list: ProtobufReader) throws(TFExampleError) -> [[UInt8]] {
    var (list, values) = (list, [[UInt8]]())
    while let field = try list.field() {
      if field.number == 1, case .message(let value) = field.value { values.append(Array(value.bytes)) }
    }
    return values
  }

  private static func floats(_ list: ProtobufReader) throws(TFExampleError) -> [Float] {
    var (list, values) = (list, [Float]())
    while let field = try list.field() {
      switch field.value {
      case _ where field.number != 1: continue
      case .word32(let bits): values.append(Float(bitPattern: bits))
      case .message(var packed):
        while !packed.isAtEnd { values.append(Float(bitPattern: try packed.word32())) }
      default: continue
      }
    }
    return values
  }

  private static func integers(_ list: ProtobufReader) throws(TFExampleError) -> [Int64] {
    var (list, values) = (list, [Int64]())
    while let field = try list.field() {
      switch field.value {
      case _ where field.number != 1: continue
      case .varint(let bits): values.append(Int64(bitPattern: bits))
      case .message(var packed):
        while !packed.isAtEnd { values.append(Int64(bitPattern: try packed.varint())) }
      default: continue
      }
    }
    return values
  }
}

/// Why bytes are no `tf.Example`, and at which.
public struct TFExampleError: Error, Equatable, Sendable, CustomStringConvertible {
  public let offset: Int
  public let problem: String

  public var description: String { "Byte \(offset): \(problem)." }
}

/// The fields of one message in the wire format of protocol buffers; a message within shares the bytes.
private struct ProtobufReader {
  struct Field {
    let number: UInt64
    let value: Value
    let offset: Int
  }

  enum Value {
    case varint(UInt64)
    case word32(UInt32)
    case word64
    /// A message, a string or packed numbers.
    case message(ProtobufReader)
  }

  private let all: [UInt8]
  private var position: Int
  private let end: Int

  init(_ bytes: [UInt8]) { (all, position, end) = (bytes, 0, bytes.count) }

  private init(_ all: [UInt8], _ range: Range<Int>) {
    (self.all, position, end) = (all, range.lowerBound, range.upperBound)
  }

  var bytes: ArraySlice<UInt8> { all[position..<end] }
  var isAtEnd: Bool { position == end }

  /// nil at the end.
  mutating func field() throws(TFExampleError) -> Field? {
    guard !isAtEnd else { return nil }
    let start = position
    let key = try varint()
    guard key >> 3 > 0 else { throw TFExampleError(offset: start, problem: "a field has the number 0") }
    let value: Value
    switch key & 7 {
    case 0: value = .varint(try varint())
    case 1:
      try skip(8)
      value = .word64
    case 2:
      let lengthOffset = position
      let length = try varint()
      guard length <= UInt64(end - position) else {
        throw TFExampleError(
          offset: lengthOffset, problem: "a field of \(length) bytes does not fit in the \(end - position) left")
      }
      value = .message(ProtobufReader(all, position..<position + Int(length)))
      position += Int(length)
    case 5: value = .word32(try word32())
    case let type: throw TFExampleError(offset: start, problem: "a field has the wire type \(type)")
    }
    return Field(number: key >> 3, value: value, offset: start)
  }

  mutating func varint() throws(TFExampleError) -> UInt64 {
    let start = position
    var value: UInt64 = 0
    for shift in stride(from: 0 as UInt64, to: 70, by: 7) {
      guard !isAtEnd else { break }
      let byte = all[position]
      position += 1
      // The tenth byte has room for one bit.
      guard shift < 63 || byte <= 1 else { break }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw TFExampleError(offset: start, problem: "a number does not end within ten bytes")
  }

  mutating func word32() throws(TFExampleError) -> UInt32 {
    let start = position
    try skip(4)
    return all[start..<position].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  private mutating func skip(_ count: Int) throws(TFExampleError) {
    guard end - position >= count else {
      throw TFExampleError(
        offset: position, problem: "a number of \(count) bytes does not fit in the \(end - position) left")
    }
    position += count
  }
}
