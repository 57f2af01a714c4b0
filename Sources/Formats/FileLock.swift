import Foundation
import Synchronization

/// Keeps a second process from writing into the same folder.
///
/// The lock is the kernel's (`flock`): it ends with the process, however that ends, so a lock file that was left
/// behind locks nothing. The file holds the PID of the holder for the error message, and stays when the lock is
/// released: removing it would let two processes lock two files of the same name.
public final class FileLock: Sendable {
  public static let fileName = ".lock"

  private let descriptor: Mutex<Int32?>

  /// Locks `folder`, without waiting.
  /// - Throws: `FileLockError` if another process, or another `FileLock` of this one, holds it; `FileError`.
  public init(folder: URL) throws {
    let path = folder.appendingPathComponent(Self.fileName).path
    let number = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard number >= 0 else { throw FileError("lock", path, code: errno) }
    while flock(number, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      if code == EINTR { continue }
      defer { close(number) }
      guard code == EWOULDBLOCK else { throw FileError("lock", path, code: code) }
      throw FileLockError(folder: folder.path, holder: Self.holder(number))
    }
    // Only a courtesy to whoever comes second: the lock holds without it, on a full disk too.
    let text = "\(ProcessInfo.processInfo.processIdentifier)\n"
    _ = ftruncate(number, 0)
    _ = text.utf8.withContiguousStorageIfAvailable { pwrite(number, $0.baseAddress, $0.count, 0) }
    descriptor = Mutex(number)
  }

  deinit { release() }

  /// Unlocks; a second call does nothing.
  public func release() {
    descriptor.withLock { number in
      guard let open = number else { return }
      _ = ftruncate(open, 0)
      close(open)
      number = nil
    }
  }

  private static func holder(_ number: Int32) -> Int32? {
    var text = [UInt8](repeating: 0, count: 32)
    let count = pread(number, &text, text.count, 0)
    guard count > 0 else { return nil }
    return Int32(String(decoding: text[..<count], as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
  }
}

/// Somebody else holds the folder.
public struct FileLockError: Error, Equatable, CustomStringConvertible {
  public var folder: String
  /// The PID of the holder, where its lock file tells.
  public var holder: Int32?

  public var description: String {
    let who = holder.map { "the process \($0)" } ?? "another process"
    return """
      '\(folder)' is in use by \(who). Wait until it is done or stop it\(holder.map { " (kill \($0))" } ?? ""), \
      or choose another folder.
      """
  }
}
