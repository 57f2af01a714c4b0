import Foundation
import Synchronization

/// Files that are either the old ones or the new ones, whatever happens in between.
///
/// The bytes go to `.tmp-PID-N` in the same folder, are flushed to the disk, and the file is renamed; then the
/// folder is flushed, so that the new name survives a power cut as well. A failure removes the temporary file.
/// `kill -9` leaves it behind under a name that nothing reads (`AtomicFolder.removeLeftovers` clears it away).
/// Where the final name is a symbolic link, the link is replaced, not what it points to.
public enum AtomicFile {
  /// - Throws: `FileError`. Whatever was under the name before is then still there.
  public static func write(_ data: Data, to url: URL) throws(FileError) {
    let output = try Output(for: url)
    try data.withUnsafeBytes { bytes in
      Result { () throws(FileError) in try output.append(bytes) }
    }.get()
    try output.commit()
  }

  public static func write(_ text: String, to url: URL) throws(FileError) {
    try write(Data(text.utf8), to: url)
  }

  /// Writes what `body` appends.
  /// - Throws: what `body` throws, and `FileError`.
  public static func write(to url: URL, _ body: (borrowing Output) throws -> Void) throws {
    let output = try Output(for: url)
    try body(output)
    try output.commit()
  }

  /// A file being written. It vanishes unless it is committed.
  public struct Output: ~Copyable {
    private let file: FileDescriptor
    private let destination: String

    fileprivate init(for url: URL) throws(FileError) {
      let folder = url.deletingLastPathComponent()
      destination = url.path
      file = try TemporaryName.unused(in: folder) { path throws(FileError) in
        try FileDescriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, operation: "write")
      }
    }

    deinit { unlink(file.path) }

    public func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) { try file.write(bytes) }

    fileprivate consuming func commit() throws(FileError) {
      try file.synchronize()
      guard rename(file.path, destination) == 0 else { throw FileError("replace", destination, code: errno) }
      try FileDescriptor.synchronizeFolder(URL(fileURLWithPath: destination).deletingLastPathComponent().path)
    }
  }
}

/// `.tmp-PID-N`: says whose it is, so that what a killed process left behind can be told from work under way.
enum TemporaryName {
  static let prefix = ".tmp-"
  private static let counter = Atomic(0)

  /// Calls `create` with names until one is free.
  static func unused<Made: ~Copyable>(
    in folder: URL, _ create: (String) throws(FileError) -> Made
  ) throws(FileError) -> Made {
    var attempts = 0
    while true {
      let number = counter.wrappingAdd(1, ordering: .relaxed).newValue
      let name = "\(prefix)\(ProcessInfo.processInfo.processIdentifier)-\(number)"
      do {
        return try create(folder.appendingPathComponent(name).path)
      } catch {
        // An earlier process with our PID may have died here.
        attempts += 1
        guard error.code == EEXIST, attempts < 1_000 else { throw error }
      }
    }
  }

  /// The process that made a temporary file or folder; nil for any other name.
  static func owner(of name: String) -> pid_t? {
    guard name.hasPrefix(prefix) else { return nil }
    let parts = name.dropFirst(prefix.count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, Int(parts[1]) != nil else { return nil }
    return pid_t(parts[0])
  }
}
