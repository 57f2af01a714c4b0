import Formats
import Foundation

/// The samples of one file of texts, and the lines that hold none.
struct TextFile {
  struct Row: Equatable {
    var line: Int
    var text: String
    var secondText: String?
    var label: String
  }

  private enum Kind: String, CaseIterable {
    case jsonLines = "jsonl"
    case csv, tsv
  }

  /// Relative to the root.
  let path: String
  let part: TextFolder.Part?
  private(set) var rows: [Row] = []
  private(set) var badLines: [BadSample] = []

  private let url: URL
  private let options: TextFolder.Options

  static let unknownKind = "its name does not end in .jsonl, .csv or .tsv"

  /// A file's name without the ending that says its kind; nil where it is of none.
  static func name(of file: String) -> String? {
    for kind in Kind.allCases where file.lowercased().hasSuffix(".\(kind.rawValue)") {
      return String(file.dropLast(kind.rawValue.count + 1))
    }
    return nil
  }

  init(root: URL, path: String, part: TextFolder.Part?, options: TextFolder.Options) throws {
    self.path = path
    self.part = part
    self.options = options
    url = root.appendingPathComponent(path)
    switch Kind(rawValue: url.pathExtension.lowercased()) {
    case .csv: try readCSV()
    case .tsv: try readTSV()
    case .jsonLines, nil: try readJSONLines()
    }
  }

  /// Why a line holds no sample, as what follows its place: "is not JSON".
  private struct Problem: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
  }

  private mutating func add(_ row: Result<Row, Problem>, line: Int) {
    do throws(Problem) {
      let row = try row.get()
      try check(row)
      rows.append(row)
    } catch {
      badLines.append(BadSample(path: "\(path):\(line)", reason: error.reason))
    }
  }

  private func check(_ row: Row) throws(Problem) {
    func isBlank(_ text: String) -> Bool { text.unicodeScalars.allSatisfy(\.properties.isWhitespace) }
    if isBlank(row.text) { throw Problem("has nothing in \(options.text)") }
    if let second = row.secondText, isBlank(second) {
      throw Problem("has nothing in \(options.secondText ?? options.text)")
    }
    if isBlank(row.label) { throw Problem("has nothing in \(options.label)") }
    if let classes = options.classes, !classes.contains(row.label) {
      throw Problem("has the label '\(shortened(row.label))', which is none of the classes")
    }
  }

  // MARK: JSON Lines

  private mutating func readJSONLines() throws {
    for column in [options.text, options.label] + (options.secondText.map { [$0] } ?? []) {
      if case .number = column { throw TextFolderError.column(column, file: path) }
    }
    var limits = JSONLimits()
    limits.bytes = options.lineLimit
    var reader = try LineReader(url, limit: options.lineLimit)
    while let line = try reader.next() {
      if !line.isTooLong, line.bytes.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) { continue }
      add(Result { () throws(Problem) in try row(of: line, limits) }, line: line.number)
    }
  }

  private func row(of line: LineReader.Line, _ limits: JSONLimits) throws(Problem) -> Row {
    let object = try Self.object(line, limits)
    var row = Row(
      line: line.number, text: try Self.string(options.text, in: object, allowsNumber: false),
      label: try Self.string(options.label, in: object, allowsNumber: true))
    if let column = options.secondText { row.secondText = try Self.string(column, in: object, allowsNumber: false) }
    return row
  }

  private static func object(_ line: LineReader.Line, _ limits: JSONLimits) throws(Problem) -> JSONObject {
    if line.isTooLong { throw Problem("is longer than \(limits.bytes) bytes") }
    let parsed = line.bytes.withUnsafeBytes { bytes in
      Result { () throws(JSONError) in try JSONValue(parsing: bytes, limits: limits) }
    }
    switch parsed {
    case .success(.object(let object)): return object
    case .success(let value): throw Problem("is \(value.kind) where a JSON object should be")
    case .failure(let error):
      if error.problem == .notUTF8 { throw Problem("is not UTF-8 at byte \(error.offset)") }
      throw Problem("is not JSON: at byte \(error.offset), \(error.problem)")
    }
  }

  private static func string(
    _ column: TextColumn, in object: JSONObject, allowsNumber: Bool
  ) throws(Problem) -> String {
    guard case .named(let key) = column, let value = object[key] else {
      throw Problem("has no \(column), only \(quoted(object.members.map { shortened($0.key) }))")
    }
    switch value {
    case .string(let text): return text
    case .integer(let number) where allowsNumber: return "\(number)"
    case .double(let number) where allowsNumber: return "\(number)"
    default:
      throw Problem("has \(value.kind) in \(column), where a string\(allowsNumber ? " or a number" : "") should be")
    }
  }

  // MARK: Tables

  private mutating func readCSV() throws {
    var reader = try CSVReader(url, limit: options.lineLimit)
    var places: Places?
    while let record = try reader.next() {
      try add(line: record.line, fields: record.fields, problem: record.problem, &places)
    }
  }

  private mutating func readTSV() throws {
    var reader = try LineReader(url, limit: options.lineLimit)
    var places: Places?
    while let line = try reader.next() {
      if line.bytes.isEmpty, !line.isTooLong { continue }
      try add(
        line: line.number,
        fields: line.bytes.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false).map(Array.init),
        problem: line.isTooLong ? "is longer than \(options.lineLimit) bytes" : nil, &places)
    }
  }

  /// Where in a table's lines what we want stands.
  private struct Places {
    var text: Int
    var secondText: Int?
    var label: Int
    /// Fields in every line.
    var count: Int
  }

  /// Takes the first line as names, or for its number of fields; every other as a sample.
  private mutating func add(line: Int, fields: [[UInt8]], problem: String?, _ places: inout Places?) throws {
    // Without names, a first line that cannot be read is a bad line like any other.
    if places == nil, options.hasHeader || problem == nil {
      places = try self.places(fields: fields, problem: problem)
      if options.hasHeader { return }
    }
    add(Result { () throws(Problem) in try row(line, fields, problem, places) }, line: line)
  }

  private func row(
    _ line: Int, _ fields: [[UInt8]], _ problem: String?, _ places: Places?
  ) throws(Problem) -> Row {
    guard let places, problem == nil else { throw Problem(problem ?? "has no fields") }
    guard fields.count == places.count else {
      throw Problem("has \(fields.count) fields, where the first line has \(places.count)")
    }
    func field(_ place: Int) throws(Problem) -> String {
      guard let text = String(validating: fields[place], as: UTF8.self) else {
        throw Problem("is not UTF-8 in column \(place + 1)")
      }
      return text
    }
    var row = Row(line: line, text: try field(places.text), label: try field(places.label))
    if let place = places.secondText { row.secondText = try field(place) }
    return row
  }

  private func places(fields: [[UInt8]], problem: String?) throws -> Places {
    var names: [String]?
    if options.hasHeader {
      if let problem { throw TextFolderError.header(file: path, problem: problem) }
      names = try fields.map { field in
        guard let name = String(validating: field, as: UTF8.self) else {
          throw TextFolderError.header(file: path, problem: "is not UTF-8")
        }
        return name
      }
    }
    func place(of column: TextColumn) throws -> Int {
      switch column {
      case .number(let number):
        guard (1...max(1, fields.count)).contains(number) else { throw TextFolderError.column(column, file: path) }
        return number - 1
      case .named(let name):
        guard let names else { throw TextFolderError.column(column, file: path) }
        guard let place = names.firstIndex(of: name) else {
          throw TextFolderError.missingColumn(
            name, file: path, columns: names.map(Self.shortened),
            nearest: Suggestion.closest(to: name, among: names).first)
        }
        guard names.lastIndex(of: name) == place else { throw TextFolderError.columnTwice(name, file: path) }
        return place
      }
    }
    return Places(
      text: try place(of: options.text), secondText: try options.secondText.map(place),
      label: try place(of: options.label), count: fields.count)
  }

  /// What messages show of a text that may be of any length.
  private static func shortened(_ text: String) -> String { text.count > 40 ? text.prefix(40) + "…" : text }
  private func shortened(_ text: String) -> String { Self.shortened(text) }
}
