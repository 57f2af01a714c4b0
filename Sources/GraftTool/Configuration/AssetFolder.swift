import Foundation

/// Folders that are given as a path or as the name of something that `scripts/fetch` has fetched.
enum AssetFolder {
  enum Kind: String {
    case models, data

    fileprivate var what: String { self == .models ? "folder of weights" : "folder of images or texts" }
  }

  /// `GRAFT_CACHE`, else `graft` in the user's folder for caches: the place that `scripts/fetch` uses.
  static var cache: URL {
    let environment = ProcessInfo.processInfo.environment
    if let chosen = environment["GRAFT_CACHE"], !chosen.isEmpty { return path(chosen) }
    if let parent = environment["XDG_CACHE_HOME"], !parent.isEmpty {
      return path(parent).appendingPathComponent("graft")
    }
    return path("~/.cache/graft")
  }

  /// Where decoded images are kept.
  static var imageCache: URL { cache.appendingPathComponent("images", isDirectory: true) }

  /// The path itself where there is something, else the fetched folder of that name: in the checkout, or the cache.
  ///
  /// - Parameter place: where it was written, for the message.
  static func find(_ text: String, _ kind: Kind, place: String) throws -> URL {
    let asked = path(text)
    if FileManager.default.fileExists(atPath: asked.path) { return asked }
    let isName = !text.isEmpty && !text.contains("/") && !text.hasPrefix(".")
    if isName {
      for parent in [path(kind.rawValue), cache.appendingPathComponent(kind.rawValue)] {
        let folder = parent.appendingPathComponent(text, isDirectory: true)
        if FileManager.default.fileExists(atPath: folder.path) { return folder.resolvingSymlinksInPath() }
      }
    }
    let hint = isName ? " or run 'scripts/fetch \(text)' if it is one of those that can be fetched" : ""
    throw ConfigurationError.value(
      place: place, problem: "there is no \(kind.what) '\(text)'. Give the path of a folder\(hint).")
  }

  /// A path as the user writes it: `~` is their home, the rest is relative to the working folder.
  static func path(_ text: String) -> URL {
    URL(fileURLWithPath: (text as NSString).expandingTildeInPath).standardizedFileURL
  }
}
