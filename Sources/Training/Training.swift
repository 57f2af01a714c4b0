import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Synchronization
import Tensors

/// A run: trains an adapter and a classifier on a frozen backbone, and reports what it does.
///
/// ```swift
/// let run = try Training(of: &model, head: .linear(domains.classes), on: domains.leavingOut("sketch"),
///                        configuration: .init(steps: 1_000, seed: 1))
/// for try await event in run { if case .evaluated(let scores) = event { log.info("\(scores)") } }
/// ```
/// The loss is the cross-entropy plus what adapters add, already weighted. The run works on `Compute`, whoever reads its
/// events; it starts when they are first asked for, and can be read once. Cancelling the reader's task stops it after the step it is at, with a
/// checkpoint where there is a folder for them. The same seeds give the same run, bit for bit, on the same machine, and a
/// run resumed from a checkpoint goes on as if it had never stopped.
///
/// Where the classifier alone trains, the features of a frozen backbone are computed once: see `FeatureStore`.
public struct Training: AsyncSequence, Sendable {
  public typealias Element = TrainingEvent

  public let model: AdaptedModel
  public let configuration: TrainingConfiguration
  let data: DataSource
  let checkpoints: Checkpoints?
  let store: FeatureStore
  private let start = Start()

  /// A second reading would train the trained model again.
  private final class Start: Sendable {
    private let taken = Mutex(false)
    func take() throws {
      let before = taken.withLock { taken in
        defer { taken = true }
        return taken
      }
      if before { throw TrainingError.alreadyStarted }
    }
  }

  /// What to train on: examples at hand, or a folder whose images are still to be read.
  enum DataSource: Sendable {
    case examples(any Examples, Fold)
    case folder(LeaveOneDomainOut<DomainFolder>, cache: URL)
  }

  /// How a classifier is made.
  public enum HeadConfiguration: Sendable {
    /// One linear map from the features to the classes.
    case linear([String])
  }

  /// Trains `model` on images, with a fresh classifier that it gets here; the same seed gives the same classifier.
  ///
  /// - Parameters:
  ///   - checkpoints: the folder for checkpoints; the last one there is resumed from. nil writes none.
  ///   - cache: the folder for decoded images.
  /// - Throws: `HeadError`, `TrainingConfigurationError`.
  public init(
    of model: inout AdaptedModel, head: HeadConfiguration, on data: LeaveOneDomainOut<DomainFolder>,
    configuration: TrainingConfiguration = TrainingConfiguration(), checkpoints: URL? = nil,
    cache: URL = ImageExamples.defaultCache
  ) throws {
    try configuration.validate()
    try model.giveHead(head, seed: configuration.seed)
    self.init(
      model: model, data: .folder(data, cache: cache), configuration: configuration, checkpoints: checkpoints)
  }

  /// Trains `model`, classifier included, on examples of any kind.
  ///
  /// - Parameter store: where features of frozen backbones are kept, to be shared by runs.
  /// - Throws: `TrainingConfigurationError`; `TrainingError` where model and examples do not go together.
  public init(
    of model: AdaptedModel, on examples: any Examples, fold: Fold,
    configuration: TrainingConfiguration = TrainingConfiguration(), checkpoints: URL? = nil,
    store: FeatureStore = FeatureStore()
  ) throws {
    try configuration.validate()
    try Self.check(model, examples, fold)
    self.init(
      model: model, data: .examples(examples, fold), configuration: configuration, checkpoints: checkpoints,
      store: store)
  }

  private init(
    model: AdaptedModel, data: DataSource, configuration: TrainingConfiguration, checkpoints: URL?,
    store: FeatureStore = FeatureStore()
  ) {
    self.model = model
    self.data = data
    self.configuration = configuration
    self.checkpoints = checkpoints.map { Checkpoints(in: $0, keeping: configuration.keptCheckpoints) }
    self.store = store
  }

  public func makeAsyncIterator() -> EventIterator<TrainingEvent> {
    EventIterator { send in
      try start.take()
      let lock = try checkpoints?.lock()
      defer { lock?.release() }
      let (examples, fold) = try await open()
      try await TrainingLoop(run: self, examples: examples, fold: fold, send: send).run()
    }
  }

  /// Reads the events to the end.
  public func finish() async throws -> TrainingResult {
    var finished: TrainingResult?
    for try await event in self {
      if case .finished(let result) = event { finished = result }
    }
    guard let finished else { throw CancellationError() }
    return finished
  }

  private func open() async throws -> (any Examples, Fold) {
    switch data {
    case .examples(let examples, let fold): return (examples, fold)
    case .folder(let data, let cache):
      let normalization = configuration.normalization ?? model.backbone.usualNormalization
      let examples = try await ImageExamples.open(
        data.folder, configuration: configuration, normalization: normalization, cache: cache)
      let fold = Fold(
        of: examples, target: data.target, trialSeed: configuration.trialSeed, holdout: configuration.holdout)
      try Self.check(model, examples, fold)
      return (examples, fold)
    }
  }

  private static func check(_ model: AdaptedModel, _ examples: any Examples, _ fold: Fold) throws {
    guard let head = model.head else { throw ModelError.noHead }
    guard head.classes == examples.classes else {
      throw TrainingError.classes(head: head.classes, examples: examples.classes)
    }
    if let target = fold.target, !examples.domains.indices.contains(target) {
      throw TrainingError.unknownTarget(target, domains: examples.domains.count)
    }
    for source in fold.sources {
      let name = examples.domains[source]
      if fold.parts[source].in.isEmpty { throw TrainingError.emptySource(name) }
      if fold.selectsStep, fold.parts[source].out.isEmpty { throw TrainingError.noValidation(name) }
    }
  }
}

extension AdaptedModel {
  /// A fresh classifier; the same seed gives the same one.
  ///
  /// - Throws: `HeadError` for fewer than two classes or two of one name.
  public mutating func giveHead(_ configuration: Training.HeadConfiguration, seed: UInt64) throws {
    switch configuration {
    case .linear(let classes):
      head = try Head(
        classes: classes, features: backbone.featureWidth, device: backbone.device,
        generator: Generator(seed: seed).derived("head"))
    }
  }
}
