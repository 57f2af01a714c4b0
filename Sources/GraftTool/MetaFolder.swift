import Formats
import Foundation
import MetaTuning
import NeuralNetworks

/// The folder of a meta-tuned model, and the settings of the run that made it where they lie beside it.
struct MetaFolder: Sendable {
  /// What a run calls the folder of its model.
  static let modelFolder = "meta"

  /// With `meta.json`.
  let folder: URL
  /// Of the run; empty where there is none.
  private(set) var section = Section()

  struct Missing: Error, CustomStringConvertible {
    let path: String
    var description: String {
      """
      There is no meta-tuned model in '\(path)'. Give the folder of a run of graft meta train that is done, or one with \
      \(MetaModel.settingsFile).
      """
    }
  }

  /// - Parameter path: the model's folder, or that of the run.
  init(at path: String) throws {
    let given = AssetFolder.path(path)
    func isModel(_ url: URL) -> Bool {
      FileManager.default.fileExists(atPath: url.appendingPathComponent(MetaModel.settingsFile).path)
    }
    let inside = given.appendingPathComponent(Self.modelFolder, isDirectory: true)
    guard isModel(given) || isModel(inside) else { throw Missing(path: given.path) }
    folder = isModel(given) ? given : inside
    let settings = folder.deletingLastPathComponent().appendingPathComponent(OutputFolder.settingsName)
    if FileManager.default.fileExists(atPath: settings.path) {
      try section.add(YAMLFile(contentsOf: settings), known: MetaSettings.keys)
    }
  }

  /// The path, links followed, without the run's folder for its model: `runs` and `smat` of `runs/smat/meta`.
  var parts: [String] {
    let parts = folder.resolvingSymlinksInPath().standardizedFileURL.pathComponents.filter { $0 != "/" }
    return parts.last == Self.modelFolder ? parts.dropLast() : parts
  }
}
