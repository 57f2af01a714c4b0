/// Reads JSON tokens one after another from bytes that outlive it.
///
/// `JSONValue` builds its tree with it; the safetensors header is read with it directly, so that a header of
/// 100 MB costs no tree and every error knows its byte.
struct JSONScanner {
  private let bytes: UnsafeRawBufferPointer
  private let limits: JSONLimits
  private var valuesLeft: Int
  private var depth = 0
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits) throws(JSONError) {
    guard bytes.count <= limits.bytes else {
      throw JSONError(.textTooLarge(bytes: bytes.count, limit: limits.bytes), at: 0)
    }
    if let offset = firstInvalidUTF8Byte(in: bytes) { throw JSONError(.notUTF8, at: offset) }
    self.bytes = bytes
    self.limits = limits
    valuesLeft = limits.values
  }

  // MARK: - Structure

  /// The next byte that is not white space, left in place.
  mutating func peek(expecting expected: @autoclosure () -> String) throws(JSONError) -> UInt8 {
    skipWhiteSpace()
    guard position < bytes.count else { throw JSONError(.unexpectedEnd(expected: expected()), at: position) }
    return bytes[position]
  }

  private mutating func skipWhiteSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): position += 1
      default: return
      }
    }
  }

  /// Whether a byte stands at some distance from here.
  func isNext(_ byte: UInt8, after distance: Int) -> Bool {
    position + distance < bytes.count && bytes[position + distance] == byte
  }

  mutating func expect(_ byte: UInt8) throws(JSONError) {
    let found = try peek(expecting: describe(byte))
    guard found == byte else { throw JSONError(.unexpectedByte(found, expected: describe(byte)), at: position) }
    position += 1
  }

  mutating func enterObject() throws(JSONError) { try enter(UInt8(ascii: "{")) }
  mutating func enterArray() throws(JSONError) { try enter(UInt8(ascii: "[")) }

  private mutating func enter(_ bracket: UInt8) throws(JSONError) {
    try expect(bracket)
    depth += 1
    guard depth <= limits.depth else { throw JSONError(.tooDeep(limit: limits.depth), at: position - 1) }
    try countValue()
  }

  /// The next key of the object entered last and the offset of its quotation mark; nil once the object is closed.
  mutating func nextKey(isFirst: Bool) throws(JSONError) -> (key: String, offset: Int)? {
    if try close(UInt8(ascii: "}"), isFirst: isFirst) { return nil }
    _ = try peek(expecting: "a key")
    let offset = position
    let key = try string(expecting: isFirst ? "a key or '}'" : "a key")
    try expect(UInt8(ascii: ":"))
    return (key, offset)
  }

  /// Whether the array entered last has another element; it is closed otherwise.
  mutating func nextElement(isFirst: Bool) throws(JSONError) -> Bool {
    try !close(UInt8(ascii: "]"), isFirst: isFirst)
  }

  private mutating func close(_ bracket: UInt8, isFirst: Bool) throws(JSONError) -> Bool {
    func expected() -> String { (isFirst ? "a value or " : "',' or ") + describe(bracket) }
    let byte = try peek(expecting: expected())
    if byte == bracket {
      position += 1
      depth -= 1
      return true
    }
    if isFirst { return false }
    guard byte == UInt8(ascii: ",") else {
      throw JSONError(.unexpectedByte(byte, expected: expected()), at: position)
    }
    position += 1
    return false
  }

  private mutating func countValue() throws(JSONError) {
    valuesLeft -= 1
    guard valuesLeft >= 0 else { throw JSONError(.tooManyValues(limit: limits.values), at: position) }
  }

  // MARK: - Literals

  mutating func literal(_ text: StaticString) throws(JSONError) {
    let end = position + text.utf8CodeUnitCount
    let expected = text.withUTF8Buffer { String(decoding: $0, as: UTF8.self) }
    guard end <= bytes.count else { throw JSONError(.unexpectedEnd(expected: expected), at: bytes.count) }
    let matches = text.withUTF8Buffer { $0.elementsEqual(bytes[position..<end]) }
    guard matches else { throw JSONError(.unexpectedByte(bytes[position], expected: expected), at: position) }
    try countValue()
    position = end
  }

  // MARK: - Strings

  mutating func string(expecting expected: @autoclosure () -> String = "a string") throws(JSONError) -> String {
    let quote = try peek(expecting: expected())
    guard quote == UInt8(ascii: "\"") else {
      throw JSONError(.unexpectedByte(quote, expected: expected()), at: position)
    }
    try countValue()
    let start = position + 1
    var end = start
    while end < bytes.count {
      let byte = bytes[end]
      if byte == UInt8(ascii: "\"") {
        position = end + 1
        return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), as: UTF8.self)
      }
      if byte == UInt8(ascii: "\\") { return try escapedString(from: start, firstEscape: end) }
      try check(byte, at: end, start: start)
      end += 1
    }
    throw JSONError(.unexpectedEnd(expected: "the closing '\"' of a string"), at: end)
  }

  private func check(_ byte: UInt8, at offset: Int, start: Int) throws(JSONError) {
    guard byte >= 0x20 else { throw JSONError(.controlCharacter(byte), at: offset) }
    guard offset - start < limits.stringBytes else {
      throw JSONError(.stringTooLong(limit: limits.stringBytes), at: start)
    }
  }

  private mutating func escapedString(from start: Int, firstEscape: Int) throws(JSONError) -> String {
    var decoded = [UInt8](bytes[start..<firstEscape])
    position = firstEscape
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        position += 1
        return String(decoding: decoded, as: UTF8.self)
      }
      try check(byte, at: position, start: start)
      if byte == UInt8(ascii: "\\") {
        try escape(into: &decoded)
      } else {
        decoded.append(byte)
        position += 1
      }
    }
    throw JSONError(.unexpectedEnd(expected: "the closing '\"' of a string"), at: position)
  }

  private mutating func escape(into decoded: inout [UInt8]) throws(JSONError) {
    let start = position
    guard position + 1 < bytes.count else {
      throw JSONError(.unexpectedEnd(expected: "the rest of an escape"), at: bytes.count)
    }
    let kind = bytes[position + 1]
    position += 2
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(kind)
    case UInt8(ascii: "b"): decoded.append(0x08)
    case UInt8(ascii: "f"): decoded.append(0x0C)
    case UInt8(ascii: "n"): decoded.append(0x0A)
    case UInt8(ascii: "r"): decoded.append(0x0D)
    case UInt8(ascii: "t"): decoded.append(0x09)
    case UInt8(ascii: "u"):
      var code = try fourHexDigits()
      if (0xD800...0xDBFF).contains(code) {
        guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
          bytes[position + 1] == UInt8(ascii: "u")
        else { throw JSONError(.loneSurrogate, at: start) }
        position += 2
        let low = try fourHexDigits()
        guard (0xDC00...0xDFFF).contains(low) else { throw JSONError(.loneSurrogate, at: start) }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw JSONError(.loneSurrogate, at: start) }
      decoded.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
    default:
      throw JSONError(.unknownEscape(kind), at: start)
    }
  }

  private mutating func fourHexDigits() throws(JSONError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard position < bytes.count else {
        throw JSONError(.unexpectedEnd(expected: "four hexadecimal digits"), at: position)
      }
      let byte = bytes[position]
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw JSONError(.unexpectedByte(byte, expected: "a hexadecimal digit"), at: position)
      }
      code = code << 4 | UInt32(digit)
      position += 1
    }
    return code
  }

  // MARK: - Numbers

  /// `.integer` where the number is written without fraction and exponent and fits, `.double` otherwise.
  mutating func number() throws(JSONError) -> JSONValue {
    let first = try peek(expecting: "a number")
    try countValue()
    let start = position
    var index = start
    func isDigit(_ index: Int) -> Bool { index < bytes.count && bytes[index] &- 0x30 < 10 }
    func isByte(_ index: Int, _ byte: UInt8) -> Bool { index < bytes.count && bytes[index] == byte }
    func skipDigits() throws(JSONError) {
      guard isDigit(index) else { throw JSONError(.malformedNumber, at: start) }
      while isDigit(index) { index += 1 }
    }

    let isNegative = first == UInt8(ascii: "-")
    if isNegative { index += 1 }
    let digits = index
    try skipDigits()
    // JSON has no leading zeros: 007 is a mistake, or an octal number to somebody.
    guard index == digits + 1 || bytes[digits] != UInt8(ascii: "0") else {
      throw JSONError(.malformedNumber, at: start)
    }
    let endOfInteger = index
    if isByte(index, UInt8(ascii: ".")) {
      index += 1
      try skipDigits()
    }
    if isByte(index, UInt8(ascii: "e")) || isByte(index, UInt8(ascii: "E")) {
      index += 1
      if isByte(index, UInt8(ascii: "+")) || isByte(index, UInt8(ascii: "-")) { index += 1 }
      try skipDigits()
    }
    guard index - start <= JSONLimits.numberBytes else {
      throw JSONError(.numberTooLong(limit: JSONLimits.numberBytes), at: start)
    }
    position = index

    if index == endOfInteger, let integer = integer(in: digits..<index, isNegative: isNegative) {
      return .integer(integer)
    }
    let text = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<index]), as: UTF8.self)
    guard let double = Double(text), double.isFinite else { throw JSONError(.numberOutOfRange(text), at: start) }
    // Beyond Int, an integer such as 1000000000000000019884624838656 (the length limit that published tokenizers
    // carry) passes as a double only where the double is that very number.
    if index == endOfInteger, exactDecimal(double) != text {
      throw JSONError(.numberOutOfRange(text), at: start)
    }
    return .double(double)
  }

  private func integer(in range: Range<Int>, isNegative: Bool) -> Int? {
    var magnitude: UInt = 0
    for index in range {
      let (product, overflows) = magnitude.multipliedReportingOverflow(by: 10)
      let (sum, overflowsToo) = product.addingReportingOverflow(UInt(bytes[index] &- 0x30))
      if overflows || overflowsToo { return nil }
      magnitude = sum
    }
    if !isNegative { return Int(exactly: magnitude) }
    return magnitude == Int.min.magnitude ? Int.min : Int(exactly: magnitude).map { -$0 }
  }

  // MARK: - The end

  /// Refuses anything but white space up to the end of the text.
  mutating func finish() throws(JSONError) {
    skipWhiteSpace()
    if position < bytes.count { throw JSONError(.textAfterTheValue(bytes[position]), at: position) }
  }
}

/// The digits of a double that is an integer, all of them.
///
/// `String(format: "%.0f")` would do, in the user's locale and through Foundation.
private func exactDecimal(_ value: Double) -> String {
  guard value.magnitude >= 1 else { return "0" }
  // value = significand · 2^power; the significand fits 53 bits, so the number is written out limb by limb.
  var power = Int(value.exponent) - 52
  var significand = UInt64(value.significandBitPattern) | 1 << 52
  while power < 0 {
    significand >>= 1
    power += 1
  }
  let base: UInt64 = 1_000_000_000
  var limbs: [UInt64] = []
  while significand > 0 {
    limbs.append(significand % base)
    significand /= base
  }
  for _ in 0..<power {
    var carry: UInt64 = 0
    for index in limbs.indices {
      let doubled = limbs[index] * 2 + carry
      limbs[index] = doubled % base
      carry = doubled / base
    }
    if carry > 0 { limbs.append(carry) }
  }
  var text = value < 0 ? "-" : ""
  for (place, limb) in limbs.reversed().enumerated() {
    let digits = String(limb)
    text += place == 0 ? digits : String(repeating: "0", count: 9 - digits.count) + digits
  }
  return text
}
