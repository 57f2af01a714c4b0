#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Reading whole files, or their beginnings, with a limit that is checked before anything is allocated.
enum FileBytes {
  struct Contents {
    /// The first bytes of the file: all of them if there are no more than were asked for.
    var bytes: [UInt8]
    /// The size of the whole file.
    var fileSize: Int
  }

  /// - Parameters:
  ///   - path: the file.
  ///   - prefix: how many bytes to read at most; `nil` for all.
  ///   - limit: the largest file that is accepted, whatever `prefix` is.
  static func read(_ path: String, prefix: Int? = nil, limit: Int) throws(ImageError) -> Contents {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer that may never come.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw .unreadable(file: path, reason: lastError()) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .unreadable(file: path, reason: lastError()) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(file: path) }
    let size = Int(status.st_size)
    guard size > 0 else { throw .empty(file: path) }
    guard size <= limit else { throw .fileTooLarge(file: path, bytes: size, limit: limit) }
    let wanted = min(size, prefix ?? size)
    var failure: String?
    let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      while count < wanted {
        // Qualified: unqualified `read` would be this function.
        #if canImport(Darwin)
          let step = Darwin.read(descriptor, base + count, wanted - count)
        #elseif canImport(Musl)
          let step = Musl.read(descriptor, base + count, wanted - count)
        #else
          let step = Glibc.read(descriptor, base + count, wanted - count)
        #endif
        if step > 0 {
          count += step
        } else if step == 0 {
          return  // the file shrank while it was read; the decoder will find it truncated
        } else if errno != EINTR {
          failure = lastError()
          return
        }
      }
    }
    if let failure { throw .unreadable(file: path, reason: failure) }
    return Contents(bytes: bytes, fileSize: size)
  }

  private static func lastError() -> String { String(cString: strerror(errno)) }
}

extension FileBytes {
  /// Size in bytes and modification time in nanoseconds; both -1 where there is no such file.
  static func sizeAndTime(_ path: String) -> (size: Int, time: Int) {
    var status = stat()
    guard stat(path, &status) == 0 else { return (-1, -1) }
    #if canImport(Darwin)
      let time = status.st_mtimespec
    #else
      let time = status.st_mtim
    #endif
    return (Int(status.st_size), Int(time.tv_sec) &* 1_000_000_000 &+ Int(time.tv_nsec))
  }
}
