import Foundation

/// Folders that exist complete or not at all: checkpoints, adapters.
public enum AtomicFolder {
  /// Lets `body` fill a temporary folder beside `url`, flushes every file and folder in it to the disk, and renames it.
  ///
  /// A failure removes the temporary folder. The final name must be free, or an empty folder: no system renames over a
  /// full one, and deleting the old first would leave a moment with neither.
  /// - Throws: what `body` throws, and `FileError` (`EEXIST` where something is under the name already).
  public static func write(to url: URL, _ body: (URL) throws -> Void) throws {
    let parent = url.deletingLastPathComponent()
    if let names = try? FileManager.default.contentsOfDirectory(atPath: url.path), !names.isEmpty {
      throw FileError("create", url.path, code: EEXIST)
    }
    let temporary = try TemporaryName.unused(in: parent) { path throws(FileError) in
      guard mkdir(path, 0o777) == 0 else { throw FileError("create", path, code: errno) }
      return path
    }
    do {
      try body(URL(fileURLWithPath: temporary, isDirectory: true))
      try synchronizeTree(temporary)
      guard rename(temporary, url.path) == 0 else {
        throw FileError("create", url.path, code: errno == ENOTEMPTY ? EEXIST : errno)
      }
    } catch {
      // The error that brought us here says more than one about tidying up would.
      try? FileManager.default.removeItem(atPath: temporary)
      throw error
    }
    try FileDescriptor.synchronizeFolder(parent.path)
  }

  /// Removes the temporary files and folders of processes that no longer run, and returns their names.
  ///
  /// Call it holding the folder's `FileLock`: a process on another machine cannot be asked whether it still runs.
  @discardableResult
  public static func removeLeftovers(in folder: URL) throws -> [String] {
    var removed: [String] = []
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() {
      guard let owner = TemporaryName.owner(of: name), owner > 0, kill(owner, 0) != 0, errno == ESRCH else { continue }
      try FileManager.default.removeItem(at: folder.appendingPathComponent(name))
      removed.append(name)
    }
    return removed
  }

  private static func synchronizeTree(_ path: String) throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: path) {
      let entry = path + "/" + name
      var status = stat()
      guard lstat(entry, &status) == 0 else { throw FileError("inspect", entry, code: errno) }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: try synchronizeTree(entry)
      case S_IFREG: try FileDescriptor(opening: entry, O_RDONLY).synchronize()
      default: break
      }
    }
    try FileDescriptor.synchronizeFolder(path)
  }
}
