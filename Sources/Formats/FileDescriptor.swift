import Foundation

/// An open file that is closed when it goes away.
struct FileDescriptor: ~Copyable {
  let number: Int32
  let path: String

  /// - Parameter operation: the verb an error says it with.
  init(
    opening path: String, _ flags: Int32, mode: mode_t = 0o666, operation: String = "open"
  ) throws(FileError) {
    // A NUL would cut the path short and open something else.
    guard !path.utf8.contains(0) else { throw FileError(operation, path, code: EINVAL) }
    let number = open(path, flags | O_CLOEXEC, mode)
    guard number >= 0 else { throw FileError(operation, path, code: errno) }
    self.number = number
    self.path = path
  }

  deinit {
    close(number)
  }

  /// The status of a regular file; anything else is refused, a folder by name.
  func regularFileSize() throws(FileError) -> Int {
    var status = stat()
    guard fstat(number, &status) == 0 else { throw FileError("inspect", path, code: errno) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return Int(status.st_size)
    case S_IFDIR: throw FileError("read", path, code: EISDIR)
    default: throw FileError("read", path, code: EINVAL)
    }
  }

  /// Fills the buffer as far as the file goes, from an offset.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    var filled = 0
    while filled < buffer.count, let base = buffer.baseAddress {
      let count = pread(number, base + filled, min(buffer.count - filled, Self.chunk), off_t(offset + filled))
      if count == 0 { break }
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError("read", path, code: errno)
      }
      filled += count
    }
    return filled
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var written = 0
    while written < bytes.count, let base = bytes.baseAddress {
      let count = Foundation.write(number, base + written, min(bytes.count - written, Self.chunk))
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError("write", path, code: errno)
      }
      written += count
    }
  }

  /// Returns once the contents are on the disk itself.
  func synchronize() throws(FileError) {
    #if canImport(Darwin)
      // fsync on macOS stops at the drive's cache.
      if fcntl(number, F_FULLFSYNC) == 0 { return }
    #endif
    while fsync(number) != 0 {
      switch errno {
      case EINTR: continue
      // Some network file systems have no fsync for folders.
      case EINVAL, ENOTSUP: return
      default: throw FileError("flush", path, code: errno)
      }
    }
  }

  static func synchronizeFolder(_ path: String) throws(FileError) {
    try FileDescriptor(opening: path, O_RDONLY | O_DIRECTORY).synchronize()
  }

  /// One system call takes no more than 2 GiB on either system.
  private static let chunk = 1 << 26
}
