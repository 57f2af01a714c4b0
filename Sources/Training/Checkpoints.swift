import Adapters
import Formats
import Foundation
import NeuralNetworks
import Reports
import Tensors

/// The checkpoints of one run: `step-N/` folders, each complete or not there.
///
/// | file | holds |
/// |---|---|
/// | `adapter.safetensors`, `head.safetensors` | the parameters by name |
/// | `optimizer.safetensors` | moments and counts, by the parameters' names |
/// | `generators.safetensors` | the state of the generator of dropout and router noise, bytes |
/// | `masks.safetensors` | of a sparse run, which weights train, by the parameters' names |
/// | `selected.safetensors` | the weights of the best evaluation so far, and its logits on the target |
/// | `run.json` | settings, evaluations, what the next evaluation's mean loss needs |
/// | `manifest.json` | sizes and digests of the others, written last: no manifest, no checkpoint |
///
/// The order of data needs no state: what a batch holds depends on the seed and the step alone.
public struct Checkpoints: Sendable {
  public let folder: URL
  /// How many are kept; 1 or more.
  public let kept: Int

  public init(in folder: URL, keeping kept: Int = 2) {
    self.folder = folder
    self.kept = max(1, kept)
  }

  /// Steps of the complete checkpoints, ascending. A folder without a manifest is not one.
  public func steps() -> [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.compactMap { name -> Int? in
      guard name.hasPrefix("step-"), let step = Int(name.dropFirst("step-".count)), step >= 0,
        url(of: step).lastPathComponent == name,
        let manifest = try? Manifest(in: url(of: step)), manifest.step == step
      else { return nil }
      return step
    }.sorted()
  }

  public func url(of step: Int) -> URL { folder.appendingPathComponent("step-\(step)", isDirectory: true) }

  // MARK: Writing

  /// Makes the folder, and keeps a second run out of it.
  ///
  /// - Throws: `FileLockError` if another run is at work there, with its process; `FileError`.
  package func lock() throws -> FileLock {
    try RunFolder(at: folder).create()
    return try FileLock(folder: folder)
  }

  /// Writes the checkpoint, then removes the oldest beyond those kept. One that is there already stays as it is.
  ///
  /// - Throws: `FileError`, `SafetensorsError`; every checkpoint there was is then still there.
  @Compute
  func save(_ state: TrainingState, of model: AdaptedModel, identity: RunIdentity) throws -> URL {
    try write(step: state.step, settings: identity.json) { temporary in
      func write(_ name: String, _ tensors: [(name: String, tensor: Tensor)]) throws {
        var writer = SafetensorsWriter()
        for (name, tensor) in tensors { try writer.add(name, tensor) }
        try writer.write(to: temporary.appendingPathComponent("\(name).safetensors"))
      }
      try write("adapter", model.adapter.stored.map { ($0.name, $0.value) })
      try write("head", model.head?.parameters.map { ($0.name, $0.value) } ?? [])
      try write("optimizer", state.optimizer)
      try write("generators", [("noise", try Tensor(state.noise))])
      if let masks = state.masks { try write("masks", masks) }
      if let selected = state.selected {
        var tensors = selected.parameters.sorted { $0.key < $1.key }.map { (name: $0.key, tensor: $0.value) }
        if let logits = selected.targetLogits { tensors.append((Self.logitsName, logits)) }
        try write("selected", tensors)
      }
      let progress = Progress(
        evaluations: state.evaluations, selectedStep: state.selected?.scores.step, lossSum: state.lossSum,
        lossCount: state.lossCount)
      let run: JSONValue = ["progress": try JSONValue(encoding: progress), "settings": identity.json]
      try AtomicFile.write(try run.text(.readable) + "\n", to: temporary.appendingPathComponent("run.json"))
    }
  }

  /// Writes the checkpoint of a step with the files that `body` puts into a folder, then removes the oldest beyond those kept. One
  /// that is there already stays as it is.
  ///
  /// - Parameter settings: of the run; the manifest holds their digest.
  /// - Throws: `FileError`, what `body` throws; every checkpoint there was is then still there.
  package func write(step: Int, settings: JSONValue, _ body: (URL) throws -> Void) throws -> URL {
    let url = url(of: step)
    guard !steps().contains(step) else { return url }
    try AtomicFolder.removeLeftovers(in: folder)
    // Nothing of ours: a checkpoint takes its name only once its manifest is inside. A copy cut short, for example.
    if FileManager.default.fileExists(atPath: url.path) { try FileManager.default.removeItem(at: url) }
    let fingerprint = try Manifest.fingerprint(of: settings)
    try AtomicFolder.write(to: url) { temporary in
      try body(temporary)
      try Manifest(describing: temporary, step: step, configuration: fingerprint).write(in: temporary)
    }
    for old in steps().dropLast(kept) where old < step { try remove(old) }
    return url
  }

  /// The manifest goes first: what is left if the process dies here is no checkpoint.
  private func remove(_ step: Int) throws {
    let url = url(of: step)
    try FileManager.default.removeItem(at: url.appendingPathComponent(Manifest.fileName))
    try FileManager.default.removeItem(at: url)
  }

  // MARK: Reading

  /// Puts the last complete checkpoint into the model; nil where there is none.
  ///
  /// - Throws: `TrainingError.changed` if it was made with other settings; `ManifestError` if its files have changed;
  ///   `ParameterError`, `SafetensorsError`.
  @Compute
  func restoreLast(into model: AdaptedModel, identity: RunIdentity) throws -> TrainingState? {
    guard let step = steps().last else { return nil }
    let url = url(of: step)
    try Manifest.verify(url)
    let run = try JSONValue(contentsOf: url.appendingPathComponent("run.json"))
    let earlier = RunIdentity(json: run["settings"] ?? .null)
    let differences = identity.differences(from: earlier)
    guard differences.isEmpty else { throw TrainingError.changed(checkpoint: url.path, differences: differences) }

    func read(_ name: String) throws -> [String: Tensor] {
      let file = try SafetensorsFile(contentsOf: url.appendingPathComponent("\(name).safetensors"))
      return try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0).clone()) })
    }
    let saved = try read("adapter").merging(try read("head")) { first, _ in first }
    let expected = model.parameters + model.adapter.frozen
    for parameter in expected {
      guard let value = saved[parameter.name] else { throw CheckpointError.missing(parameter.name, url.path) }
      try parameter.load(value)
    }
    if let unknown = Set(saved.keys).subtracting(expected.map(\.name)).sorted().first {
      throw CheckpointError.unknown(unknown, url.path)
    }
    guard let progress = try run["progress"].map({ try Progress(json: $0) }) else {
      throw CheckpointError.missing("progress", url.path)
    }
    var selected: TrainingResult.Selection?
    if let scores = progress.evaluations.last(where: { $0.step == progress.selectedStep }) {
      var tensors = try read("selected")
      let logits = tensors.removeValue(forKey: Self.logitsName)
      selected = .init(scores: scores, parameters: tensors, targetLogits: logits)
    }
    let hasMasks = FileManager.default.fileExists(atPath: url.appendingPathComponent("masks.safetensors").path)
    let masks = try hasMasks ? read("masks").map { (name: $0.key, tensor: $0.value) } : nil
    guard let noise = try read("generators")["noise"] else { throw CheckpointError.missing("noise", url.path) }
    return TrainingState(
      step: step, optimizer: try read("optimizer").map { ($0.key, $0.value) }, noise: try noise.array(),
      masks: masks, evaluations: progress.evaluations, selected: selected, lossSum: progress.lossSum,
      lossCount: progress.lossCount)
  }

  private static let logitsName = "target.logits"

  private struct Progress: Codable {
    var evaluations: [Scores]
    var selectedStep: Int?
    var lossSum: Double
    var lossCount: Int

    init(evaluations: [Scores], selectedStep: Int?, lossSum: Double, lossCount: Int) {
      self.evaluations = evaluations
      self.selectedStep = selectedStep
      self.lossSum = lossSum
      self.lossCount = lossCount
    }

    init(json: JSONValue) throws {
      let decoder = JSONDecoder()
      decoder.nonConformingFloatDecodingStrategy = .convertFromString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      self = try decoder.decode(Progress.self, from: json.data())
    }
  }
}

/// Everything of a run that the model does not hold.
struct TrainingState: Sendable {
  var step = 0
  var optimizer: [(name: String, tensor: Tensor)] = []
  var noise: [UInt8] = []
  /// nil where every weight trains.
  var masks: [(name: String, tensor: Tensor)]?
  var evaluations: [Scores] = []
  var selected: TrainingResult.Selection?
  /// Of the steps since the last evaluation.
  var lossSum = 0.0
  var lossCount = 0
}

public enum CheckpointError: Error, Equatable, CustomStringConvertible {
  case missing(String, String)
  case unknown(String, String)

  public var description: String {
    switch self {
    case .missing(let name, let path): "The checkpoint '\(path)' lacks '\(name)', which this model needs."
    case .unknown(let name, let path): "The checkpoint '\(path)' holds '\(name)', which this model does not have."
    }
  }
}
