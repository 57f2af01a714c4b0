/// GPT-2's alphabet, one printable character for each byte: the printable bytes of Latin-1 as themselves, the others
/// from U+0100 on (Radford et al. 2019, `bytes_to_unicode`).
enum ByteAlphabet {
  static let scalars: [UInt32] = {
    var next: UInt32 = 0x100
    return (UInt32(0)...0xFF).map { byte in
      if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte) { return byte }
      defer { next += 1 }
      return next
    }
  }()

  /// The space of the alphabet, `Ġ`.
  static let space = scalars[0x20]

  private static let bytes = Dictionary(uniqueKeysWithValues: zip(scalars, UInt8(0)...0xFF))

  /// The byte that a character stands for.
  static func byte(of scalar: Unicode.Scalar) -> UInt8? { bytes[scalar.value] }
}

/// The bytes of a scalar in UTF-8.
@inline(__always)
func encodeScalar(_ scalar: UInt32, _ body: (UInt8) -> Void) {
  func continuation(_ shift: UInt32) -> UInt8 { UInt8(0x80 | scalar >> shift & 0x3F) }
  switch scalar {
  case 0..<0x80: body(UInt8(scalar))
  case 0x80..<0x800:
    body(UInt8(0xC0 | scalar >> 6))
    body(continuation(0))
  case 0x800..<0x10000:
    body(UInt8(0xE0 | scalar >> 12))
    body(continuation(6))
    body(continuation(0))
  default:
    body(UInt8(0xF0 | scalar >> 18 & 0x07))
    body(continuation(12))
    body(continuation(6))
    body(continuation(0))
  }
}
