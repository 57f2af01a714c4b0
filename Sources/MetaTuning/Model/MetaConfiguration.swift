import Datasets
import Foundation
import Training

/// Everything that decides how a run of meta-tuning trains, with its default.
///
/// The defaults are those of `MetaConfiguration(.smat, preset: .recommended)`. Read from a file, `method` and `preset` are taken
/// first, a key left out keeps what they give it, and an unknown key is refused.
public struct MetaConfiguration: Sendable, Hashable {
  public let method: MetaMethod
  public let preset: MetaPreset

  /// Optimizer steps.
  public var steps = 2_000
  /// Episodes of one step; the loss is the mean of theirs.
  public var tasksPerStep = 4
  public var episodes = EpisodeSettings.metaDataset

  // MARK: Experts

  /// `M`
  public var experts = 8
  /// `τ`, the fraction of each mask that is to be exactly 0, above 0 and below 1; nil leaves the masks unconstrained.
  public var sparsity: Double? = 0.9
  /// How many blocks train, of `MetaMethod.lastBlocks`.
  public var lastBlocks = 3

  // MARK: Rates

  /// Of the offsets, before the schedule. The one rate to sweep: what is good depends on the backbone. A ViT-S/14 gained at 1e-5 and
  /// lost at 1e-4 what it knew; one of 0.2 million weights was best near 1e-2 (`docs/results.md`).
  public var deltaRate = 1e-5
  public var deltaMomentum = 0.9
  public var deltaDecay = 1e-4
  /// `κ`: the rate of the mask logits divided by the number of weights, since the constraint's gradient has that number below it.
  public var maskRatePerWeight = 0.4
  /// The largest norm of the gradient of all mask logits together.
  public var maskClip = 5.0
  /// `η_λ`, of the multipliers of the constraints.
  public var multiplierRate = 0.02
  /// Of AdamW, for the hypernetwork.
  public var hypernetworkRate = 1e-3
  public var hypernetworkDecay = 1e-2
  /// The largest norm of the hypernetwork's gradient.
  public var hypernetworkClip = 1.0
  /// What the mean square of a task's routing logits is weighted with.
  public var logitPenalty = 1e-4
  public var schedule = MetaSchedule.cosine
  /// The part of the steps over which the rates rise, 0..<1; of effect on `.cosine` and `.constant`.
  public var warmup = 0.1

  // MARK: Routing

  /// `T` of a task's mixing weights at the start: `T = max(end, start − (start − end) · n / tasks)` after `n` tasks.
  public var temperatureStart = 5.0
  public var temperatureEnd = 0.5
  /// Tasks after which the temperature has reached its end; nil takes 36 % of the run's, as 18,000 are of the authors' 50,000.
  public var temperatureTasks: Int?

  // MARK: Distillation

  /// The share of the loss that is distillation, 0...1; the rest is the query's cross-entropy. 0 makes no teacher.
  public var distillation = 0.25
  /// That student's and teacher's logits are divided by.
  public var distillationTemperature = 2.0
  public var divergence = Divergence.forward
  /// Steps of gradient descent on the query set that make a task's teacher of its student.
  public var teacherSteps = 1
  public var teacherRate = 5e-3
  /// Whether half of the distillation is from the pretrained model.
  public var distillsPretrained = false
  /// The rate of one step on the support set before the query loss; nil takes none.
  public var innerRate: Double?

  // MARK: The run

  public var precision = TrainingConfiguration.Precision.float32
  /// Seeds masks, hypernetwork, episodes and routing noise.
  public var seed: UInt64 = 0
  /// Steps between validations; the last step is always validated.
  public var validationInterval = 500
  /// Episodes of each validation set, the same ones each time and for every method.
  public var validationEpisodes = 120
  /// Whether the state of the best validation is kept beside the last one; it takes as much memory as what trains.
  public var keepsBest = true
  /// Steps between checkpoints; nil writes none but, where there is a folder for them, the last.
  public var checkpointInterval: Int?
  /// Checkpoints kept; older ones go once a newer one is complete.
  public var keptCheckpoints = 2

  // MARK: Images

  /// Side of the square images, pixels.
  public var imageSize = 128
  /// What is varied in an image of a training episode; nil trains on images as they are tested, whose frozen features are then
  /// computed once.
  public var augmentation: TrainingTransform.Settings? = Self.paperAugmentation
  /// Per-channel mean and deviation; nil takes those that the backbone was trained with.
  public var normalization: Normalization?
  public var badImages = BadSamplePolicy.error

  public init(_ method: MetaMethod, preset: MetaPreset = .recommended) {
    self.method = method
    self.preset = preset
    if preset != .recommended {
      // The authors' configuration for DINO ViT-S/16.
      steps = 12_500
      deltaRate = 1e-4
      maskRatePerWeight = 1e6 / 21_665_664
      multiplierRate = 2e-3
      hypernetworkRate = 1e-4
      schedule = .officialEpochs
      temperatureTasks = 18_000
    }
    if preset == .officialCode {
      divergence = .reverse
      distillsPretrained = true
      innerRate = 1e-3
    }
    if method == .pmf {
      distillation = 0
      distillsPretrained = false
      innerRate = nil
      // PMF's code. Where methods are compared, `recommended` keeps one decay and one rate for all.
      if preset != .recommended {
        deltaRate = 5e-5
        deltaDecay = 0
      }
    }
  }

  /// Training images of PMF and SMAT: a crop of 8 to 100 % of the area, mirrored or not, colours by factors of 0.6 to 1.4.
  public static let paperAugmentation = {
    var settings = TrainingTransform.Settings()
    settings.area = 0.08...1
    settings.brightness = 0.4
    settings.contrast = 0.4
    settings.saturation = 0.4
    settings.hue = 0
    settings.grayscaleProbability = 0
    return settings
  }()

  // MARK: What follows from them

  /// Experts that a task mixes: 0 for one dense offset, 1 for one fixed or single mask.
  public var expertCount: Int {
    switch method {
    case .pmf: 0
    case .smat, .softMerge, .randomMasks: experts
    case .singleExpert, .biasAndNorms, .attention, .lastBlocks: 1
    }
  }

  /// Whether a task's mixing weights come from a hypernetwork. The published code has one for a single expert too, which it
  /// then scales by a sigmoid; elsewhere a single expert is used whole.
  public var isRouted: Bool { method.isRouted && (experts > 1 || preset == .officialCode) }

  /// What every learning rate is multiplied with at a step, counted from 0.
  public func rateFactor(atStep step: Int) -> Double {
    schedule.factor(atStep: step, of: steps, tasksPerStep: tasksPerStep, warmup: warmup)
  }

  /// `T` for the task after `tasks` others.
  public func temperature(after tasks: Int) -> Double {
    let length = Double(max(1, temperatureTasks ?? Int(0.36 * Double(steps) * Double(tasksPerStep))))
    return max(temperatureEnd, temperatureStart - (temperatureStart - temperatureEnd) * Double(tasks) / length)
  }

  /// - Throws: `MetaConfigurationError.range` naming the first setting out of its range; `EpisodeError`.
  public func validate() throws {
    func check(_ key: Keys, _ isAllowed: Bool, _ value: some CustomStringConvertible, _ allowed: String)
      throws(MetaConfigurationError)
    {
      if !isAllowed { throw .range(key: key.rawValue, value: "\(value)", allowed: allowed) }
    }
    func count(_ key: Keys, _ value: Int, in range: ClosedRange<Int>) throws(MetaConfigurationError) {
      try check(key, range.contains(value), value, "\(range.lowerBound) to \(range.upperBound)")
    }
    func positive(_ key: Keys, _ value: Double) throws(MetaConfigurationError) {
      try check(key, value > 0 && value.isFinite, value, "a number above 0")
    }
    func notNegative(_ key: Keys, _ value: Double) throws(MetaConfigurationError) {
      try check(key, value >= 0 && value.isFinite, value, "0 or more")
    }
    let many = 1_000_000_000
    try count(.steps, steps, in: 1...many)
    try count(.tasksPerStep, tasksPerStep, in: 1...1_024)
    try episodes.validate()
    try count(.experts, experts, in: 1...256)
    if let sparsity {
      try check(
        .sparsity, sparsity > 0 && sparsity < 1, sparsity,
        "the fraction of each mask to be zero, above 0 and below 1, or null for masks that train without a target")
    }
    try count(.lastBlocks, lastBlocks, in: 1...10_000)
    try positive(.deltaRate, deltaRate)
    try check(.deltaMomentum, (0..<1).contains(deltaMomentum), deltaMomentum, "0 to below 1")
    try notNegative(.deltaDecay, deltaDecay)
    try positive(.maskRatePerWeight, maskRatePerWeight)
    try positive(.maskClip, maskClip)
    try positive(.multiplierRate, multiplierRate)
    try positive(.hypernetworkRate, hypernetworkRate)
    try notNegative(.hypernetworkDecay, hypernetworkDecay)
    try positive(.hypernetworkClip, hypernetworkClip)
    try notNegative(.logitPenalty, logitPenalty)
    guard schedule != .officialEpochs || (steps - 1) * tasksPerStep >= MetaSchedule.officialEpoch else {
      throw MetaConfigurationError.nothingTrains(tasks: steps * tasksPerStep, epoch: MetaSchedule.officialEpoch)
    }
    try check(.warmup, (0..<1).contains(warmup), warmup, "0 to below 1")
    try positive(.temperatureStart, temperatureStart)
    try check(
      .temperatureEnd, temperatureEnd > 0 && temperatureEnd <= temperatureStart, temperatureEnd,
      "a number above 0, no more than 'temperature_start'")
    if let temperatureTasks { try count(.temperatureTasks, temperatureTasks, in: 1...many) }
    try check(.distillation, (0...1).contains(distillation), distillation, "0 to 1")
    try positive(.distillationTemperature, distillationTemperature)
    try count(.teacherSteps, teacherSteps, in: 1...1_000)
    try positive(.teacherRate, teacherRate)
    if let innerRate { try positive(.innerRate, innerRate) }
    // Files hold whole numbers of 63 bits.
    try check(.seed, seed <= UInt64(Int.max), seed, "0 to \(Int.max)")
    try count(.validationInterval, validationInterval, in: 1...many)
    try count(.validationEpisodes, validationEpisodes, in: 1...many)
    if let checkpointInterval { try count(.checkpointInterval, checkpointInterval, in: 1...many) }
    try count(.keptCheckpoints, keptCheckpoints, in: 1...many)
    try count(.imageSize, imageSize, in: 1...8_192)
  }
}

public enum MetaConfigurationError: Error, Equatable, CustomStringConvertible {
  case unknownKey(String, suggestion: String)
  case range(key: String, value: String, allowed: String)
  case nothingTrains(tasks: Int, epoch: Int)

  public var description: String {
    switch self {
    case .unknownKey(let key, let suggestion): "Meta-tuning has no setting '\(key)'.\(suggestion)"
    case .range(let key, let value, let allowed): "'\(key)' cannot be \(value). Give \(allowed)."
    case .nothingTrains(let tasks, let epoch):
      """
      The schedule official_epochs has rates of 0 for the first \(epoch) tasks, and the run ends after \(tasks). Give more steps, \
      or another schedule: cosine.
      """
    }
  }
}
