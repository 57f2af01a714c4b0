import Crypto
import Formats
import Foundation

/// One cache file, mapped and checked. All numbers are little-endian.
///
///     head     "GRAFTIMG", fingerprint [32]
///     pixels   RGB bytes of one image after the other
///     index    per image: offset u64, checksum u64, width u32, height u32, reason length u32, reason (UTF-8)
///              a bad image has width and height 0 and a reason
///     tail     index offset u64, index length u64, count u64, SHA-256 of the index [32], "GRAFTIMG"
///
/// The index, being last, can be written in one pass; its hash is checked on opening, an image's XXH64 on each reading.
struct ImageCacheFile: Sendable {
  struct Entry: Sendable, Hashable {
    var offset: Int
    var checksum: UInt64
    var width: Int
    var height: Int
    /// Set for a bad image.
    var reason: String?
  }

  static let magic = Array("GRAFTIMG".utf8)
  static let headLength = 40
  static let tailLength = 64
  private static let fixedEntryLength = 28

  let entries: [Entry]
  private let map: MappedFile

  /// `nil` if the file is missing, stale, of another length than it says, or its index is damaged: reasons to make it anew.
  init?(at url: URL, fingerprint: [UInt8], count: Int) {
    guard let map = try? MappedFile(contentsOf: url), map.bytes.count >= Self.headLength + Self.tailLength else {
      return nil
    }
    let bytes = map.bytes
    let tail = bytes.count - Self.tailLength
    guard bytes[0..<8].elementsEqual(Self.magic), bytes[8..<40].elementsEqual(fingerprint),
      bytes[(tail + 56)...].elementsEqual(Self.magic),
      let indexStart = Int(exactly: Self.word(bytes, tail)), let length = Int(exactly: Self.word(bytes, tail + 8)),
      Self.word(bytes, tail + 16) == UInt64(count),
      indexStart >= Self.headLength, indexStart <= tail, length == tail - indexStart,
      SHA256.hash(data: bytes[indexStart..<tail]).elementsEqual(bytes[(tail + 24)..<(tail + 56)])
    else { return nil }
    guard let entries = Self.entries(bytes, indexStart..<tail, count: count) else { return nil }
    self.entries = entries
    self.map = map
  }

  /// `nil` if the pixels are not those that were written.
  func image(_ entry: Entry) -> RGBImage? {
    let pixels = UnsafeRawBufferPointer(
      rebasing: map.bytes[entry.offset..<entry.offset + entry.width * entry.height * 3])
    guard XXH64.hash(pixels) == entry.checksum else { return nil }
    return try? RGBImage(width: entry.width, height: entry.height, pixels: Array(pixels))
  }

  private static func entries(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, count: Int) -> [Entry]? {
    var entries: [Entry] = []
    entries.reserveCapacity(min(count, range.count / fixedEntryLength))
    var position = range.lowerBound
    for _ in 0..<count {
      guard range.upperBound - position >= fixedEntryLength else { return nil }
      let offset = word(bytes, position)
      let checksum = word(bytes, position + 8)
      let width = half(bytes, position + 16)
      let height = half(bytes, position + 20)
      let length = half(bytes, position + 24)
      position += fixedEntryLength
      guard range.upperBound - position >= length else { return nil }
      let reason = length > 0 ? String(decoding: bytes[position..<position + length], as: UTF8.self) : nil
      position += length
      let (area, overflow) = width.multipliedReportingOverflow(by: height)
      let (size, overflows) = area.multipliedReportingOverflow(by: 3)
      guard !overflow, !overflows, reason != nil || size > 0, let start = Int(exactly: offset),
        start >= headLength, start <= range.lowerBound, size <= range.lowerBound - start
      else { return nil }
      entries.append(Entry(offset: start, checksum: checksum, width: width, height: height, reason: reason))
    }
    return position == range.upperBound ? entries : nil
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  private static func half(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int {
    Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
  }
}
