import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

/// The loop behind every `MetaTraining`.
@Compute
final class MetaTrainingLoop {
  private let training: MetaTraining
  private let model: MetaModel
  private let configuration: MetaConfiguration
  private let send: @Sendable (MetaEvent) -> Void
  private let identity: RunIdentity
  private let loss: EpisodeLoss
  /// Of the hypernetwork; nil where there is none.
  private let optimizer: Optimizer?
  private let augmentationSeed: UInt64
  private let noiseSeed: UInt64

  private var step = 0
  private var validations: [MetaValidation] = []
  private var best: MetaResult.Best?
  private var lastCheckpoint: URL?

  init(run: MetaTraining, send: @escaping @Sendable (MetaEvent) -> Void) throws {
    training = run
    self.send = send
    model = run.model
    configuration = model.configuration
    identity = try run.identity()
    loss = try EpisodeLoss(of: model)
    optimizer = try model.hypernetwork.map { hypernetwork in
      try Optimizer(
        OptimizerSettings(.adamW, weightDecay: run.model.configuration.hypernetworkDecay),
        groups: [.init(hypernetwork.parameters)])
    }
    // A stream of its own for each purpose, so that what one draws does not move another.
    let root = try Generator(seed: configuration.seed)
    augmentationSeed = try root.derived("augmentation").seed
    noiseSeed = try root.derived("routing").seed
  }

  // MARK: The run

  func run() async throws {
    try resume()
    model.trainedOn =
      TrainedClasses(training: training.sampler, validation: training.validation).union(model.trainedOn)
    send(.started(steps: configuration.steps, tasksPerStep: configuration.tasksPerStep, completed: step))
    if step > 0 { send(.resumed(step: step, validations: validations)) }
    // Where a run was stopped between a step and its validation.
    if isValidated(step), validations.last?.step != step { try await validate() }
    if step < configuration.steps { try await train() }
    try saveCheckpoint()
    send(
      .finished(
        MetaResult(model: model, validations: validations, best: best, checkpoint: lastCheckpoint)))
  }

  private func train() async throws {
    let tasks = configuration.tasksPerStep
    let batches = training.examples.batches(
      of: EpisodePlan(training.sampler), steps: step * tasks..<configuration.steps * tasks,
      for: .training(seed: augmentationSeed))
    var waiting: [Batch] = []
    var clock = ContinuousClock.now
    do {
      for try await batch in batches {
        try Task.checkCancellation()
        // A step is taken whole or not at all, so that one cut short leaves nothing behind.
        waiting.append(batch)
        guard waiting.count == tasks else { continue }
        send(.step(try take(waiting, since: clock)))
        waiting = []
        if isValidated(step) { try await validate() }
        // The last step's is written when the run is over.
        if let interval = configuration.checkpointInterval, step.isMultiple(of: interval), step < configuration.steps {
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

  // MARK: One step

  private func take(_ batches: [Batch], since clock: ContinuousClock.Instant) throws -> MetaStep {
    Memory.resetPeak()
    let number = step + 1
    let factor = configuration.rateFactor(atStep: step)
    var outcomes: [EpisodeLoss.Outcome] = []
    var gradients: [TaskGradient] = []
    var routes: [TaskRoute] = []
    for (place, batch) in batches.enumerated() {
      let episode = try self.episode(batch, of: training.sampler, isTraining: true)
      let route = try route(episode, number: batch.step, temperature: temperature(ofTask: place))
      let mixing = try route?.mixing.detached().doubles() ?? wholeMixing
      let outcome = try loss(episode, mixing: mixing)
      guard outcome.loss.isFinite else {
        throw MetaTrainingError.lossNotFinite(
          step: number, episode: batch.step, rateFactor: factor, checkpoint: lastCheckpoint)
      }
      gradients.append(TaskGradient(mixing: mixing, gradients: outcome.gradients))
      outcomes.append(outcome)
      if let route { routes.append(route) }
    }
    let temperature = temperature(ofTask: 0)
    do {
      let toMixing = try model.weights.backward(gradients)
      try stepHypernetwork(routes, toMixing, rate: configuration.hypernetworkRate * factor)
    } catch MetaWeightsError.notFinite(let tensor) {
      throw MetaTrainingError.gradientNotFinite(
        step: number, tensor: tensor, rateFactor: factor, checkpoint: lastCheckpoint)
    } catch OptimizerError.gradientNotFinite(let parameter) {
      throw MetaTrainingError.gradientNotFinite(
        step: number, tensor: parameter, rateFactor: factor, checkpoint: lastCheckpoint)
    }
    try model.weights.step(factor: factor)
    model.tasksSeen += batches.count
    step = number
    let experts = model.weights as? SparseExperts
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
    return MetaStep(
      step: number, loss: mean(outcomes.map(\.loss)), crossEntropy: mean(outcomes.map(\.crossEntropy)),
      distillation: mean(outcomes.map(\.distillation)),
      accuracy: mean(outcomes.map(\.accuracy)), mixing: gradients.map(\.mixing),
      hardSparsity: experts?.hardSparsity ?? [],
      multipliers: experts?.multipliers ?? [], rateFactor: factor, temperature: temperature,
      seconds: (ContinuousClock.now - clock) / .seconds(1), peakMemory: Memory.now.peak)
  }

  private var wholeMixing: [Double] { [Double](repeating: 1, count: model.weights.expertCount) }

  private func temperature(ofTask place: Int) -> Double {
    configuration.temperature(after: model.tasksSeen + place)
  }

  /// α of a training task, with noise; nil where nothing is routed.
  private func route(_ episode: EpisodeBatch, number: Int, temperature: Double) throws -> TaskRoute? {
    guard let hypernetwork = model.hypernetwork, let features = episode.frozenSupport else { return nil }
    try hypernetwork.iterate()
    let prototypes = try withoutGradients {
      try Prototypes.means(of: features, labels: episode.supportLabels, ways: episode.ways)
    }
    let noise = try Self.noise(model.weights.expertCount, seed: noiseSeed, task: number)
    let route = try hypernetwork.mixing(
      prototypes: prototypes, temperature: temperature, noise: noise.to(prototypes.dtype).to(prototypes.device))
    return TaskRoute(mixing: route.mixing, logits: route.logits)
  }

  /// `g = ln u − ln(1 − u)` with `u` uniform: a function of seed and task, so that nothing of it needs saving.
  static func noise(_ experts: Int, seed: UInt64, task: Int) throws -> Tensor {
    var stream = Xoshiro256(seed: seed, stream: UInt64(truncatingIfNeeded: task))
    return try Tensor(
      (0..<experts).map { _ in
        let u = min(max(stream.uniform(), 1e-6), 1 - 1e-6)
        return log(u) - log1p(-u)
      })
  }

  private func stepHypernetwork(_ routes: [TaskRoute], _ toMixing: [[Double]], rate: Double) throws {
    guard let optimizer, !routes.isEmpty else { return }
    try optimizer.clearGradients()
    for (route, gradient) in zip(routes, toMixing) {
      let loss = try route.loss(toMixing: gradient, logitPenalty: configuration.logitPenalty)
      try (loss / Double(routes.count)).backward()
    }
    try optimizer.clipGradients(norm: optimizer.gradientNorm(), to: configuration.hypernetworkClip)
    try optimizer.step(rate: rate)
  }

  private func episode(_ batch: Batch, of sampler: EpisodeSampler, isTraining: Bool) throws -> EpisodeBatch {
    let episode = sampler.episode(batch.step)
    var made = try EpisodeBatch(episode, batch, device: model.backbone.device)
    let pretrained = isTraining && configuration.distillation > 0 && configuration.distillsPretrained
    let shots = made.supportLabels.count
    if model.hypernetwork != nil || pretrained {
      made.frozenSupport = try training.features.features(of: batch, rows: 0..<shots, varied: isTraining)
    }
    if pretrained {
      made.frozenQuery = try training.features.features(of: batch, rows: shots..<batch.count, varied: isTraining)
    }
    return made
  }

  // MARK: Validating

  private func isValidated(_ step: Int) -> Bool {
    guard step > 0, !training.validation.isEmpty else { return false }
    return step == configuration.steps || step.isMultiple(of: configuration.validationInterval)
  }

  private func validate() async throws {
    var scores: [MetaValidation.Score] = []
    for sampler in training.validation {
      var accuracies: [Double] = []
      let batches = training.examples.batches(
        of: EpisodePlan(sampler), steps: 0..<configuration.validationEpisodes, for: .evaluation)
      for try await batch in batches {
        try Task.checkCancellation()
        accuracies.append(try accuracy(on: batch, of: sampler))
      }
      // A cancelled stream of batches ends without a word.
      try Task.checkCancellation()
      scores.append(MetaValidation.Score(sampler.pools.map(\.name).joined(separator: "+"), accuracies))
    }
    try note(MetaValidation(step: step, sets: scores))
  }

  private func accuracy(on batch: Batch, of sampler: EpisodeSampler) throws -> Double {
    let episode = try episode(batch, of: sampler, isTraining: false)
    try model.adapt(
      support: episode.support, labels: episode.supportLabels, ways: episode.ways,
      frozenFeatures: episode.frozenSupport, into: loss.task)
    return try withoutGradients {
      let prototypes = try Prototypes.means(
        of: model.features(episode.support, by: loss.task), labels: episode.supportLabels, ways: episode.ways)
      return try EpisodeLoss.accuracy(
        of: Prototypes.logits(model.features(episode.query, by: loss.task), prototypes), episode.queryTargets)
    }
  }

  private func note(_ validation: MetaValidation) throws {
    validations.append(validation)
    // The first of equals: a later one must be better.
    if configuration.keepsBest, validation.accuracy > best?.validation.accuracy ?? -1 {
      best = MetaResult.Best(validation: validation, state: try model.snapshot())
    }
    send(.validated(validation))
  }

  // MARK: Checkpoints

  private func resume() throws {
    guard let checkpoints = training.checkpoints,
      let saved = try MetaCheckpoint(lastOf: checkpoints, identity: identity)
    else { return }
    try model.restore(saved.model, isResumed: true)
    try optimizer?.restore(saved.optimizer())
    validations = saved.validations
    best = try saved.best()
    step = saved.step
    lastCheckpoint = saved.url
  }

  private func saveCheckpoint() throws {
    guard let checkpoints = training.checkpoints, lastCheckpoint != checkpoints.url(of: step) else { return }
    let url = try MetaCheckpoint.write(
      to: checkpoints, step: step, identity: identity, model: model, optimizer: optimizer?.state() ?? [],
      validations: validations, best: best)
    lastCheckpoint = url
    send(.checkpoint(url))
  }
}

/// α and ℓ of one task, as the hypernetwork's graph has them.
struct TaskRoute {
  var mixing: Tensor
  var logits: Tensor

  /// `⟨α, ∂L/∂α⟩ + penalty · mean ℓ²`, whose gradient with respect to the hypernetwork is that of the task's whole loss.
  func loss(toMixing gradient: [Double], logitPenalty: Double) throws -> Tensor {
    let direction = try Tensor(gradient).to(mixing.dtype).to(mixing.device)
    return try (mixing * direction).sum() + logits.squared().mean() * logitPenalty
  }
}

extension MetaValidation.Score {
  init(_ name: String, _ accuracies: [Double]) {
    let count = Double(accuracies.count)
    let mean = accuracies.reduce(0, +) / max(1, count)
    let squares = accuracies.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    self.init(
      name: name, accuracy: mean,
      interval: accuracies.count > 1 ? 1.96 * (squares / (count - 1) / count).squareRoot() : nil)
  }
}
