import Formats
import Foundation

/// The settings that a folder of runs was started with: methods and tasks may be added, nothing else may change.
struct BenchmarkIdentity: Sendable {
  private var settings: [String: JSONValue]

  private static let fileName = "benchmark.json"
  private static let methodPrefix = "method: "
  static let taskPrefix = "task: "

  /// - Parameter settings: by name; those of the configuration that change no number are left out here.
  init(
    _ settings: [String: JSONValue], methods: [Method], configuration: TrainingConfiguration,
    without keys: Set<String> = []
  ) throws {
    self.settings = settings
    for (key, value) in try JSONValue(encoding: configuration).object?.members ?? []
    where !["checkpoint_interval", "kept_checkpoints"].contains(key) && !keys.contains(key) {
      self.settings[key] = value
    }
    for method in methods {
      guard var object = try method.settings.object else { continue }
      object["learning_rate"] = .double(method.learningRate ?? configuration.learningRate)
      self.settings[Self.methodPrefix + method.name] = .object(object)
    }
  }

  private static func mayBeAdded(_ key: String) -> Bool { key.hasPrefix(methodPrefix) || key.hasPrefix(taskPrefix) }

  /// Writes the settings, or compares them with those already there.
  ///
  /// - Throws: `BenchmarkError.changed`; `FileError`, `JSONFileError`.
  func check(in folder: URL) throws {
    let file = folder.appendingPathComponent(Self.fileName)
    var all = settings
    if FileManager.default.fileExists(atPath: file.path) {
      let earlier = RunIdentity(json: try JSONValue(contentsOf: file))
      var now = settings
      for (key, value) in earlier.settings where Self.mayBeAdded(key) && now[key] == nil { now[key] = value }
      let known = now.filter { !Self.mayBeAdded($0.key) || earlier.settings[$0.key] != nil }
      let differences = RunIdentity(settings: known).differences(from: earlier)
      guard differences.isEmpty else {
        throw BenchmarkError.changed(folder: folder.path, differences: differences)
      }
      all = now
    }
    try AtomicFile.write(try RunIdentity(settings: all).json.text(.readable) + "\n", to: file)
  }
}
