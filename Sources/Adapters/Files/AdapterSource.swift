import Formats
import Foundation

/// A folder that an adapter is read from.
struct AdapterSource {
  let url: URL
  var path: String { url.path }

  func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: url.appendingPathComponent(name).path) }

  func json(_ name: String) throws -> JSONValue { try JSONValue(contentsOf: ContainedPath.resolve(name, in: url)) }

  /// - Throws: `AdapterFolderError.pickle` where only Python's format is there, `.noWeights` where nothing is.
  func weights(_ name: String, orPickle pickle: String) throws -> SafetensorsFile {
    guard has(name) else {
      if has(pickle) {
        throw AdapterFolderError.pickle(
          url.appendingPathComponent(pickle).path, safetensors: url.appendingPathComponent(name).path)
      }
      throw AdapterFolderError.noWeights(path, expected: name)
    }
    return try SafetensorsFile(contentsOf: ContainedPath.resolve(name, in: url))
  }
}
