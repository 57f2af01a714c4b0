import Foundation

/// A path that a file names (an index, a manifest, an archive), resolved inside the folder it belongs to.
///
/// Such a name comes from whoever made the file. `../../.ssh/id_rsa` in a sharded index must not be read, whatever
/// characters hide it.
public enum ContainedPath {
  public static let maximumBytes = 1_024

  /// - Parameter folder: where the name belongs. A snapshot of the Hugging Face cache may also point into the
  ///   `blobs` of its own repository: all files there are such links.
  /// - Throws: `ContainedPathError` for a name that is empty, too long, absolute, or holds `..`, `.`, an empty
  ///   component, a backslash or a control character, and for a symbolic link that leads out of the folder. A file
  ///   that does not exist is no error.
  public static func resolve(_ name: String, in folder: URL) throws(ContainedPathError) -> URL {
    func refuse(_ reason: ContainedPathError.Reason) -> ContainedPathError {
      ContainedPathError(name: name, folder: folder.path, reason: reason)
    }
    guard !name.isEmpty else { throw refuse(.empty) }
    guard name.utf8.count <= maximumBytes else { throw refuse(.tooLong) }
    guard !name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { throw refuse(.controlCharacter) }
    guard !name.utf8.contains(UInt8(ascii: "\\")) else { throw refuse(.backslash) }
    guard !name.utf8.starts(with: "/".utf8) else { throw refuse(.absolute) }
    let components = name.split(separator: "/", omittingEmptySubsequences: false)
    guard !components.contains("..") else { throw refuse(.parentFolder) }
    guard !components.contains(where: { $0.isEmpty || $0 == "." }) else { throw refuse(.emptyComponent) }
    guard components.allSatisfy({ $0.utf8.count <= Int(NAME_MAX) }) else { throw refuse(.tooLong) }

    let url = folder.appendingPathComponent(name)
    // What does not exist leads nowhere; the caller finds that out when it opens the file.
    guard let root = realPath(folder.path), let target = realPath(url.path) else {
      guard !isDanglingLink(url.path) else { throw refuse(.linkOutside("nothing")) }
      return url
    }
    let roots = [root] + (hubBlobs(ofSnapshot: root).map { [$0] } ?? [])
    guard roots.contains(where: { target.hasPrefix($0 == "/" ? $0 : $0 + "/") }) else {
      throw refuse(.linkOutside(target))
    }
    return url
  }

  private static func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  private static func isDanglingLink(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
  }

  /// `models--OWNER--NAME/blobs` for `models--OWNER--NAME/snapshots/REVISION`.
  private static func hubBlobs(ofSnapshot root: String) -> String? {
    let snapshots = URL(fileURLWithPath: root).deletingLastPathComponent()
    let repository = snapshots.deletingLastPathComponent()
    guard snapshots.lastPathComponent == "snapshots", repository.lastPathComponent.hasPrefix("models--") else {
      return nil
    }
    return repository.appendingPathComponent("blobs").path
  }
}

/// A name that would lead out of its folder.
public struct ContainedPathError: Error, Equatable, CustomStringConvertible {
  public enum Reason: Equatable, Sendable {
    case empty, tooLong, controlCharacter, backslash, absolute, parentFolder, emptyComponent
    case linkOutside(String)
  }

  public var name: String
  public var folder: String
  public var reason: Reason

  public var description: String {
    "The file name \(name.prefix(200).debugDescription) is refused: \(explanation). "
      + "Only files inside '\(folder)' are read."
  }

  private var explanation: String {
    switch reason {
    case .empty: "it is empty"
    case .tooLong: "it is longer than \(ContainedPath.maximumBytes) bytes, or one of its parts than \(NAME_MAX)"
    case .controlCharacter: "it holds a control character"
    case .backslash: "it holds a backslash"
    case .absolute: "it is an absolute path"
    case .parentFolder: "it holds '..'"
    case .emptyComponent: "one of its parts is empty or '.'"
    case .linkOutside(let target): "it is a symbolic link to '\(target)'"
    }
  }
}
