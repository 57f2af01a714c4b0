/// The first byte that does not belong to well-formed UTF-8 (The Unicode Standard, table 3-7), or nil.
///
/// Swift's own decoding repairs bad bytes silently, or refuses them without saying where.
func firstInvalidUTF8Byte(in bytes: UnsafeRawBufferPointer) -> Int? {
  var index = 0
  while index < bytes.count {
    // Eight ASCII bytes at a time: a header is nearly all ASCII.
    if index + 8 <= bytes.count,
      bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
    {
      index += 8
      continue
    }
    let lead = bytes[index]
    if lead < 0x80 {
      index += 1
      continue
    }
    let following: Int
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch lead {
    case 0xC2...0xDF:
      following = 1
    case 0xE0...0xEF:
      following = 2
      if lead == 0xE0 { second = 0xA0...0xBF }  // shorter forms exist
      if lead == 0xED { second = 0x80...0x9F }  // surrogates
    case 0xF0...0xF4:
      following = 3
      if lead == 0xF0 { second = 0x90...0xBF }
      if lead == 0xF4 { second = 0x80...0x8F }  // beyond U+10FFFF
    default:
      return index
    }
    guard index + following < bytes.count, second.contains(bytes[index + 1]) else { return index }
    for place in 2..<(following + 1) where !(0x80...0xBF).contains(bytes[index + place]) { return index }
    index += following + 1
  }
  return nil
}
