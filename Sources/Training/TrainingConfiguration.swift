import Datasets
import Formats
import Foundation

/// Everything that decides how a run trains, with its default.
///
/// Read from a file, a key left out keeps the default below and an unknown key is refused. `paper` is the recipe of the
/// Mixture-of-Adapters paper.
public struct TrainingConfiguration: Sendable, Hashable {
  /// Optimizer steps.
  public var steps = 1_000
  /// Images of each source domain in one step, drawn uniformly with replacement.
  public var batchPerDomain = 32
  /// The learning rate before schedule and multipliers.
  public var learningRate = 5e-5
  /// The classifier's learning rate is `learningRate` times this.
  public var headRateMultiplier = 1.0
  public var optimizer = OptimizerSettings()
  public var schedule = LearningRateSchedule.constant
  /// The passes one batch is cut into: less memory, the same gradient but for rounding and, for auxiliary losses, which
  /// are not linear in the batch, their mean over the passes.
  public var accumulation = 1
  /// The largest norm of all gradients together; nil leaves them as they are.
  public var clip: Double?
  public var precision = Precision.float32
  /// Whether the losses that adapters add (load balancing of a mixture) count.
  public var auxiliaryLoss = true
  /// Probability taken from the label and spread over all classes, 0..<1.
  public var labelSmoothing = 0.0

  /// Which of the adapter's weights train; nil for all of them.
  public var sparsity: SparsitySettings?

  /// Steps between evaluations; the last step is always evaluated.
  public var evaluationInterval = 200
  /// Whether to evaluate before the first step too.
  public var evaluatesAtStart = false
  /// Whether to measure the accuracy on the images trained on. Selection does not need it, and there are four times as
  /// many as held out.
  public var scoresTrainingImages = false
  /// Images in one forward pass of an evaluation. Changes no score but for rounding.
  public var evaluationBatch = 64
  /// Steps between checkpoints; nil writes none but, where there is a folder for them, the last.
  public var checkpointInterval: Int?
  /// Checkpoints kept; older ones go once a newer one is complete.
  public var keptCheckpoints = 2

  /// Seeds the head, dropout, router noise, the order of data and augmentation: everything but the split.
  public var seed: UInt64 = 0
  /// DomainBed's `trial_seed`: seeds the split of each domain.
  public var trialSeed = 0
  /// The fraction of each domain held out, 0...1.
  public var holdout = 0.2

  /// Side of the square images, pixels.
  public var imageSize = 224
  /// What is varied in a training image; nil trains on the images as they are evaluated.
  public var augmentation: TrainingTransform.Settings? = TrainingTransform.Settings()
  /// For a model whose classifier alone trains: how many augmented views of each image are computed once and drawn from.
  /// 0 augments afresh at every step, as for other models, at the price of a backbone pass for each.
  public var cachedViews = 0
  /// Per-channel mean and deviation; nil takes those that the backbone was trained with.
  public var normalization: Normalization?
  public var badImages = BadSamplePolicy.error

  public enum Precision: String, Sendable, Hashable, Codable, CaseIterable {
    case float32
    /// Matrix products in bfloat16, parameters, losses and moments in float32.
    case bfloat16
  }

  public init() {}

  public init(steps: Int, seed: UInt64 = 0) {
    self.steps = steps
    self.seed = seed
  }

  /// The recipe of Lee et al. 2023, arXiv:2310.11031, as its code has it: 5,001 steps of Adam at 5e-5, constant, 32 images
  /// of each source domain, evaluated every 200 steps on both splits of every domain. That code evaluates after 1, 201, …
  /// steps; here it is after 0, 200, … and after the last.
  public static let paper = {
    var recipe = TrainingConfiguration(steps: 5_001)
    recipe.evaluatesAtStart = true
    recipe.scoresTrainingImages = true
    return recipe
  }()

  /// - Throws: `TrainingConfigurationError.range` naming the first setting out of its range.
  public func validate() throws(TrainingConfigurationError) {
    func check(_ key: Keys, _ isAllowed: Bool, _ value: some CustomStringConvertible, _ allowed: String)
      throws(TrainingConfigurationError)
    {
      if !isAllowed { throw .range(key: key.rawValue, value: "\(value)", allowed: allowed) }
    }
    func count(_ key: Keys, _ value: Int, in range: ClosedRange<Int>) throws(TrainingConfigurationError) {
      try check(key, range.contains(value), value, "\(range.lowerBound) to \(range.upperBound)")
    }
    let many = 1_000_000_000
    try count(.steps, steps, in: 1...many)
    try count(.batchPerDomain, batchPerDomain, in: 1...65_536)
    try check(.learningRate, learningRate > 0 && learningRate.isFinite, learningRate, "a number above 0")
    try check(
      .headRateMultiplier, headRateMultiplier >= 0 && headRateMultiplier.isFinite, headRateMultiplier, "0 or more")
    try check(.beta1, (0..<1).contains(optimizer.beta1), optimizer.beta1, "0 to below 1")
    try check(.beta2, (0..<1).contains(optimizer.beta2), optimizer.beta2, "0 to below 1")
    try check(.epsilon, optimizer.epsilon > 0 && optimizer.epsilon.isFinite, optimizer.epsilon, "a number above 0")
    try check(
      .weightDecay, optimizer.weightDecay >= 0 && optimizer.weightDecay.isFinite, optimizer.weightDecay, "0 or more")
    try count(.warmup, schedule.warmup, in: 0...many)
    try check(.rateFloor, (0...1).contains(schedule.floor), schedule.floor, "0 to 1")
    try check(.rateStart, (0...1).contains(schedule.start), schedule.start, "0 to 1")
    try count(.epoch, schedule.epoch, in: 1...many)
    try count(.accumulation, accumulation, in: 1...65_536)
    if let clip { try check(.clip, clip > 0 && clip.isFinite, clip, "a number above 0, or null for none") }
    try check(.labelSmoothing, (0..<1).contains(labelSmoothing), labelSmoothing, "0 to below 1")
    try sparsity?.validate()
    try count(.evaluationInterval, evaluationInterval, in: 1...many)
    try count(.evaluationBatch, evaluationBatch, in: 1...65_536)
    if let checkpointInterval { try count(.checkpointInterval, checkpointInterval, in: 1...many) }
    try count(.keptCheckpoints, keptCheckpoints, in: 1...many)
    // Files hold whole numbers of 63 bits.
    try check(.seed, seed <= UInt64(Int.max), seed, "0 to \(Int.max)")
    try check(.holdout, holdout > 0 && holdout < 1, holdout, "above 0 and below 1")
    try count(.imageSize, imageSize, in: 1...8_192)
    try count(.cachedViews, cachedViews, in: 0...1_024)
  }
}

public enum TrainingConfigurationError: Error, Equatable, CustomStringConvertible {
  case unknownKey(String, suggestion: String)
  case range(key: String, value: String, allowed: String)

  public var description: String {
    switch self {
    case .unknownKey(let key, let suggestion): "Training has no setting '\(key)'.\(suggestion)"
    case .range(let key, let value, let allowed): "'\(key)' cannot be \(value). Give \(allowed)."
    }
  }
}
