import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

/// A checkpoint of `MetaTraining`: a `step-N/` folder, complete or not there.
///
/// | file | holds |
/// |---|---|
/// | `meta.json`, `meta.safetensors` | the model, as `MetaModel.save` writes it, and the momentum of its offsets |
/// | `optimizer.safetensors` | the hypernetwork's moments and counts; absent without one |
/// | `best/` | the model at its best validation; absent where none is kept, or the best is the checkpoint's own step |
/// | `run.json` | settings, validations |
/// | `manifest.json` | sizes and digests of the others, written last: no manifest, no checkpoint |
///
/// Episodes, augmentation and routing noise need no state: they are functions of the seed and the step.
struct MetaCheckpoint {
  let url: URL
  let step: Int
  let model: SavedModel
  let validations: [MetaValidation]
  private let bestStep: Int?

  private static let optimizerFile = "optimizer.safetensors"
  private static let bestFolder = "best"

  /// What `run.json` holds beside the settings.
  private struct Progress: Codable {
    var validations: [MetaValidation]
    var bestStep: Int?
  }

  @Compute
  static func write(
    to checkpoints: Checkpoints, step: Int, identity: RunIdentity, model: MetaModel,
    optimizer: [(name: String, tensor: Tensor)], validations: [MetaValidation], best: MetaResult.Best?
  ) throws -> URL {
    try checkpoints.write(step: step, settings: identity.json) { folder in
      try MetaModel.write(
        model.current, to: folder, configuration: model.configuration, backbone: model.backbone)
      if !optimizer.isEmpty {
        var writer = SafetensorsWriter()
        for (name, tensor) in optimizer { try writer.add(name, tensor) }
        try writer.write(to: folder.appendingPathComponent(optimizerFile))
      }
      if let best, best.validation.step != step {
        let beside = folder.appendingPathComponent(bestFolder, isDirectory: true)
        try FileManager.default.createDirectory(at: beside, withIntermediateDirectories: false)
        try MetaModel.write(
          best.state, to: beside, configuration: model.configuration, backbone: model.backbone)
      }
      let progress = Progress(validations: validations, bestStep: best?.validation.step)
      let run: JSONValue = ["progress": try JSONValue(encoding: progress), "settings": identity.json]
      try AtomicFile.write(try run.text(.readable) + "\n", to: folder.appendingPathComponent("run.json"))
    }
  }

  /// The last complete checkpoint; nil where there is none.
  ///
  /// - Throws: `TrainingError.changed` if it was made with other settings; `ManifestError` if its files have changed.
  init?(lastOf checkpoints: Checkpoints, identity: RunIdentity) throws {
    guard let step = checkpoints.steps().last else { return nil }
    self.step = step
    url = checkpoints.url(of: step)
    try Manifest.verify(url)
    let run = try JSONValue(contentsOf: url.appendingPathComponent("run.json"))
    let differences = identity.differences(from: RunIdentity(json: run["settings"] ?? .null))
    guard differences.isEmpty else { throw TrainingError.changed(checkpoint: url.path, differences: differences) }
    guard let progress = run["progress"] else { throw CheckpointError.missing("progress", url.path) }
    let read = try JSONDecoder().decode(Progress.self, from: progress.data())
    validations = read.validations
    bestStep = read.bestStep
    model = try SavedModel(in: url)
  }

  /// Moments and counts of the hypernetwork, by name.
  func optimizer() throws -> [String: Tensor] {
    let file = try SafetensorsFile(contentsOf: url.appendingPathComponent(Self.optimizerFile))
    return try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0)) })
  }

  func best() throws -> MetaResult.Best? {
    guard let bestStep else { return nil }
    guard let validation = validations.first(where: { $0.step == bestStep }) else {
      throw CheckpointError.missing("the validation of step \(bestStep)", url.path)
    }
    let saved =
      bestStep == step ? model : try SavedModel(in: url.appendingPathComponent(Self.bestFolder, isDirectory: true))
    let tensors = try saved.tensors().sorted { $0.key < $1.key }.map { (name: $0.key, tensor: try $0.value.clone()) }
    return MetaResult.Best(
      validation: validation,
      state: MetaModel.Snapshot(tensors: tensors, tasksSeen: saved.tasksSeen, trainedOn: saved.trainedOn))
  }
}
