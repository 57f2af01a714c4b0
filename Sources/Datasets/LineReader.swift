import Formats
import Foundation

/// The lines of a text file, read in pieces; of a line beyond the limit, nothing is kept.
///
/// Lines end in LF or CRLF, which is not part of them, the last one with or without. A byte order mark is skipped.
struct LineReader {
  struct Line: Equatable {
    /// Counted from 1.
    var number: Int
    /// Empty where the line is too long.
    var bytes: [UInt8]
    var isTooLong: Bool
  }

  static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private let file: FilePieces
  private let limit: Int
  private var piece: [UInt8] = []
  private var place = 0
  private var number = 0

  /// - Parameter limit: the longest line, in bytes.
  init(_ url: URL, limit: Int) throws(FileError) {
    file = try FilePieces(of: url)
    self.limit = limit
  }

  /// nil at the end of the file.
  mutating func next() throws(FileError) -> Line? {
    var bytes: [UInt8] = []
    var length = 0
    var isEnded = false
    while !isEnded {
      if place == piece.count {
        try file.next(into: &piece)
        place = 0
        if piece.isEmpty { break }
      }
      let end = piece[place...].firstIndex(of: UInt8(ascii: "\n")) ?? piece.count
      isEnded = end < piece.count
      length += end - place
      if length <= limit + Self.terminators { bytes += piece[place..<end] } else { bytes = [] }
      place = isEnded ? end + 1 : end
    }
    guard isEnded || length > 0 else { return nil }
    number += 1
    if number == 1, bytes.starts(with: Self.byteOrderMark) {
      bytes.removeFirst(Self.byteOrderMark.count)
      length -= Self.byteOrderMark.count
    }
    if isEnded, bytes.last == UInt8(ascii: "\r") {
      bytes.removeLast()
      length -= 1
    }
    return Line(number: number, bytes: length > limit ? [] : bytes, isTooLong: length > limit)
  }

  /// What a line may have beyond the limit before it is known what of it counts: the mark and a CR.
  private static let terminators = byteOrderMark.count + 1
}
