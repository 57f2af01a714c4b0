import Foundation

extension JSONValue {
  /// The value as JSON text.
  /// - Throws: `JSONWritingError` for a number that is not finite, unless the format allows it.
  public func text(_ format: JSONFormat = .compact) throws(JSONWritingError) -> String {
    String(decoding: try bytes(format), as: UTF8.self)
  }

  /// The value as UTF-8 JSON text.
  public func data(_ format: JSONFormat = .compact) throws(JSONWritingError) -> Data {
    Data(try bytes(format))
  }

  func bytes(_ format: JSONFormat) throws(JSONWritingError) -> [UInt8] {
    var writer = JSONWriter(format: format)
    try writer.write(self, depth: 0)
    return writer.bytes
  }
}

private struct JSONWriter {
  let format: JSONFormat
  var bytes: [UInt8] = []
  /// The way to the value that is being written, for an error.
  private var path: [String] = []

  init(format: JSONFormat) { self.format = format }

  mutating func write(_ value: JSONValue, depth: Int) throws(JSONWritingError) {
    switch value {
    case .null: bytes += "null".utf8
    case .bool(let bool): bytes += (bool ? "true" : "false").utf8
    case .integer(let integer): bytes += String(integer).utf8
    case .double(let double):
      guard double.isFinite || format.allowsNonFiniteNumbers else {
        throw JSONWritingError(path: path.joined(), number: pythonRepresentation(of: double))
      }
      bytes += pythonRepresentation(of: double).utf8
    case .string(let string): write(string)
    case .array(let elements): try write(elements, depth: depth)
    case .object(let object): try write(object, depth: depth)
    }
  }

  private mutating func write(_ elements: [JSONValue], depth: Int) throws(JSONWritingError) {
    bytes.append(UInt8(ascii: "["))
    for (place, element) in elements.enumerated() {
      separate(place, depth: depth)
      path.append("[\(place)]")
      try write(element, depth: depth + 1)
      path.removeLast()
    }
    close(UInt8(ascii: "]"), isEmpty: elements.isEmpty, depth: depth)
  }

  private mutating func write(_ object: JSONObject, depth: Int) throws(JSONWritingError) {
    bytes.append(UInt8(ascii: "{"))
    let members =
      format.sortsKeys ? object.members.sorted { $0.key.precedesByCodePoints($1.key) } : object.members
    for (place, member) in members.enumerated() {
      separate(place, depth: depth)
      write(member.key)
      bytes.append(UInt8(ascii: ":"))
      if format.layout != .compact { bytes.append(UInt8(ascii: " ")) }
      path.append(path.isEmpty ? member.key : "." + member.key)
      try write(member.value, depth: depth + 1)
      path.removeLast()
    }
    close(UInt8(ascii: "}"), isEmpty: object.isEmpty, depth: depth)
  }

  private mutating func separate(_ place: Int, depth: Int) {
    if place > 0 { bytes.append(UInt8(ascii: ",")) }
    switch format.layout {
    case .compact: break
    case .spaced: if place > 0 { bytes.append(UInt8(ascii: " ")) }
    case .indented: breakLine(depth: depth + 1)
    }
  }

  private mutating func close(_ bracket: UInt8, isEmpty: Bool, depth: Int) {
    if !isEmpty { breakLine(depth: depth) }
    bytes.append(bracket)
  }

  private mutating func breakLine(depth: Int) {
    guard case .indented(let spaces) = format.layout else { return }
    bytes.append(UInt8(ascii: "\n"))
    bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: max(0, spaces) * depth))
  }

  private mutating func write(_ string: String) {
    bytes.append(UInt8(ascii: "\""))
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": bytes += "\\\"".utf8
      case "\\": bytes += "\\\\".utf8
      case "\u{08}": bytes += "\\b".utf8
      case "\u{0C}": bytes += "\\f".utf8
      case "\n": bytes += "\\n".utf8
      case "\r": bytes += "\\r".utf8
      case "\t": bytes += "\\t".utf8
      case "\u{00}"..<"\u{20}": escape(UInt16(scalar.value))
      case "\u{20}"..<"\u{7F}": bytes.append(UInt8(truncatingIfNeeded: scalar.value))
      default:
        if format.escapesNonASCII {
          for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter { escape(unit) }
        } else {
          bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func escape(_ unit: UInt16) {
    let digits = String(unit, radix: 16)
    bytes += "\\u".utf8
    bytes += String(repeating: "0", count: 4 - digits.count).utf8
    bytes += digits.utf8
  }
}

extension String {
  /// The order in which Python and Rust sort strings. Swift's own `<` goes by canonical equivalence.
  func precedesByCodePoints(_ other: String) -> Bool { utf8.lexicographicallyPrecedes(other.utf8) }
}

/// The shortest decimal that reads back as the same double, spelt as Python's `repr` spells it: `1.0`, `0.1`,
/// `1e-05`, `1e+16`, `NaN`.
///
/// Swift finds the same digits but changes to the exponent elsewhere: it writes 1e16 as `1e+16` only from 2^54 on.
public func pythonRepresentation(of value: Double) -> String {
  if value.isNaN { return "NaN" }
  let sign = value.sign == .minus ? "-" : ""
  if value.isInfinite { return sign + "Infinity" }
  if value == 0 { return sign + "0.0" }

  // The value is 0.DIGITS · 10^point.
  let parts = value.magnitude.description.split(separator: "e")
  let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
  var point = mantissa[0].count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
  var digits = mantissa.joined()[...]
  while digits.first == "0" {
    digits.removeFirst()
    point -= 1
  }
  while digits.last == "0" { digits.removeLast() }

  // Python: float_repr_style "short" with format code 'r' takes the exponent below 1e-4 and from 1e16 on.
  guard (-3...16).contains(point) else {
    let exponent = String((point - 1).magnitude)
    let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
    let padding = exponent.count < 2 ? "0" : ""
    return sign + digits.prefix(1) + fraction + (point < 1 ? "e-" : "e+") + padding + exponent
  }
  if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
  if digits.count <= point {
    return sign + digits + String(repeating: "0", count: point - digits.count) + ".0"
  }
  return sign + digits.prefix(point) + "." + digits.dropFirst(point)
}
