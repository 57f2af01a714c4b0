import Datasets
import Formats
import Foundation
import NeuralNetworks
import Synchronization
import Training

/// A run of meta-tuning: trains a model on episodes, and reports what it does.
///
/// ```swift
/// let run = try MetaTraining(of: model, on: examples, sampler: sampler, validation: [held])
/// for try await event in run { if case .step(let step) = event { log.info("\(step.loss)") } }
/// ```
/// Each step takes the mean over `tasksPerStep` episodes, the ones that follow in the sampler's order. The run works on `Compute`,
/// whoever reads its events; it starts when they are first asked for, and can be read once. Cancelling the reader's task stops it
/// after the step it is at, with a checkpoint where there is a folder for them. The same seeds give the same run, bit for bit, on
/// the same machine, and a run resumed from a checkpoint goes on as if it had never stopped.
///
/// Where examples do not vary, the frozen backbone's features of each are computed once: see `FrozenFeatures`.
public struct MetaTraining: AsyncSequence, Sendable {
  public typealias Element = MetaEvent

  public let model: MetaModel
  let examples: any Examples
  let sampler: EpisodeSampler
  let validation: [EpisodeSampler]
  let checkpoints: Checkpoints?
  let features: FrozenFeatures
  private let start = Start()

  /// A second reading would train the trained model again.
  private final class Start: Sendable {
    private let taken = Mutex(false)
    func take() throws {
      let before = taken.withLock { taken in
        defer { taken = true }
        return taken
      }
      if before { throw MetaTrainingError.alreadyStarted }
    }
  }

  /// - Parameters:
  ///   - sampler: of the episodes to train on, whose pools hold indices of `examples`.
  ///   - validation: sets of episodes to validate on, by their pools; the same episodes are drawn from each every time.
  ///   - checkpoints: the folder for checkpoints; the last one there is resumed from. nil writes none.
  ///   - features: the frozen backbone's of `examples`, to be shared by runs; nil makes its own.
  /// - Throws: `MetaTrainingError.unusable` where an episode could draw an example that cannot be had, `.otherFeatures` for
  ///   features of another backbone, of other examples or in another precision.
  public init(
    of model: MetaModel, on examples: any Examples, sampler: EpisodeSampler, validation: [EpisodeSampler] = [],
    checkpoints: URL? = nil, features: FrozenFeatures? = nil
  ) throws {
    for pool in ([sampler] + validation).flatMap(\.pools) {
      for one in pool.classes {
        if let example = one.examples.first(where: { !examples.isUsable($0) }) {
          throw MetaTrainingError.unusable(pool: pool.name, class: one.name, example: example)
        }
      }
    }
    if let features {
      guard features.backbone.fingerprint == model.backbone.fingerprint,
        features.examples.fingerprint == examples.fingerprint,
        features.precision == model.configuration.precision
      else { throw MetaTrainingError.otherFeatures }
    }
    self.model = model
    self.examples = examples
    self.sampler = sampler
    self.validation = validation
    let configuration = model.configuration
    self.checkpoints = checkpoints.map { Checkpoints(in: $0, keeping: configuration.keptCheckpoints) }
    self.features =
      features ?? FrozenFeatures(of: examples, by: model.backbone, precision: configuration.precision)
  }

  public func makeAsyncIterator() -> EventIterator<MetaEvent> {
    EventIterator { send in
      try start.take()
      let lock = try checkpoints?.lock()
      defer { lock?.release() }
      try await MetaTrainingLoop(run: self, send: send).run()
    }
  }

  /// Reads the events to the end.
  public func finish() async throws -> MetaResult {
    var finished: MetaResult?
    for try await event in self {
      if case .finished(let result) = event { finished = result }
    }
    guard let finished else { throw CancellationError() }
    return finished
  }

  /// Everything that decides the numbers of the run: what a checkpoint must agree with to be resumed.
  func identity() throws -> RunIdentity {
    var settings: [String: JSONValue] = [:]
    let harmless: Set<String> = [
      MetaConfiguration.Keys.checkpointInterval.rawValue, MetaConfiguration.Keys.keptCheckpoints.rawValue,
    ]
    for (key, value) in try JSONValue(encoding: model.configuration).object?.members ?? []
    where !harmless.contains(key) {
      settings[key] = value
    }
    settings["backbone"] = .string(model.backbone.fingerprint)
    settings["examples"] = .string(examples.fingerprint)
    settings["training_episodes"] = .string(Self.digest(of: sampler))
    settings["validation_sets"] = .array(validation.map { .string(Self.digest(of: $0)) })
    return RunIdentity(settings: settings)
  }

  private static func digest(of sampler: EpisodeSampler) -> String {
    var text = "\(sampler.seed) \(sampler.settings)\n"
    for pool in sampler.pools {
      text += "\(pool.name)\0\(pool.hierarchy.map { "\($0)" } ?? "")\n"
      for one in pool.classes { text += "\(one.name)\0\(one.examples)\n" }
    }
    return FileDigest.sha256(of: Data(text.utf8))
  }
}
