import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

/// A model as a folder: `meta.safetensors` with everything that training changed, multipliers and power iterations included, and
/// `meta.json` with the settings, the count of tasks, the classes trained on, the backbone it belongs to and the digest of the
/// tensors.
extension MetaModel {
  public nonisolated static let settingsFile = "meta.json"
  public nonisolated static let tensorsFile = "meta.safetensors"

  /// Writes the model; the folder is made if it is not there. `meta.json` comes last.
  ///
  /// The momentum of the offsets is left out: a run is resumed from a checkpoint of `MetaTraining`, which has it.
  ///
  /// - Throws: `FileError`, `SafetensorsError`
  public func save(to folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Self.write(current.finished, to: folder, configuration: configuration, backbone: backbone)
  }

  /// Sharing memory with the model.
  var current: Snapshot { Snapshot(tensors: state, tasksSeen: tasksSeen, trainedOn: trainedOn) }

  nonisolated static func write(
    _ state: Snapshot, to folder: URL, configuration: MetaConfiguration, backbone: any Backbone
  ) throws {
    let tensors = folder.appendingPathComponent(tensorsFile)
    var writer = SafetensorsWriter()
    for (name, tensor) in state.tensors { try writer.add(name, tensor) }
    try writer.write(to: tensors)
    var json: JSONObject = [
      "backbone": .string(backbone.fingerprint), "configuration": try JSONValue(encoding: configuration),
      "sha256": .string(try FileDigest.sha256(of: tensors)), "tasks_seen": .integer(state.tasksSeen), "version": 1,
    ]
    json["trained_on"] = try state.trainedOn.map { try JSONValue(encoding: $0.datasets) }
    try AtomicFile.write(
      try JSONValue.object(json).text(.readable) + "\n", to: folder.appendingPathComponent(settingsFile))
  }

  /// Reads a model that `save` wrote, or a checkpoint of `MetaTraining`.
  ///
  /// - Throws: `MetaModelError` where the folder is of another backbone, incomplete or damaged; `MetaConfigurationError`;
  ///   `FileError`; `SafetensorsError`.
  public static func load(from folder: URL, backbone: any Backbone) throws -> MetaModel {
    let saved = try SavedModel(in: folder)
    guard saved.backbone == backbone.fingerprint else {
      throw MetaModelError.otherBackbone(
        path: folder.path, expected: saved.backbone, found: backbone.fingerprint)
    }
    let model = try MetaModel(of: backbone, configuration: saved.configuration)
    try model.restore(saved, isResumed: false)
    return model
  }

  /// The settings of a saved model, without its tensors: what `load` will need a backbone for.
  public nonisolated static func settings(in folder: URL) throws -> MetaConfiguration {
    try SavedModel(in: folder).configuration
  }

  /// The classes that a saved model was trained on, without its tensors; nil where its file does not say.
  public nonisolated static func trainedClasses(in folder: URL) throws -> TrainedClasses? {
    try SavedModel(in: folder).trainedOn
  }
}

/// `meta.json`
struct SavedModel {
  let folder: URL
  let backbone: String
  let configuration: MetaConfiguration
  let tasksSeen: Int
  let trainedOn: TrainedClasses?
  private let digest: String

  init(in folder: URL) throws {
    self.folder = folder
    let url = folder.appendingPathComponent(MetaModel.settingsFile)
    guard FileManager.default.fileExists(atPath: url.path) else { throw MetaModelError.absent(folder.path) }
    let json = try JSONValue(contentsOf: url)
    func malformed(_ reason: String) -> MetaModelError { .malformed(url.path, reason) }
    guard let object = json.object else { throw malformed("It is \(json.kind), not an object.") }
    let known = ["backbone", "configuration", "sha256", "tasks_seen", "trained_on", "version"]
    if let key = object.keys.first(where: { !known.contains($0) }) {
      throw malformed("The key '\(key)' is unknown.\(Suggestion.didYouMean(key, among: known))")
    }
    guard object["version"] == 1 else { throw malformed("Its \"version\" is not 1, the only one known.") }
    guard let backbone = object["backbone"]?.string else { throw malformed("Its \"backbone\" is not a string.") }
    guard let digest = object["sha256"]?.string else { throw malformed("Its \"sha256\" is not a string.") }
    guard let tasks = object["tasks_seen"]?.integer, tasks >= 0 else {
      throw malformed("Its \"tasks_seen\" is not a count.")
    }
    guard let settings = object["configuration"] else { throw malformed("It has no \"configuration\".") }
    do {
      configuration = try JSONDecoder().decode(MetaConfiguration.self, from: settings.data())
    } catch let error as DecodingError {
      throw malformed("Its \"configuration\" cannot be read: \(error)")
    }
    do {
      trainedOn = try object["trained_on"].map {
        TrainedClasses(try JSONDecoder().decode([TrainedClasses.Dataset].self, from: $0.data()))
      }
    } catch let error as DecodingError {
      throw malformed("Its \"trained_on\" cannot be read: \(error)")
    }
    self.backbone = backbone
    self.digest = digest
    tasksSeen = tasks
  }

  func tensors() throws -> [String: Tensor] {
    let url = folder.appendingPathComponent(MetaModel.tensorsFile)
    guard try FileDigest.sha256(of: url) == digest else { throw MetaModelError.altered(url.path) }
    let file = try SafetensorsFile(contentsOf: url)
    return try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0)) })
  }
}

public enum MetaModelError: Error, Equatable, CustomStringConvertible {
  case absent(String)
  case malformed(String, String)
  case altered(String)
  case otherBackbone(path: String, expected: String, found: String)
  case tensors(missing: [String], unknown: [String])
  case shape(String, found: String, expected: String)

  public var description: String {
    switch self {
    case .absent(let path):
      "'\(path)' has no \(MetaModel.settingsFile), so it is no meta-tuned model. Give the folder that training wrote."
    case .malformed(let path, let reason): "'\(path)' cannot be used. \(reason)"
    case .altered(let path):
      "'\(path)' is not the file that its \(MetaModel.settingsFile) was written beside (sha256). Use an earlier checkpoint."
    case .otherBackbone(let path, let expected, let found):
      """
      The model in '\(path)' was tuned on another backbone (\(expected.prefix(12))…) than the one given (\(found.prefix(12))…). \
      Give the backbone it was tuned on, with the same settings.
      """
    case .tensors(let missing, let unknown):
      """
      The saved state is of another model: missing [\(missing.prefix(8).joined(separator: ", "))], unknown here \
      [\(unknown.prefix(8).joined(separator: ", "))].
      """
    case .shape(let name, let found, let expected):
      "'\(name)' is \(found) in the file and \(expected) here. Load it into the model it was saved from."
    }
  }
}
