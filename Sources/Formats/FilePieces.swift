import Foundation

/// A regular file read once from its beginning, a piece at a time: memory does not grow with its size.
public final class FilePieces {
  private let file: FileDescriptor
  private var offset = 0

  /// - Throws: `FileError` if the file cannot be opened, or is not a regular file.
  public init(of url: URL) throws(FileError) {
    // Without O_NONBLOCK, a FIFO that nobody writes to would hang here.
    file = try FileDescriptor(opening: url.path, O_RDONLY | O_NONBLOCK, operation: "read")
    _ = try file.regularFileSize()
  }

  /// Puts the next piece in place of what `piece` holds; it is empty at the end of the file.
  public func next(into piece: inout [UInt8], bytes: Int = 1 << 16) throws(FileError) {
    var failure: FileError?
    piece = [UInt8](unsafeUninitializedCapacity: bytes) { buffer, count in
      do throws(FileError) {
        count = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    offset += piece.count
  }
}
