import Formats
import Foundation

/// A folder that results go to: new, or one that this tool has made, and never two processes at once.
struct OutputFolder: Sendable {
  /// The resolved settings; its presence says that the folder is ours.
  static let settingsName = "config.yaml"

  let url: URL
  /// nil where several processes share the folder.
  private let lock: FileLock?

  /// Makes the folder, or takes one up.
  ///
  /// - Parameter isContinued: whether a run that is there goes on; else a folder with one is refused.
  /// - Throws: `OutputError`; `FileLockError` where another process works in it.
  init(_ url: URL, isContinued: Bool) throws {
    self.url = url
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) {
      guard isFolder.boolValue else { throw OutputError.notAFolder(url.path) }
      let contents = try Self.contents(of: url)
      if !contents.isEmpty {
        guard contents.contains(Self.settingsName) else { throw OutputError.foreign(url.path, contents.sorted()) }
        guard isContinued else { throw OutputError.occupied(url.path) }
      }
    }
    do {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    } catch {
      // Foundation's error often hides the system's; asking again tells it.
      let reason =
        mkdir(url.path, 0o777) == 0 || errno == EEXIST ? Self.reason(error) : String(cString: strerror(errno))
      throw OutputError.notWritable(url.path, reason: reason)
    }
    do { lock = try FileLock(folder: url) } catch let error as FileError {
      throw OutputError.notWritable(url.path, reason: Self.reason(error))
    }
  }

  /// Makes a folder that several processes may work in at once, or takes one up. It is locked for as long as it takes to
  /// look at it and to write `settings` into a new one; what they share beyond that is theirs to lock.
  ///
  /// - Throws: `OutputError`; `FileLockError` where a process keeps it locked.
  init(shared url: URL, settings: JSONObject) throws {
    for attempt in 0... {
      do {
        let folder = try OutputFolder(url, isContinued: true)
        defer { folder.lock?.release() }
        if !FileManager.default.fileExists(atPath: folder.file(Self.settingsName).path) {
          try folder.write(settings: settings)
        }
        break
      } catch let error as FileLockError {
        guard attempt < 100 else { throw error }
        usleep(50_000)
      } catch OutputError.foreign where attempt < 20 {
        // Another process is about to write the settings.
        usleep(50_000)
      }
    }
    self.url = url
    lock = nil
  }

  /// For what makes its whole folder at once: refuses one with something in it before any work is done.
  ///
  /// - Throws: `OutputError`
  static func checkIsFree(_ output: URL) throws {
    let manager = FileManager.default
    var isFolder: ObjCBool = false
    if manager.fileExists(atPath: output.path, isDirectory: &isFolder) {
      guard isFolder.boolValue else { throw OutputError.notAFolder(output.path) }
      let names = try manager.contentsOfDirectory(atPath: output.path)
      guard names.isEmpty else { throw OutputError.notEmpty(output.path, names.sorted()) }
    } else {
      try manager.createDirectory(at: output.deletingLastPathComponent(), withIntermediateDirectories: true)
    }
  }

  private static func contents(of url: URL) throws -> Set<String> {
    do {
      return Set(try FileManager.default.contentsOfDirectory(atPath: url.path)).subtracting([FileLock.fileName])
    } catch {
      throw OutputError.notWritable(url.path, reason: reason(error))
    }
  }

  private static func reason(_ error: any Error) -> String {
    if let error = error as? FileError { return String(cString: strerror(error.code)) }
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
    if let code = underlying?.code, underlying?.domain == NSPOSIXErrorDomain {
      return String(cString: strerror(Int32(code)))
    }
    return error.localizedDescription
  }

  func file(_ name: String) -> URL { url.appendingPathComponent(name) }
  func folder(_ name: String) -> URL { url.appendingPathComponent(name, isDirectory: true) }

  /// - Parameter command: what goes on with the run when it is told to resume; nil where another start alone does.
  func write(settings: JSONObject, resumedBy command: String? = nil) throws {
    let reader = command.map { " '\($0) --resume --output THIS-FOLDER' reads it." } ?? ""
    let text = "# What this run was started with.\(reader)\n"
    try AtomicFile.write(text + JSONValue.object(settings).yaml(), to: file(Self.settingsName))
  }
}

enum OutputError: Error, Equatable, CustomStringConvertible {
  case notAFolder(String)
  case foreign(String, [String])
  case notEmpty(String, [String])
  case occupied(String)
  case nothingToResume(String)
  case notWritable(String, reason: String)

  var description: String {
    switch self {
    case .notAFolder(let path): "'\(path)' is a file. Give a folder for the results."
    case .foreign(let path, let contents):
      """
      '\(path)' is not empty and holds no run of graft (found \(contents.prefix(3).joined(separator: ", "))\
      \(contents.count > 3 ? ", …" : "")). Choose a new folder for the results.
      """
    case .notEmpty(let path, let contents):
      """
      '\(path)' is not empty (found \(contents.prefix(3).joined(separator: ", "))\(contents.count > 3 ? ", …" : "")). \
      Choose a new folder for the result.
      """
    case .occupied(let path): "'\(path)' holds a run already. Go on with it by --resume, or choose another folder."
    case .nothingToResume(let path): "There is no run in '\(path)' to resume. Leave --resume out to start one."
    case .notWritable(let path, let reason):
      "'\(path)' cannot be written to: \(reason). Choose another folder, or change its permissions."
    }
  }
}
