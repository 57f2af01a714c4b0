import Formats
import Foundation

/// A file descriptor for the length of one closure: the few POSIX calls that durable appending needs.
///
/// Foundation's `FileHandle` gives no single write, no lock and no error from `fsync`. Every error is a `FileError`.
struct OpenFile {
  private let descriptor: Int32
  private let url: URL

  static func with<Value>(_ url: URL, flags: Int32, _ body: (OpenFile) throws -> Value) throws -> Value {
    let descriptor = open(url.path, flags | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure("open", url) }
    // The descriptor also holds the lock: closing it lets the next writer in.
    defer { close(descriptor) }
    return try body(OpenFile(descriptor: descriptor, url: url))
  }

  private static func failure(_ operation: String, _ url: URL) -> FileError {
    FileError(operation, url.path, code: errno)
  }

  /// Waits for other writers of the file to finish.
  func lock() throws {
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else { throw Self.failure("lock", url) }
    }
  }

  func length() throws -> Int {
    let end = lseek(descriptor, 0, SEEK_END)
    guard end >= 0 else { throw Self.failure("measure", url) }
    return Int(end)
  }

  func read(from offset: Int, count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let received = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, count, off_t(offset)) }
    guard received >= 0 else { throw Self.failure("read", url) }
    return Array(bytes.prefix(received))
  }

  /// Writes all of `data` in one call and waits for the disk, or leaves the file as long as it was.
  func write(_ data: Data, at offset: Int) throws {
    let written = data.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
    guard written == data.count else {
      // A write that is cut short says no more than that the disk had no more room.
      let failure = written < 0 ? Self.failure("write", url) : FileError("write", url.path, code: ENOSPC)
      _ = ftruncate(descriptor, off_t(offset))
      throw failure
    }
    try sync()
  }

  func truncate(to length: Int) throws {
    guard ftruncate(descriptor, off_t(length)) == 0 else { throw Self.failure("shorten", url) }
    try sync()
  }

  func sync() throws {
    guard fsync(descriptor) == 0 else { throw Self.failure("flush", url) }
  }
}
