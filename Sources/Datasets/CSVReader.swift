import Formats
import Foundation

/// The records of a file of comma-separated values, RFC 4180: a field in quotation marks may hold commas, line ends and, doubled,
/// quotation marks.
///
/// Read in pieces; of a record beyond the limit, nothing is kept. Records end in LF or CRLF, the last one with or without. A
/// byte order mark is skipped, and so are empty lines.
struct CSVReader {
  struct Record: Equatable {
    /// The line it starts in, counted from 1.
    var line: Int
    var fields: [[UInt8]]
    /// Why its fields are not to be used.
    var problem: String?
  }

  private enum State {
    case fieldStart, plain, quoted
    /// After a quotation mark in a quoted field: its end, or half of a doubled one.
    case mark
    /// After the CR that follows a quoted field.
    case markReturn
  }

  private let file: FilePieces
  private let limit: Int
  private var piece: [UInt8] = []
  private var place = 0
  /// The line of the next byte.
  private var line = 1
  private var isAtStart = true

  /// - Parameter limit: the longest record, in bytes.
  init(_ url: URL, limit: Int) throws(FileError) {
    file = try FilePieces(of: url)
    self.limit = limit
  }

  /// nil at the end of the file.
  mutating func next() throws(FileError) -> Record? {
    while let record = try record() {
      if record.problem != nil || record.fields != [[]] { return record }
    }
    return nil
  }

  private mutating func byte() throws(FileError) -> UInt8? {
    if place == piece.count {
      try file.next(into: &piece)
      place = 0
      guard !piece.isEmpty else { return nil }
      if isAtStart, piece.starts(with: LineReader.byteOrderMark) { place = LineReader.byteOrderMark.count }
      isAtStart = false
      guard place < piece.count else { return try byte() }
    }
    defer { place += 1 }
    return piece[place]
  }

  private mutating func record() throws(FileError) -> Record? {
    var record = Record(line: line, fields: [], problem: nil)
    var field: [UInt8] = []
    var state = State.fieldStart
    var openedAt = line
    var length = 0
    while let byte = try byte() {
      length += 1
      if byte == UInt8(ascii: "\n") { line += 1 }
      if length > limit, record.problem == nil {
        record.problem = "is longer than \(limit) bytes"
        (record.fields, field) = ([], [])
      }
      switch (state, byte) {
      case (.quoted, UInt8(ascii: "\"")):
        state = .mark
      case (.quoted, _):
        if record.problem == nil { field.append(byte) }
      case (.mark, UInt8(ascii: "\"")):
        field.append(byte)
        state = .quoted
      case (.mark, UInt8(ascii: "\r")):
        state = .markReturn
      case (_, UInt8(ascii: "\n")):
        if state == .plain, field.last == UInt8(ascii: "\r") { field.removeLast() }
        record.fields.append(field)
        return record
      case (.fieldStart, UInt8(ascii: "\"")):
        state = .quoted
        openedAt = line
      case (.fieldStart, UInt8(ascii: ",")), (.plain, UInt8(ascii: ",")), (.mark, UInt8(ascii: ",")):
        if record.problem == nil { record.fields.append(field) }
        field = []
        state = .fieldStart
      case (.mark, _), (.markReturn, _):
        record.problem = record.problem ?? "has more after the quotation mark that ends a field"
        state = .plain
      case (.plain, UInt8(ascii: "\"")):
        record.problem = record.problem ?? "has a quotation mark inside a field that does not begin with one"
      case (.fieldStart, _), (.plain, _):
        if record.problem == nil { field.append(byte) }
        state = .plain
      }
    }
    guard length > 0 else { return nil }
    if state == .quoted {
      let place = openedAt == record.line ? "" : " in line \(openedAt)"
      record.problem = "opens a quotation mark\(place) that is never closed: the rest of the file is lost in it"
    }
    record.fields.append(field)
    return record
  }
}
