import Foundation

/// The bytes of a file, read-only, for as long as the object lives.
///
/// Memory-mapped where the file system can: nothing is copied, and processes share the pages. A mapping shows the file
/// as it is now, so a file that somebody cuts short while it is mapped ends the process (SIGBUS) when the lost part is
/// touched; writers that replace files by renaming, as ours do, never cause that. `Access.copied` reads the file
/// once instead, for file systems and neighbours that are not to be trusted.
///
/// `@unchecked` because the pointer is never written through, never changes and is freed only by `deinit`.
public final class MappedFile: @unchecked Sendable {
  public enum Access: Sendable {
    /// Mapped; copied where the file system cannot map.
    case mapped
    case copied
  }

  public let bytes: UnsafeRawBufferPointer
  private let isMapped: Bool

  /// - Throws: `FileError` if the file cannot be opened or read, or is not a regular file.
  public init(contentsOf url: URL, access: Access = .mapped) throws(FileError) {
    // Without O_NONBLOCK, a FIFO that nobody writes to would hang here.
    let file = try FileDescriptor(opening: url.path, O_RDONLY | O_NONBLOCK, operation: "read")
    let size = try file.regularFileSize()
    guard size > 0 else {
      (bytes, isMapped) = (UnsafeRawBufferPointer(start: nil, count: 0), false)
      return
    }
    if access == .mapped, let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.number, 0), start != MAP_FAILED {
      (bytes, isMapped) = (UnsafeRawBufferPointer(start: start, count: size), true)
      return
    }
    guard let start = malloc(size) else { throw FileError("read", url.path, code: ENOMEM) }
    do {
      let count = try file.read(into: UnsafeMutableRawBufferPointer(start: start, count: size), at: 0)
      (bytes, isMapped) = (UnsafeRawBufferPointer(start: start, count: count), false)
    } catch {
      free(start)
      throw error
    }
  }

  deinit {
    guard let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress) else { return }
    if isMapped { munmap(start, bytes.count) } else { free(start) }
  }
}
