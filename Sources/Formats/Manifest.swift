import Crypto
import Foundation

/// What a complete folder holds: `manifest.json`, written last. No manifest, no checkpoint.
public struct Manifest: Equatable, Sendable {
  public static let fileName = "manifest.json"

  public struct Entry: Equatable, Sendable {
    /// Bytes.
    public var size: Int
    /// 64 lower-case hexadecimal digits.
    public var sha256: String

    public init(size: Int, sha256: String) {
      self.size = size
      self.sha256 = sha256
    }
  }

  /// By path in the folder, with `/` between components.
  public var files: [String: Entry]
  /// Optimizer steps done.
  public var step: Int
  /// Of the configuration the run was started with; see `fingerprint(of:)`.
  public var configuration: String

  public init(files: [String: Entry], step: Int, configuration: String) {
    self.files = files
    self.step = step
    self.configuration = configuration
  }

  /// Hashes every file of a folder, those in folders inside it too.
  /// - Throws: `FileError`; `ManifestError.notAFile` for a symbolic link or a device, which a digest would not pin.
  public init(describing folder: URL, step: Int, configuration: String) throws {
    self.init(files: [:], step: step, configuration: configuration)
    try add(folder, prefix: "")
  }

  private mutating func add(_ folder: URL, prefix: String) throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
      let url = folder.appendingPathComponent(name)
      let path = prefix + name
      var status = stat()
      guard lstat(url.path, &status) == 0 else { throw FileError("inspect", url.path, code: errno) }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: try add(url, prefix: path + "/")
      case S_IFREG where path != Self.fileName:
        let (size, sha256) = try FileDigest.sizeAndSHA256(of: url)
        files[path] = Entry(size: size, sha256: sha256)
      case S_IFREG: break
      default: throw ManifestError.notAFile(url.path)
      }
    }
  }

  /// The digest of a configuration, the same for any order of its keys.
  /// - Throws: `JSONWritingError` if it holds a number that is not finite.
  public static func fingerprint(of configuration: JSONValue) throws(JSONWritingError) -> String {
    FileDigest.sha256(of: try configuration.data(JSONFormat(.compact, sortsKeys: true)))
  }

  // MARK: - On disk

  /// Writes `manifest.json`, atomically. Call it after every other file is written.
  public func write(in folder: URL) throws {
    let entries = files.mapValues { entry -> JSONValue in
      ["sha256": .string(entry.sha256), "size": .integer(entry.size)]
    }
    var listed = JSONObject()
    for (path, entry) in entries { listed[path] = entry }
    let manifest: JSONValue = [
      "configuration": .string(configuration), "files": .object(listed), "step": .integer(step), "version": 1,
    ]
    let text = try manifest.text(.readable) + "\n"
    try AtomicFile.write(text, to: folder.appendingPathComponent(Self.fileName))
  }

  /// Reads the manifest of a folder. The files themselves are not looked at: `verify` does that.
  public init(in folder: URL) throws(ManifestError) {
    let url = folder.appendingPathComponent(Self.fileName)
    let json: JSONValue
    do {
      json = try JSONValue(contentsOf: url)
    } catch let error as JSONFileError {
      throw .malformed(url.path, "\(error.error)")
    } catch let error as FileError where error.code == ENOENT {
      throw .absent(folder.path)
    } catch {
      throw .unreadable("\(error)")
    }
    func malformed(_ reason: String) -> ManifestError { .malformed(url.path, reason) }
    guard let object = json.object else { throw malformed("It is \(json.kind), not an object.") }
    let known = ["configuration", "files", "step", "version"]
    for key in object.keys where !known.contains(key) {
      throw malformed("The key '\(key)' is unknown.\(Suggestion.didYouMean(key, among: known))")
    }
    guard object["version"] == 1 else { throw malformed("Its \"version\" is not 1, the only one known.") }
    guard let step = object["step"]?.integer, step >= 0 else { throw malformed("Its \"step\" is not a count.") }
    guard let configuration = object["configuration"]?.string else {
      throw malformed("Its \"configuration\" is not a string.")
    }
    guard let listed = object["files"]?.object else { throw malformed("Its \"files\" is not an object.") }
    var files: [String: Entry] = [:]
    for (path, value) in listed.members {
      do { _ = try ContainedPath.resolve(path, in: folder) } catch { throw malformed("\(error)") }
      guard let entry = value.object, entry.count == 2, let size = entry["size"]?.integer, size >= 0,
        let sha256 = entry["sha256"]?.string, sha256.utf8.count == 64
      else { throw malformed("The entry of '\(path)' is not a size and a sha256.") }
      files[path] = Entry(size: size, sha256: sha256)
    }
    self.init(files: files, step: step, configuration: configuration)
  }

  /// Reads the manifest of a folder and compares every file it lists. Files it does not list are left alone.
  /// - Throws: `ManifestError`, naming every file that differs.
  @discardableResult
  public static func verify(_ folder: URL) throws(ManifestError) -> Manifest {
    let manifest = try Manifest(in: folder)
    try manifest.verify(folder)
    return manifest
  }

  public func verify(_ folder: URL) throws(ManifestError) {
    var differences = ManifestError.Differences()
    for (path, entry) in files.sorted(by: { $0.key.precedesByCodePoints($1.key) }) {
      do {
        let url = try ContainedPath.resolve(path, in: folder)
        // Sizes first: a file cut short need not be read to be refused.
        let size = try FileDescriptor(opening: url.path, O_RDONLY | O_NONBLOCK, operation: "read").regularFileSize()
        guard size == entry.size else {
          differences.resized.append(.init(path: path, expected: entry.size, found: size))
          continue
        }
        if try FileDigest.sha256(of: url) != entry.sha256 { differences.altered.append(path) }
      } catch let error as FileError where error.code == ENOENT {
        differences.missing.append(path)
      } catch {
        throw .unreadable("\(error)")
      }
    }
    guard differences.isEmpty else { throw .differs(folder.path, differences) }
  }
}

/// Why a folder cannot be taken for complete.
public enum ManifestError: Error, Equatable, CustomStringConvertible {
  public struct Differences: Equatable, Sendable {
    public struct Resized: Equatable, Sendable {
      public var path: String
      /// Bytes.
      public var expected: Int
      public var found: Int
    }

    public var missing: [String] = []
    public var resized: [Resized] = []
    /// Of the right size, with other contents.
    public var altered: [String] = []

    var isEmpty: Bool { missing.isEmpty && resized.isEmpty && altered.isEmpty }
  }

  case absent(String)
  case malformed(String, String)
  case unreadable(String)
  case notAFile(String)
  case differs(String, Differences)

  public var description: String {
    switch self {
    case .absent(let folder):
      "'\(folder)' has no \(Manifest.fileName), so it was never completed. Use an earlier checkpoint."
    case .malformed(let path, let reason):
      "'\(path)' cannot be used. \(reason) Use an earlier checkpoint."
    case .unreadable(let reason):
      reason
    case .notAFile(let path):
      "'\(path)' is neither a file nor a folder, and a manifest lists files only. Remove it."
    case .differs(let folder, let differences):
      "'\(folder)' is not what its \(Manifest.fileName) says: \(Self.list(differences)). Use an earlier checkpoint."
    }
  }

  private static func list(_ differences: Differences) -> String {
    let missing = differences.missing.map { "'\($0)' is missing" }
    let resized = differences.resized.map { "'\($0.path)' has \($0.found) bytes, not \($0.expected)" }
    let altered = differences.altered.map { "'\($0)' has other contents (sha256)" }
    return (missing + resized + altered).joined(separator: "; ")
  }
}
