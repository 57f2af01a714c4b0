import Foundation

/// A file of records as TensorFlow writes them, `TFRecord`: where each lies, to be read in any order.
///
/// A record is the length of its data as a little-endian `UInt64`, the masked CRC-32C of these eight bytes, the data,
/// and their masked CRC-32C. Making the value reads and checks the lengths alone; a record's data are checked whenever
/// they are read. The file is open only while something is read.
public struct TFRecordFile: Sendable, Hashable {
  /// Where a record's data lie.
  public struct Record: Sendable, Hashable {
    public let offset: Int
    public let length: Int
  }

  public let path: String
  public let records: [Record]

  private static let headerBytes = 12
  private static let footerBytes = 4

  /// - Parameter maximumRecordBytes: a longer record is taken for damage.
  /// - Throws: `TFRecordError`, with the offset of the byte; `FileError` where the file cannot be read.
  public init(at path: String, maximumRecordBytes: Int = 64 << 20) throws {
    let file = try FileDescriptor(opening: path, O_RDONLY | O_NONBLOCK, operation: "read")
    let size = try file.regularFileSize()
    var records: [Record] = []
    var offset = 0
    while offset < size {
      guard size - offset >= Self.headerBytes else {
        throw TFRecordError.truncated(path: path, offset: offset, size: size)
      }
      let header = try Self.bytes(Self.headerBytes, at: offset, of: file)
      guard Self.number(header[8...]) == UInt64(CRC32C.masked(header[..<8])) else {
        throw TFRecordError.wrongLengthChecksum(path: path, offset: offset)
      }
      let length = Self.number(header[..<8])
      guard length <= UInt64(max(0, maximumRecordBytes)) else {
        throw TFRecordError.tooLong(path: path, offset: offset, length: length, limit: maximumRecordBytes)
      }
      let record = Record(offset: offset + Self.headerBytes, length: Int(length))
      guard size - record.offset - Self.footerBytes >= record.length else {
        throw TFRecordError.truncated(path: path, offset: offset, size: size)
      }
      records.append(record)
      offset = record.offset + record.length + Self.footerBytes
    }
    self.path = path
    self.records = records
  }

  /// The data of a record of `records`.
  ///
  /// - Throws: `TFRecordError`, with the offset of the record's data; `FileError`.
  public func data(of record: Record) throws -> [UInt8] {
    let file = try FileDescriptor(opening: path, O_RDONLY | O_NONBLOCK, operation: "read")
    let size = try file.regularFileSize()
    // The file may have changed since it was listed.
    guard record.offset >= 0, record.length >= 0, size - record.offset - Self.footerBytes >= record.length else {
      throw TFRecordError.truncated(path: path, offset: record.offset, size: size)
    }
    let bytes = try Self.bytes(record.length + Self.footerBytes, at: record.offset, of: file)
    guard Self.number(bytes[record.length...]) == UInt64(CRC32C.masked(bytes[..<record.length])) else {
      throw TFRecordError.wrongChecksum(path: path, offset: record.offset, length: record.length)
    }
    return Array(bytes[..<record.length])
  }

  private static func bytes(_ count: Int, at offset: Int, of file: borrowing FileDescriptor) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let read = try bytes.withUnsafeMutableBytes { buffer in
      try Result { () throws(FileError) in try file.read(into: buffer, at: offset) }.get()
    }
    guard read == count else { throw TFRecordError.truncated(path: file.path, offset: offset, size: offset + read) }
    return bytes
  }

  /// Little-endian, of eight bytes at most.
  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// What is wrong with a file of records. Offsets are in bytes from the start of the file.
public enum TFRecordError: Error, Equatable, Sendable, CustomStringConvertible {
  case truncated(path: String, offset: Int, size: Int)
  case wrongLengthChecksum(path: String, offset: Int)
  case tooLong(path: String, offset: Int, length: UInt64, limit: Int)
  case wrongChecksum(path: String, offset: Int, length: Int)
  /// The data of a record are no `tf.Example`.
  case notAnExample(path: String, offset: Int, problem: String)

  public var description: String {
    switch self {
    case .truncated(let path, let offset, let size):
      "'\(path)' ends at byte \(size), within the record at byte \(offset). Copy or write it again."
    case .wrongLengthChecksum(let path, let offset):
      """
      '\(path)', byte \(offset): the checksum of a record's length is wrong. The file is damaged, compressed, or no \
      TFRecord file: copy it again.
      """
    case .tooLong(let path, let offset, let length, let limit):
      """
      '\(path)', byte \(offset): a record of \(length) bytes, and the limit is \(limit). \
      Raise `maximumRecordBytes` if it is meant.
      """
    case .wrongChecksum(let path, let offset, let length):
      """
      '\(path)', byte \(offset): the checksum of a record of \(length) bytes is wrong. \
      The file is damaged: copy it again.
      """
    case .notAnExample(let path, let offset, let problem):
      """
      '\(path)', byte \(offset): \(problem), where a tf.Example should be. \
      Write the records as serialized `tf.train.Example`.
      """
    }
  }
}
