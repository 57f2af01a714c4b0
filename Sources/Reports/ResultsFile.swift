import Formats
import Foundation

/// A run's `results.jsonl`: one record per line, appended as evaluations finish, safe against crashes.
///
/// - A record reaches the file in one write, followed by `fsync`; if the disk takes only a part of it, the file is cut
///   back to what it was. Two processes that append take turns.
/// - A crash can still leave a line without its end. Reading reports it; `repair()` removes it; `append` refuses to
///   glue a record to it. (DomainBed's `collect_results` stops with an exception on such a line.)
/// - No line is ever dropped silently: what cannot be read is returned with its number and the reason.
public struct ResultsFile: Sendable {
  /// The name that DomainBed's `collect_results` looks for in every folder.
  public static let name = "results.jsonl"

  public let url: URL

  /// The file need not exist yet.
  public init(at url: URL) {
    self.url = url
  }

  /// What a file holds.
  public struct Contents: Equatable, Sendable {
    public var records: [ResultRecord] = []
    public var badLines: [BadLine] = []
  }

  /// A line that is no record.
  public struct BadLine: Equatable, Sendable, CustomStringConvertible {
    /// Counted from 1.
    public var number: Int
    public var reason: String
    /// Whether it is the last line and has no newline: what a crash in the middle of a write leaves.
    public var isTorn: Bool

    public var description: String {
      "line \(number): " + (isTorn ? "cut off by a crash" : "a record that \(reason)")
    }
  }

  /// What `repair()` did.
  public enum Repair: Equatable, Sendable, CustomStringConvertible {
    /// The last line was cut off; its `bytes` were removed.
    case removedTornLine(number: Int, bytes: Int)
    /// The last line was a whole record; only its newline was missing, and was added.
    case endedLastLine(number: Int)

    public var description: String {
      switch self {
      case .removedTornLine(let number, let bytes): "removed line \(number), cut off by a crash (\(bytes) bytes)"
      case .endedLastLine(let number): "added the newline that line \(number) lacked"
      }
    }
  }

  // MARK: Reading

  /// All records, in the order written. A file that does not exist holds none.
  public func read() throws -> Contents {
    var contents = Contents()
    for line in try lines() {
      switch line.record {
      // Even without its newline: a whole record was written whole.
      case .success(let record): contents.records.append(record)
      case .failure(let error):
        contents.badLines.append(BadLine(number: line.number, reason: error.reason, isTorn: !line.isEnded))
      }
    }
    return contents
  }

  // MARK: Writing

  /// Adds a record at the end, and returns once it is on the disk.
  ///
  /// - Throws: `ResultsError.tornLastLine` if an earlier line was cut off; `ResultsError.invalidRecord`; `FileError` if
  ///   the file cannot be written, and where the disk is full it holds what it held before.
  public func append(_ record: ResultRecord) throws {
    try record.validate()
    let line = Data((try record.json + "\n").utf8)
    let isNew = !FileManager.default.fileExists(atPath: url.path)
    try withLockedFile(creating: true) { file in
      let length = try file.length()
      if length > 0, try file.read(from: length - 1, count: 1).first != newline {
        throw ResultsError.tornLastLine(path: url.path, line: try lines().count)
      }
      try file.write(line, at: length)
    }
    if isNew { try syncFolder() }
  }

  /// Makes the end of the file whole again after a crash, and says what it did; `nil` if nothing was wrong.
  public func repair() throws -> Repair? {
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    return try withLockedFile(creating: false) { file in
      guard let last = try lines().last, !last.isEnded else { return nil }
      let length = try file.length()
      if case .success = last.record {
        try file.write(Data([newline]), at: length)
        return .endedLastLine(number: last.number)
      }
      try file.truncate(to: length - last.bytes.count)
      return .removedTornLine(number: last.number, bytes: last.bytes.count)
    }
  }

  /// Removes the records of steps after `step`, so that a run resumed from a checkpoint of that step does not report
  /// them twice; returns how many. Lines that are no records stay. The new file replaces the old one atomically.
  @discardableResult
  public func discardRecords(after step: Int) throws -> Int {
    let lines = try lines()
    let kept = lines.filter { line in
      if case .success(let record) = line.record { return record.step <= step }
      return true
    }
    guard kept.count < lines.count else { return 0 }
    var bytes = Data()
    for line in kept {
      bytes.append(line.bytes)
      if line.isEnded { bytes.append(newline) }
    }
    try AtomicFile.write(bytes, to: url)
    return lines.count - kept.count
  }

  // MARK: Lines

  private struct Line {
    var number: Int
    var bytes: Data
    var isEnded: Bool
    var record: Result<ResultRecord, Unreadable>
  }

  private struct Unreadable: Error {
    var reason: String
  }

  private func lines() throws -> [Line] {
    guard FileManager.default.fileExists(atPath: url.path) else { return [] }
    let bytes: Data
    do { bytes = try Data(contentsOf: url) } catch { throw FileError("read", url.path, wrapping: error) }
    // The piece after the last newline is a line only if it holds something.
    var pieces = bytes.split(separator: newline, omittingEmptySubsequences: false)
    let endsTorn = pieces.last?.isEmpty == false
    if !endsTorn { pieces.removeLast() }
    return pieces.enumerated().map { index, piece in
      let isLast = index == pieces.count - 1
      return Line(
        number: index + 1, bytes: piece, isEnded: !(isLast && endsTorn), record: Self.record(from: piece))
    }
  }

  private static func record(from bytes: Data) -> Result<ResultRecord, Unreadable> {
    guard !bytes.isEmpty else { return .failure(Unreadable(reason: "is empty")) }
    guard let text = String(bytes: bytes, encoding: .utf8) else {
      return .failure(Unreadable(reason: "is not valid UTF-8"))
    }
    do { return .success(try ResultRecord(json: text)) } catch ResultsError.invalidRecord(let reason) {
      return .failure(Unreadable(reason: reason))
    } catch {
      return .failure(Unreadable(reason: "cannot be read"))
    }
  }

  private func withLockedFile<Value>(creating: Bool, _ body: (OpenFile) throws -> Value) throws -> Value {
    try OpenFile.with(url, flags: O_RDWR | (creating ? O_CREAT : 0)) { file in
      try file.lock()
      return try body(file)
    }
  }

  /// A new name in a folder is on the disk only when the folder is.
  private func syncFolder() throws {
    try OpenFile.with(url.deletingLastPathComponent(), flags: O_RDONLY) { try $0.sync() }
  }
}

private let newline = UInt8(ascii: "\n")
