import Adapters
import Datasets
import Foundation
import NeuralNetworks
import Reports
import Tensors

/// What a run is going to do, worked out before it does any of it.
public struct Plan: Sendable {
  /// An adapted place, a row of the table.
  public struct AdaptedSite: Sendable, Equatable {
    public let name: String
    public let inFeatures: Int
    public let outFeatures: Int
    /// Trainable numbers whose names begin with the site's; what sites share is in none.
    public let parameters: Int
  }

  public let sites: [AdaptedSite]
  /// Adapter and classifier.
  public let parameters: ParameterCount
  public let adapterParameters: Int
  public let headParameters: Int
  public let memory: MemoryEstimate
  /// Examples in one step.
  public let batch: Int
  public let steps: Int
  /// nil until steps have been timed.
  public let time: TimeEstimate?

  /// What a training step is expected to hold, in bytes, of 4 a number.
  ///
  /// - weights: the backbone's tensors.
  /// - training: four times the trainable numbers: values, gradients, and Adam's two moments.
  /// - activations: inputs in one pass × tokens, of texts those of the longest, × Σ (in + out) over the linear maps from the first adapted block on, which
  ///   stands for what attention, GELU and LayerNorm keep for the backward pass as well; and once more for the largest
  ///   block, the one at work. Where the classifier alone trains, that one is all.
  public struct MemoryEstimate: Sendable, Equatable {
    public var weights: Int
    public var training: Int
    public var activations: Int
    public var total: Int { weights + training + activations }
  }

  /// Seconds, from steps that were timed.
  public struct TimeEstimate: Sendable, Equatable {
    public var perStep: Double
    public var perEvaluatedImage: Double
    /// Steps and evaluations together; data loading is assumed to keep up, and stored features to fit.
    public var total: Double
  }

  /// - Parameters:
  ///   - examples: what the run trains on.
  ///   - fold: with which split.
  public init(
    of model: AdaptedModel, on examples: any Examples, fold: Fold, configuration: TrainingConfiguration
  ) throws {
    try self.init(of: model, on: examples, fold: fold, configuration: configuration, time: nil)
  }

  private init(
    of model: AdaptedModel, on examples: any Examples, fold: Fold, configuration: TrainingConfiguration,
    time: TimeEstimate?
  ) throws {
    let parameters = model.adapter.parameters
    sites = model.adapter.sites.map { site in
      let own = parameters.filter { $0.name.hasPrefix(site.name + ".") }
      return AdaptedSite(
        name: site.name, inFeatures: site.inFeatures, outFeatures: site.outFeatures,
        parameters: own.reduce(0) { $0 + $1.count })
    }
    adapterParameters = model.adapter.parameterCount
    headParameters = model.head?.parameters.reduce(0) { $0 + $1.count } ?? 0
    let trainable = adapterParameters + headParameters
    // A tuned tensor of the backbone stands in place of the frozen one and is counted once.
    let names = Set(model.backbone.tensors.map(\.name))
    let tuned = parameters.filter { names.contains($0.name) }.reduce(0) { $0 + $1.count }
    self.parameters = ParameterCount(
      trainable: trainable, total: model.backbone.parameterCount - tuned + trainable)
    batch = fold.sources.count * configuration.batchPerDomain
    steps = configuration.steps
    let tokens = examples.lengths?.max() ?? model.backbone.tokenCount(imageSize: configuration.imageSize)
    memory = Self.memory(of: model, trainable: trainable, batch: batch, tokens: tokens, configuration)
    self.time = time
  }

  /// The plan with a time estimate, from two training steps and one evaluation batch on the first batches of the run.
  ///
  /// The first step is a warm-up and not counted. No parameter changes, and no generator of the run moves.
  @Compute
  public static func timed(
    _ model: AdaptedModel, on examples: any Examples, fold: Fold, configuration: TrainingConfiguration
  ) async throws -> Plan {
    let sampler = try examples.trainingPlan(
      for: fold, perDomain: configuration.batchPerDomain, seed: configuration.seed)
    let noise = try Generator(seed: configuration.seed)
    var perStep = 0.0
    var perImage = 0.0
    for try await batch in examples.batches(of: sampler, steps: 0..<2, for: .training(seed: configuration.seed)) {
      try Task.checkCancellation()
      let clock = ContinuousClock.now
      for part in try batch.parts(configuration.accumulation) {
        try TrainingLoop.loss(of: part, model, .training(noise), configuration).0.backward()
      }
      perStep = (ContinuousClock.now - clock) / .seconds(1)
      let evaluating = ContinuousClock.now
      try withoutGradients {
        _ = try TrainingLoop.loss(of: batch.parts(2)[0], model, .evaluation, configuration)
      }
      perImage = (ContinuousClock.now - evaluating) / .seconds(1) / Double(try batch.parts(2)[0].count)
    }
    for parameter in model.parameters { try parameter.value.setGradient(nil) }
    let images = fold.parts.enumerated().reduce(0) { sum, domain in
      let whole = domain.offset == fold.target || configuration.scoresTrainingImages
      return sum + domain.element.out.count + (whole ? domain.element.in.count : 0)
    }
    let evaluations =
      (configuration.steps + configuration.evaluationInterval - 1) / configuration.evaluationInterval
      + (configuration.evaluatesAtStart ? 1 : 0)
    var training = Double(configuration.steps) * perStep
    var evaluating = Double(evaluations * images) * perImage
    if model.adapter.stored.isEmpty {
      // A classifier alone: every image once, and once for each view.
      let all = Double(examples.labels.count) * perImage
      evaluating = all
      if !examples.varies || configuration.cachedViews > 0 {
        training = examples.varies ? Double(configuration.cachedViews) * all : 0
      }
    }
    let total = training + evaluating
    return try Plan(
      of: model, on: examples, fold: fold, configuration: configuration,
      time: TimeEstimate(perStep: perStep, perEvaluatedImage: perImage, total: total))
  }

  private static func memory(
    of model: AdaptedModel, trainable: Int, batch: Int, tokens: Int, _ configuration: TrainingConfiguration
  ) -> MemoryEstimate {
    let bytes = 4
    let backbone = model.backbone
    let weights = backbone.tensors.reduce(0) { $0 + $1.tensor.count * $1.tensor.dtype.size }
    let images = (batch + configuration.accumulation - 1) / configuration.accumulation
    // The earliest block that anything of the adapter belongs to; parameters of no block are below all of them.
    let blocks = model.adapter.parameters.map { parameter in
      backbone.sites.first { site in site.block.map { parameter.name.hasPrefix("blocks.\($0).") } ?? false }?.block ?? 0
    }
    let first = (model.adapter.sites.compactMap(\.block) + blocks).min()
    func width(_ site: Site) -> Int { site.inFeatures + site.outFeatures }
    let kept = backbone.sites.filter { site in
      guard !model.adapter.parameters.isEmpty else { return false }
      return (site.block ?? 0) >= (first ?? 0)
    }
    let byBlock = Dictionary(grouping: backbone.sites, by: \.block).mapValues { $0.reduce(0) { $0 + width($1) } }
    let atWork = byBlock.values.max() ?? backbone.featureWidth
    let numbers = atWork + kept.reduce(0) { $0 + width($1) }
    let activations = images * tokens * numbers * bytes
    return MemoryEstimate(weights: weights, training: 4 * trainable * bytes, activations: activations)
  }
}

extension Backbone {
  /// Tokens that a block works on for one input; 1 for a backbone that is not a transformer known here.
  func tokenCount(imageSize: Int) -> Int {
    guard let transformer = self as? VisionTransformer else { return 1 }
    let grid = max(1, imageSize / max(1, transformer.configuration.patchSize))
    return grid * grid + transformer.prefixTokens
  }
}
