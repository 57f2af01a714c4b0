import Adapters
import Datasets
import Foundation
import NeuralNetworks
import Tensors

/// The loop behind every `Training`.
@Compute
final class TrainingLoop {
  private let configuration: TrainingConfiguration
  private let model: AdaptedModel
  private let fold: Fold
  private let checkpoints: Checkpoints?
  private let send: @Sendable (TrainingEvent) -> Void
  private let identity: RunIdentity
  private let optimizer: Optimizer
  private let noise: Generator
  private let sampler: any BatchPlan
  private let augmentationSeed: UInt64
  private let store: FeatureStore

  private let examples: any Examples
  private var state = TrainingState()
  private var lastCheckpoint: URL?
  /// nil where every weight trains.
  private var masks: WeightMasks?

  /// A model and the examples it takes: those of the run, or the classifier alone on stored features.
  private struct Path {
    var model: AdaptedModel
    var examples: any Examples
  }

  init(
    run: Training, examples: any Examples, fold: Fold, send: @escaping @Sendable (TrainingEvent) -> Void
  ) throws {
    configuration = run.configuration
    model = run.model
    self.examples = examples
    self.fold = fold
    self.send = send
    checkpoints = run.checkpoints
    store = run.store
    identity = try RunIdentity(model: model, examples: examples, fold: fold, configuration: configuration)
    let head = model.head?.parameters ?? []
    guard !(model.adapter.parameters + head).isEmpty else { throw TrainingError.nothingTrains }
    optimizer = try Optimizer(
      configuration.optimizer,
      groups: [.init(model.adapter.parameters), .init(head, rateMultiplier: configuration.headRateMultiplier)])
    // A stream of its own for each purpose, so that what one draws does not move another.
    let root = try Generator(seed: configuration.seed)
    noise = try root.derived("noise")
    augmentationSeed = try root.derived("augmentation").seed
    sampler = try examples.trainingPlan(
      for: fold, perDomain: configuration.batchPerDomain, seed: root.derived("sampling").seed)
  }

  // MARK: The run

  func run() async throws {
    try resume()
    send(.started(try Plan(of: model, on: examples, fold: fold, configuration: configuration)))
    if state.step > 0 { send(.resumed(step: state.step, evaluations: state.evaluations)) }
    let (training, evaluation) = try await paths()
    try await chooseWeights(training)
    // Before the first step, or where a run was stopped between a step and its evaluation.
    if isEvaluated(state.step), state.evaluations.last?.step != state.step { try await evaluate(evaluation) }
    if state.step < configuration.steps { try await train(training, evaluation) }
    try saveCheckpoint()
    send(
      .finished(
        TrainingResult(
          model: model, evaluations: state.evaluations, selected: state.selected, checkpoint: lastCheckpoint)))
  }

  /// Before the first step of a sparse run: which weights train, by the batches that it begins with.
  private func chooseWeights(_ training: Path) async throws {
    guard let sparsity = configuration.sparsity, masks == nil else { return }
    var first: [Batch] = []
    let steps = 0..<min(sparsity.batches, configuration.steps)
    for try await batch in training.examples.batches(of: sampler, steps: steps, for: .training(seed: augmentationSeed))
    {
      first.append(batch)
    }
    try Task.checkCancellation()
    masks = try WeightMasks(
      sparsity, WeightScores(of: training.model, on: first, configuration),
      Generator(seed: configuration.seed).derived("sparsity"))
  }

  private func train(_ training: Path, _ evaluation: Path) async throws {
    let batches = training.examples.batches(
      of: sampler, steps: state.step..<configuration.steps, for: .training(seed: augmentationSeed))
    var clock = ContinuousClock.now
    do {
      for try await batch in batches {
        try Task.checkCancellation()
        var report = try step(batch, model: training.model)
        let seconds = (ContinuousClock.now - clock) / .seconds(1)
        report = report.timed(images: batch.count, seconds: seconds)
        send(.step(report))
        if isEvaluated(state.step) { try await evaluate(evaluation) }
        // The last step's is written when the run is over.
        if let interval = configuration.checkpointInterval, state.step.isMultiple(of: interval),
          state.step < configuration.steps
        {
          try saveCheckpoint()
        }
        clock = .now
      }
      // A cancelled stream of batches ends without a word.
      try Task.checkCancellation()
    } catch let error as CancellationError {
      try saveCheckpoint()
      throw error
    }
  }

  /// One optimizer step on one batch.
  private func step(_ batch: Batch, model: AdaptedModel) throws -> StepReport {
    Memory.resetPeak()
    let number = state.step + 1
    let rate =
      configuration.learningRate * configuration.schedule.factor(at: state.step, of: configuration.steps)
    try optimizer.clearGradients()
    let losses = try accumulate(batch, model)
    try masks?.zeroGradients()
    let norm: Double
    do {
      norm = try optimizer.gradientNorm()
    } catch OptimizerError.gradientNotFinite(let parameter) {
      throw try notFinite(losses.total.isFinite ? .gradient : .loss, number, rate, parameter, batch, model)
    }
    guard losses.total.isFinite else { throw try notFinite(.loss, number, rate, nil, batch, model) }
    if let clip = configuration.clip { try optimizer.clipGradients(norm: norm, to: clip) }
    try optimizer.step(rate: rate)
    state.step = number
    state.lossSum += losses.total
    state.lossCount += 1
    return StepReport(
      step: number, loss: losses.total, crossEntropy: losses.crossEntropy, auxiliary: losses.auxiliary,
      learningRate: rate, gradientNorm: norm, imagesPerSecond: 0, peakMemory: Memory.now.peak)
  }

  /// Forward and backward over the parts of a batch; gradients add up to those of the whole.
  private func accumulate(_ batch: Batch, _ model: AdaptedModel) throws -> Losses {
    var losses = Losses()
    for part in try batch.parts(configuration.accumulation) {
      let weight = Double(part.count) / Double(batch.count)
      let (loss, values) = try Self.loss(of: part, model, .training(noise), configuration)
      losses.crossEntropy += weight * values.crossEntropy
      losses.auxiliary += weight * values.auxiliary
      try (weight == 1 ? loss : loss * weight).backward()
    }
    return losses
  }

  struct Losses {
    var crossEntropy = 0.0
    var auxiliary = 0.0
    var total: Double { crossEntropy + auxiliary }
  }

  /// The loss of a batch: cross-entropy in float32, plus the losses that adapters added in the pass.
  static func loss(
    of batch: Batch, _ model: AdaptedModel, _ mode: ForwardPass.Mode, _ configuration: TrainingConfiguration
  ) throws -> (Tensor, Losses) {
    let device = model.backbone.device
    let pass = ForwardPass(mode)
    let logits = try configuration.precision.applied(on: device) {
      try model.logits(batch.inputs.to(device), pass: pass)
    }
    let crossEntropy = try logits.to(.float32).crossEntropy(
      batch.labels.to(device), smoothing: configuration.labelSmoothing)
    var losses = Losses(crossEntropy: try crossEntropy.detached().item())
    guard configuration.auxiliaryLoss, let first = pass.auxiliaryLosses.first else { return (crossEntropy, losses) }
    let auxiliary = try pass.auxiliaryLosses.dropFirst().reduce(first) { try $0 + $1 }.to(.float32)
    losses.auxiliary = try auxiliary.detached().item()
    return (try crossEntropy + auxiliary, losses)
  }

  // MARK: Evaluating

  private func isEvaluated(_ step: Int) -> Bool {
    step == 0
      ? configuration.evaluatesAtStart
      : step == configuration.steps || step.isMultiple(of: configuration.evaluationInterval)
  }

  private func evaluate(_ path: Path) async throws {
    let evaluator = Evaluator(
      path.examples, batchSize: configuration.evaluationBatch, precision: configuration.precision)
    let mean = state.lossCount > 0 ? state.lossSum / Double(state.lossCount) : nil
    let (scores, logits) = try await evaluator.scores(
      of: path.model, fold: fold, step: state.step, scoresTraining: configuration.scoresTrainingImages,
      trainingLoss: mean)
    (state.lossSum, state.lossCount) = (0, 0)
    state.evaluations.append(scores)
    // The first of equals: a later one must be better.
    if !fold.selectsStep || scores.validation > state.selected?.scores.validation ?? -1 {
      let parameters = try withoutGradients {
        try Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, try $0.value.detached().clone()) })
      }
      state.selected = .init(scores: scores, parameters: parameters, targetLogits: logits)
    }
    send(.evaluated(scores))
  }

  /// What training and evaluation run through. A classifier alone needs the backbone once for each image, not at every
  /// step.
  private func paths() async throws -> (training: Path, evaluation: Path) {
    let full = Path(model: model, examples: examples)
    guard model.adapter.stored.isEmpty else { return (full, full) }
    let views = examples.varies ? configuration.cachedViews : 0
    // The views are the same for every seed, so that trials and folds share them.
    guard
      let features = try await store.features(
        of: examples, by: model.backbone, views: views, seed: 0, batchSize: configuration.evaluationBatch,
        precision: configuration.precision)
    else { return (full, full) }
    var classifier = model
    classifier = AdaptedModel(
      backbone: FeatureBackbone(of: model.backbone), adapter: model.adapter, head: model.head)
    let stored = Path(model: classifier, examples: features)
    return (examples.varies && views == 0 ? full : stored, stored)
  }

  // MARK: Checkpoints

  private func resume() throws {
    guard let checkpoints, let saved = try checkpoints.restoreLast(into: model, identity: identity) else { return }
    try optimizer.restore(Dictionary(uniqueKeysWithValues: saved.optimizer.map { ($0.name, $0.tensor) }))
    try noise.restore(saved.noise)
    if configuration.sparsity != nil {
      masks = try WeightMasks(
        restoring: saved.masks ?? [], of: model, from: checkpoints.url(of: saved.step).path)
    }
    state = saved
    state.optimizer = []
    state.masks = nil
    lastCheckpoint = checkpoints.url(of: saved.step)
  }

  private func saveCheckpoint() throws {
    guard let checkpoints, lastCheckpoint != checkpoints.url(of: state.step) else { return }
    var saved = state
    saved.optimizer = optimizer.state()
    saved.noise = try noise.state()
    saved.masks = try masks?.state()
    let url = try checkpoints.save(saved, of: model, identity: identity)
    lastCheckpoint = url
    send(.checkpoint(url))
  }

  // MARK: Stopping

  private func notFinite(
    _ quantity: TrainingError.NotFinite.Quantity, _ step: Int, _ rate: Double, _ parameter: String?, _ batch: Batch,
    _ model: AdaptedModel
  ) throws -> TrainingError {
    let check = FiniteCheck(model.adapter)
    let device = model.backbone.device
    let features = try withoutGradients {
      try configuration.precision.applied(on: device) {
        try model.backbone.features(batch.inputs.to(device), adaptation: check, pass: ForwardPass())
      }
    }
    var site = check.firstSite
    if site == nil, let head = model.head {
      let logits = try withoutGradients { try head(features.to(.float32)) }
      if try !logits.isAllFinite() { site = "head" }
    }
    return .notFinite(
      .init(
        quantity: quantity, step: step, site: site, parameter: parameter, learningRate: rate,
        checkpoint: lastCheckpoint))
  }
}

extension Batch {
  /// The batch dealt into at most `count` parts of nearly equal size. A batch holds its domains one after the other: cut into
  /// runs, a part would hold one domain, and a mixture's load balance would count within domains.
  func parts(_ count: Int) throws -> [Batch] {
    guard count > 1, self.count > 1 else { return [self] }
    let parts = min(count, self.count)
    return try (0..<parts).map { first in
      let rows = Array(stride(from: first, to: self.count, by: parts))
      let index = try Tensor(rows.map(Int64.init))
      return Batch(
        step: step, indices: rows.map { indices[$0] }, inputs: try inputs.selected(0, index.to(inputs.device)),
        labels: try labels.selected(0, index.to(labels.device)))
    }
  }
}

extension StepReport {
  fileprivate func timed(images: Int, seconds: Double) -> StepReport {
    StepReport(
      step: step, loss: loss, crossEntropy: crossEntropy, auxiliary: auxiliary, learningRate: learningRate,
      gradientNorm: gradientNorm, imagesPerSecond: seconds > 0 ? Double(images) / seconds : 0, peakMemory: peakMemory)
  }
}
