import Adapters
import Formats
import Foundation
import NeuralNetworks
import Training

/// The folder of a saved adapter, and the settings of the run that made it where they lie beside it.
struct TrainedAdapter: Sendable {
  let folder: URL
  /// Whether it lies in the folder of a run of graft train, whose settings divide its examples.
  let isOfRun: Bool
  private let section: Section

  enum Problem: Error, Equatable, CustomStringConvertible {
    case missing(String)
    case noClassifier(String)

    var description: String {
      switch self {
      case .missing(let path):
        "There is no adapter in '\(path)'. Give the folder of an adapter, or of a run of graft train that is done."
      case .noClassifier(let path):
        "The adapter in '\(path)' was saved without a classifier, so it names no classes. Train one on it."
      }
    }
  }

  /// - Parameter path: the adapter's folder, or that of the run.
  init(at path: String, _ options: DataOptions) throws {
    let given = AssetFolder.path(path)
    let inside = given.appendingPathComponent(TrainRun.adapterFolder, isDirectory: true)
    func isAdapter(_ url: URL) -> Bool {
      FileManager.default.fileExists(atPath: url.appendingPathComponent("adapter_config.json").path)
    }
    guard isAdapter(given) || isAdapter(inside) else { throw Problem.missing(given.path) }
    folder = isAdapter(given) ? given : inside
    var section = Section()
    // A merge keeps its settings with the classifier; a run, beside the adapter; a benchmark, two folders above that of
    // the run.
    var place = folder
    var isOfRun = false
    for height in 0...3 {
      let settings = place.appendingPathComponent(OutputFolder.settingsName)
      if FileManager.default.fileExists(atPath: settings.path) {
        try section.add(YAMLFile(contentsOf: settings), known: TrainSettings.keys + BenchmarkSettings.keys)
        isOfRun = height == 1
        break
      }
      place.deleteLastPathComponent()
    }
    self.isOfRun = isOfRun
    if let config = options.config {
      try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: ExperimentSettings.keys)
    }
    options.apply(to: &section)
    self.section = section
  }

  func experiment() throws -> ExperimentSettings { try ExperimentSettings(section) }

  /// What is needed where there are no inputs of a folder: network and recipe.
  func backbone() throws -> (settings: BackboneSettings, recipe: TrainingConfiguration) {
    (try BackboneSettings(section), try section.trainingConfiguration())
  }

  func texts() throws -> TextSettings { try TextSettings(section) }

  /// What a merged network's classifier is used with: of the inputs, what a run's settings or a flag say.
  ///
  /// - Parameter network: the merged one's settings.
  func settings(with network: BackboneSettings, isOfTexts: Bool) throws -> JSONObject {
    var object = network.resolved
    if isOfTexts {
      for (key, value) in try texts().resolved.members { object[key] = value }
    } else {
      let recipe = try section.trainingConfiguration()
      object["image_size"] = section.has("image_size") ? .integer(recipe.imageSize) : nil
      object["normalization"] = try recipe.normalization.map { try JSONValue(of: $0) }
    }
    return object
  }

  var namesModel: Bool { section.has("model") }
  var namesData: Bool { section.has("data") }

  func load(onto backbone: any PretrainedNetwork) throws -> AdaptedModel {
    try AdapterFolder.load(from: folder, onto: backbone)
  }
}
