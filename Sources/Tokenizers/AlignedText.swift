/// A Unicode scalar of a normalized text and the scalars of the original text that it comes from.
struct AlignedScalar {
  var scalar: UInt32
  var start: Int32
  var end: Int32

  init(_ scalar: UInt32, _ start: Int32, _ end: Int32) {
    self.scalar = scalar
    self.start = start
    self.end = end
  }

  init(_ scalar: UInt32, from other: AlignedScalar) { self.init(scalar, other.start, other.end) }
}

typealias AlignedText = [AlignedScalar]

extension AlignedText {
  /// Every scalar of a text in its own place. Counted in scalars, which is what `tokenizers` shows to Python.
  mutating func replace(with text: String) throws(TokenizerError) {
    removeAll(keepingCapacity: true)
    var text = text
    let bytes = text.utf8.count
    guard bytes < Int32.max else { throw .textTooLong(bytes: bytes) }
    reserveCapacity(bytes)
    text.withUTF8 { bytes in
      var index = 0
      var place: Int32 = 0
      while index < bytes.count {
        let (scalar, length) = decodeScalar(bytes, at: index)
        append(AlignedScalar(scalar, place, place + 1))
        index += length
        place += 1
      }
    }
  }

  /// Replaces the text by scalars that each replace, add to or swallow the ones before.
  ///
  /// `change` 0 takes the place of the next scalar, -n that of the next and swallows n more, and 1 adds a scalar that
  /// lies where the one before it in the old text lies: the alignment rules of `tokenizers`.
  mutating func transform(_ changed: [ChangedScalar], spare: inout AlignedText) {
    spare.removeAll(keepingCapacity: true)
    var index = 0
    for item in changed {
      if item.change > 0 {
        guard let before = index > 0 ? self[Swift.min(index, count) - 1] : first else { break }
        spare.append(AlignedScalar(item.scalar, from: before))
      } else {
        guard index < count else { break }
        spare.append(AlignedScalar(item.scalar, from: self[index]))
        index += 1 - item.change
      }
    }
    swap(&self, &spare)
  }
}

struct ChangedScalar {
  var scalar: UInt32
  var change: Int
}

/// The scalar that starts at a byte of valid UTF-8, and its length in bytes.
@inline(__always)
func decodeScalar(_ bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> (scalar: UInt32, length: Int) {
  let first = UInt32(bytes[index])
  func continuation(_ distance: Int) -> UInt32 { UInt32(bytes[index + distance] & 0x3F) }
  if first < 0x80 { return (first, 1) }
  if first < 0xE0 { return ((first & 0x1F) << 6 | continuation(1), 2) }
  if first < 0xF0 { return ((first & 0x0F) << 12 | continuation(1) << 6 | continuation(2), 3) }
  return ((first & 0x07) << 18 | continuation(1) << 12 | continuation(2) << 6 | continuation(3), 4)
}
