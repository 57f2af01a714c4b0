import Datasets
import Formats

extension TrainingConfiguration: Codable {
  /// The names in files, all on one level.
  enum Keys: String, CodingKey, CaseIterable {
    case steps
    case batchPerDomain = "batch_per_domain"
    case learningRate = "learning_rate"
    case headRateMultiplier = "head_rate_multiplier"
    case optimizer
    case beta1
    case beta2
    case epsilon
    case weightDecay = "weight_decay"
    case schedule
    case warmup
    case rateFloor = "rate_floor"
    case rateStart = "rate_start"
    case epoch
    case accumulation
    case clip
    case precision
    case auxiliaryLoss = "auxiliary_loss"
    case labelSmoothing = "label_smoothing"
    case sparsity
    case evaluationInterval = "evaluation_interval"
    case evaluatesAtStart = "evaluates_at_start"
    case scoresTrainingImages = "scores_training_images"
    case evaluationBatch = "evaluation_batch"
    case checkpointInterval = "checkpoint_interval"
    case keptCheckpoints = "kept_checkpoints"
    case seed
    case trialSeed = "trial_seed"
    case holdout
    case imageSize = "image_size"
    case augmentation
    case cachedViews = "cached_views"
    case normalization
    case badImages = "bad_images"
  }

  /// The names that a file may use.
  public static var keys: [String] { Keys.allCases.map(\.rawValue) }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// - Throws: `TrainingConfigurationError` for an unknown key or a value out of its range; `DecodingError` for a value of
  ///   another type.
  public init(from decoder: any Decoder) throws {
    let names = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
    if let unknown = names.sorted().first(where: { Keys(rawValue: $0) == nil }) {
      throw TrainingConfigurationError.unknownKey(
        unknown, suggestion: Suggestion.didYouMean(unknown, among: Self.keys))
    }
    let file = try decoder.container(keyedBy: Keys.self)
    func read<Value: Decodable>(_ key: Keys, _ value: inout Value) throws {
      value = try file.decodeIfPresent(Value.self, forKey: key) ?? value
    }
    // Null is a value of its own for these: "none".
    func readOptional<Value: Decodable>(_ key: Keys, _ value: inout Value?) throws {
      if file.contains(key) { value = try file.decodeIfPresent(Value.self, forKey: key) }
    }
    try read(.steps, &steps)
    try read(.batchPerDomain, &batchPerDomain)
    try read(.learningRate, &learningRate)
    try read(.headRateMultiplier, &headRateMultiplier)
    try read(.optimizer, &optimizer.kind)
    try read(.beta1, &optimizer.beta1)
    try read(.beta2, &optimizer.beta2)
    try read(.epsilon, &optimizer.epsilon)
    try read(.weightDecay, &optimizer.weightDecay)
    try read(.schedule, &schedule.shape)
    try read(.warmup, &schedule.warmup)
    try read(.rateFloor, &schedule.floor)
    try read(.rateStart, &schedule.start)
    try read(.epoch, &schedule.epoch)
    try read(.accumulation, &accumulation)
    try readOptional(.clip, &clip)
    try read(.precision, &precision)
    try read(.auxiliaryLoss, &auxiliaryLoss)
    try read(.labelSmoothing, &labelSmoothing)
    try readOptional(.sparsity, &sparsity)
    try read(.evaluationInterval, &evaluationInterval)
    try read(.evaluatesAtStart, &evaluatesAtStart)
    try read(.scoresTrainingImages, &scoresTrainingImages)
    try read(.evaluationBatch, &evaluationBatch)
    try readOptional(.checkpointInterval, &checkpointInterval)
    try read(.keptCheckpoints, &keptCheckpoints)
    try read(.seed, &seed)
    try read(.trialSeed, &trialSeed)
    try read(.holdout, &holdout)
    try read(.imageSize, &imageSize)
    try readOptional(.augmentation, &augmentation)
    try read(.cachedViews, &cachedViews)
    try readOptional(.normalization, &normalization)
    try read(.badImages, &badImages)
    try validate()
  }

  /// Writes every setting, defaults too: what a run was started with can be read from its folder alone.
  public func encode(to encoder: any Encoder) throws {
    var file = encoder.container(keyedBy: Keys.self)
    try file.encode(steps, forKey: .steps)
    try file.encode(batchPerDomain, forKey: .batchPerDomain)
    try file.encode(learningRate, forKey: .learningRate)
    try file.encode(headRateMultiplier, forKey: .headRateMultiplier)
    try file.encode(optimizer.kind, forKey: .optimizer)
    try file.encode(optimizer.beta1, forKey: .beta1)
    try file.encode(optimizer.beta2, forKey: .beta2)
    try file.encode(optimizer.epsilon, forKey: .epsilon)
    try file.encode(optimizer.weightDecay, forKey: .weightDecay)
    try file.encode(schedule.shape, forKey: .schedule)
    try file.encode(schedule.warmup, forKey: .warmup)
    try file.encode(schedule.floor, forKey: .rateFloor)
    try file.encode(schedule.start, forKey: .rateStart)
    try file.encode(schedule.epoch, forKey: .epoch)
    try file.encode(accumulation, forKey: .accumulation)
    try file.encode(clip, forKey: .clip)
    try file.encode(precision, forKey: .precision)
    try file.encode(auxiliaryLoss, forKey: .auxiliaryLoss)
    try file.encode(labelSmoothing, forKey: .labelSmoothing)
    try file.encode(sparsity, forKey: .sparsity)
    try file.encode(evaluationInterval, forKey: .evaluationInterval)
    try file.encode(evaluatesAtStart, forKey: .evaluatesAtStart)
    try file.encode(scoresTrainingImages, forKey: .scoresTrainingImages)
    try file.encode(evaluationBatch, forKey: .evaluationBatch)
    try file.encode(checkpointInterval, forKey: .checkpointInterval)
    try file.encode(keptCheckpoints, forKey: .keptCheckpoints)
    try file.encode(seed, forKey: .seed)
    try file.encode(trialSeed, forKey: .trialSeed)
    try file.encode(holdout, forKey: .holdout)
    try file.encode(imageSize, forKey: .imageSize)
    try file.encode(augmentation, forKey: .augmentation)
    try file.encode(cachedViews, forKey: .cachedViews)
    try file.encode(normalization, forKey: .normalization)
    try file.encode(badImages, forKey: .badImages)
  }
}
