/// Why a JSON text was refused, and at which byte.
public struct JSONError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case textTooLarge(bytes: Int, limit: Int)
    case notUTF8
    case unexpectedEnd(expected: String)
    case unexpectedByte(UInt8, expected: String)
    case textAfterTheValue(UInt8)
    case tooDeep(limit: Int)
    case tooManyValues(limit: Int)
    case stringTooLong(limit: Int)
    case controlCharacter(UInt8)
    case unknownEscape(UInt8)
    case loneSurrogate
    case duplicateKey(String)
    case malformedNumber
    case numberTooLong(limit: Int)
    /// An integer that neither `Int` nor a `Double` holds exactly, or a number beyond the range of `Double`.
    case numberOutOfRange(String)
  }

  public var problem: Problem
  /// The byte of the text, counted from 0, at which the problem starts.
  public var offset: Int

  public init(_ problem: Problem, at offset: Int) {
    self.problem = problem
    self.offset = offset
  }

  public var description: String { "Byte \(offset): \(problem)." }
}

extension JSONError.Problem: CustomStringConvertible {
  public var description: String {
    switch self {
    case .textTooLarge(let bytes, let limit):
      "the JSON text has \(bytes) bytes, more than the \(limit) that are read"
    case .notUTF8:
      "the text is not valid UTF-8"
    case .unexpectedEnd(let expected):
      "the text ends where \(expected) should be"
    case .unexpectedByte(let byte, let expected):
      "found \(describe(byte)) where \(expected) should be"
    case .textAfterTheValue(let byte):
      "found \(describe(byte)) after the end of the value"
    case .tooDeep(let limit):
      "arrays and objects are nested more than \(limit) deep"
    case .tooManyValues(let limit):
      "the text holds more than \(limit) values"
    case .stringTooLong(let limit):
      "a string is longer than \(limit) bytes"
    case .controlCharacter(let byte):
      "a string holds \(describe(byte)) unescaped; write it as \\u00\(hexadecimal(byte))"
    case .unknownEscape(let byte):
      "a backslash is followed by \(describe(byte)), which JSON does not know"
    case .loneSurrogate:
      "a \\u escape is half of a surrogate pair whose other half is missing"
    case .duplicateKey(let key):
      "the key '\(key)' is given twice in one object"
    case .malformedNumber:
      "this is not a JSON number"
    case .numberTooLong(let limit):
      "a number is longer than \(limit) characters"
    case .numberOutOfRange(let text):
      "the number \(text) cannot be held exactly as a 64-bit integer, nor as a double"
    }
  }
}

/// A byte as an error message shows it: `'{'`, or `byte 0x0A`.
func describe(_ byte: UInt8) -> String {
  (0x21...0x7E).contains(byte) ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(hexadecimal(byte))"
}

func hexadecimal(_ byte: UInt8) -> String {
  let digits = String(byte, radix: 16, uppercase: true)
  return byte < 16 ? "0" + digits : digits
}
