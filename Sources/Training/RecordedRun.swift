import Adapters
import Formats
import Foundation
import Reports

/// One run of a comparison in a folder of its own: trains, and keeps a line of results for each evaluation.
///
/// A run that stopped half-way goes on from its checkpoint where the configuration has them written, else starts over; the
/// records of steps that are taken again are removed first.
package struct RecordedRun: Sendable {
  let folder: RunFolder
  let arguments: RunArguments
  let hyperparameters: JSONObject
  let configuration: TrainingConfiguration
  let examples: any Examples
  let fold: Fold

  package init(
    folder: RunFolder, arguments: RunArguments, hyperparameters: JSONObject, configuration: TrainingConfiguration,
    examples: any Examples, fold: Fold
  ) {
    self.folder = folder
    self.arguments = arguments
    self.hyperparameters = hyperparameters
    self.configuration = configuration
    self.examples = examples
    self.fold = fold
  }

  package func perform(
    _ model: AdaptedModel, store: FeatureStore, _ send: (TrainingEvent) -> Void
  ) async throws -> TrainingResult {
    try folder.create()
    // Records of steps that will be taken again would stand there twice.
    _ = try folder.results.repair()
    let resumed = checkpoints.flatMap { Checkpoints(in: $0).steps().last } ?? -1
    try folder.results.discardRecords(after: resumed)

    let training = try Training(
      of: model, on: examples, fold: fold, configuration: configuration, checkpoints: checkpoints, store: store)
    var log = RecordLog(
      run: arguments, hyperparameters: hyperparameters, examples: examples, fold: fold,
      batchPerDomain: configuration.batchPerDomain)
    var finished: TrainingResult?
    for try await event in training {
      switch event {
      case .step(let report): log.add(report)
      case .evaluated(let scores):
        try folder.results.append(log.record(scores))
      case .finished(let result): finished = result
      case .resumed(_, let evaluations):
        // A process can die after its checkpoint and before the record of the same step is on the disk.
        let known = Set(try folder.results.read().records.map(\.step))
        for scores in evaluations where !known.contains(scores.step) {
          try folder.results.append(log.record(scores))
        }
      case .started, .checkpoint: break
      }
      send(event)
    }
    guard let finished else { throw CancellationError() }
    return finished
  }

  /// Says that the run is over, once everything else that is kept of it is on the disk.
  package func markDone() throws {
    try folder.markDone()
    if let checkpoints { try? FileManager.default.removeItem(at: checkpoints) }
  }

  private var checkpoints: URL? {
    configuration.checkpointInterval.map { _ in folder.url.appendingPathComponent("checkpoints") }
  }
}

extension Method {
  /// What decides a run's numbers beside the arguments that every run has: the method's settings and the configuration's.
  package func runSettings(with configuration: TrainingConfiguration) throws -> JSONObject {
    var all = JSONObject()
    for (key, value) in try settings.object?.members ?? [] { all[key] = value }
    for (key, value) in try JSONValue(encoding: configuration).object?.members ?? [] where !Self.perRun.contains(key) {
      all[key] = value
    }
    return all
  }

  /// Settings that stand in the arguments themselves, or change no number.
  private static let perRun: Set<String> = [
    "seed", "trial_seed", "steps", "evaluation_interval", "holdout", "checkpoint_interval", "kept_checkpoints",
  ]

  /// What a record says of the run's settings: the method's and the configuration's.
  package func hyperparameters(with configuration: TrainingConfiguration) throws -> JSONObject {
    var all = try settings.object ?? [:]
    for (key, value) in try JSONValue(encoding: configuration).object?.members ?? [] { all[key] = value }
    // DomainBed's names for what every algorithm of its own has.
    all["lr"] = .double(configuration.learningRate)
    all["batch_size"] = .integer(configuration.batchPerDomain)
    return all
  }
}
