import Datasets
import Formats
import Training

extension MetaConfiguration: Codable {
  /// The names in files, all on one level but for those of `episodes`.
  enum Keys: String, CodingKey, CaseIterable {
    case method
    case preset
    case steps
    case tasksPerStep = "tasks_per_step"
    case episodes
    case experts
    case sparsity
    case lastBlocks = "last_blocks"
    case deltaRate = "delta_rate"
    case deltaMomentum = "delta_momentum"
    case deltaDecay = "delta_decay"
    case maskRatePerWeight = "mask_rate_per_weight"
    case maskClip = "mask_clip"
    case multiplierRate = "multiplier_rate"
    case hypernetworkRate = "hypernetwork_rate"
    case hypernetworkDecay = "hypernetwork_decay"
    case hypernetworkClip = "hypernetwork_clip"
    case logitPenalty = "logit_penalty"
    case schedule
    case warmup
    case temperatureStart = "temperature_start"
    case temperatureEnd = "temperature_end"
    case temperatureTasks = "temperature_tasks"
    case distillation
    case distillationTemperature = "distillation_temperature"
    case divergence
    case teacherSteps = "teacher_steps"
    case teacherRate = "teacher_rate"
    case distillsPretrained = "distills_pretrained"
    case innerRate = "inner_rate"
    case precision
    case seed
    case validationInterval = "validation_interval"
    case validationEpisodes = "validation_episodes"
    case keepsBest = "keeps_best"
    case checkpointInterval = "checkpoint_interval"
    case keptCheckpoints = "kept_checkpoints"
    case imageSize = "image_size"
    case augmentation
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

  /// - Throws: `MetaConfigurationError` for an unknown key or a value out of its range; `EpisodeError` for those of `episodes`;
  ///   `DecodingError` for a value of another type.
  public init(from decoder: any Decoder) throws {
    let names = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
    if let unknown = names.sorted().first(where: { Keys(rawValue: $0) == nil }) {
      throw MetaConfigurationError.unknownKey(
        unknown, suggestion: Suggestion.didYouMean(unknown, among: Self.keys))
    }
    let file = try decoder.container(keyedBy: Keys.self)
    self.init(
      try file.decodeIfPresent(MetaMethod.self, forKey: .method) ?? .smat,
      preset: try file.decodeIfPresent(MetaPreset.self, forKey: .preset) ?? .recommended)
    func read<Value: Decodable>(_ key: Keys, _ value: inout Value) throws {
      value = try file.decodeIfPresent(Value.self, forKey: key) ?? value
    }
    // Null is a value of its own for these: "none".
    func readOptional<Value: Decodable>(_ key: Keys, _ value: inout Value?) throws {
      if file.contains(key) { value = try file.decodeIfPresent(Value.self, forKey: key) }
    }
    try read(.steps, &steps)
    try read(.tasksPerStep, &tasksPerStep)
    try read(.episodes, &episodes)
    try read(.experts, &experts)
    try readOptional(.sparsity, &sparsity)
    try read(.lastBlocks, &lastBlocks)
    try read(.deltaRate, &deltaRate)
    try read(.deltaMomentum, &deltaMomentum)
    try read(.deltaDecay, &deltaDecay)
    try read(.maskRatePerWeight, &maskRatePerWeight)
    try read(.maskClip, &maskClip)
    try read(.multiplierRate, &multiplierRate)
    try read(.hypernetworkRate, &hypernetworkRate)
    try read(.hypernetworkDecay, &hypernetworkDecay)
    try read(.hypernetworkClip, &hypernetworkClip)
    try read(.logitPenalty, &logitPenalty)
    try read(.schedule, &schedule)
    try read(.warmup, &warmup)
    try read(.temperatureStart, &temperatureStart)
    try read(.temperatureEnd, &temperatureEnd)
    try readOptional(.temperatureTasks, &temperatureTasks)
    try read(.distillation, &distillation)
    try read(.distillationTemperature, &distillationTemperature)
    try read(.divergence, &divergence)
    try read(.teacherSteps, &teacherSteps)
    try read(.teacherRate, &teacherRate)
    try read(.distillsPretrained, &distillsPretrained)
    try readOptional(.innerRate, &innerRate)
    try read(.precision, &precision)
    try read(.seed, &seed)
    try read(.validationInterval, &validationInterval)
    try read(.validationEpisodes, &validationEpisodes)
    try read(.keepsBest, &keepsBest)
    try readOptional(.checkpointInterval, &checkpointInterval)
    try read(.keptCheckpoints, &keptCheckpoints)
    try read(.imageSize, &imageSize)
    try readOptional(.augmentation, &augmentation)
    try readOptional(.normalization, &normalization)
    try read(.badImages, &badImages)
    try validate()
  }

  /// Writes every setting, defaults too: what a run was started with can be read from its folder alone.
  public func encode(to encoder: any Encoder) throws {
    var file = encoder.container(keyedBy: Keys.self)
    try file.encode(method, forKey: .method)
    try file.encode(preset, forKey: .preset)
    try file.encode(steps, forKey: .steps)
    try file.encode(tasksPerStep, forKey: .tasksPerStep)
    try file.encode(episodes, forKey: .episodes)
    try file.encode(experts, forKey: .experts)
    try file.encode(sparsity, forKey: .sparsity)
    try file.encode(lastBlocks, forKey: .lastBlocks)
    try file.encode(deltaRate, forKey: .deltaRate)
    try file.encode(deltaMomentum, forKey: .deltaMomentum)
    try file.encode(deltaDecay, forKey: .deltaDecay)
    try file.encode(maskRatePerWeight, forKey: .maskRatePerWeight)
    try file.encode(maskClip, forKey: .maskClip)
    try file.encode(multiplierRate, forKey: .multiplierRate)
    try file.encode(hypernetworkRate, forKey: .hypernetworkRate)
    try file.encode(hypernetworkDecay, forKey: .hypernetworkDecay)
    try file.encode(hypernetworkClip, forKey: .hypernetworkClip)
    try file.encode(logitPenalty, forKey: .logitPenalty)
    try file.encode(schedule, forKey: .schedule)
    try file.encode(warmup, forKey: .warmup)
    try file.encode(temperatureStart, forKey: .temperatureStart)
    try file.encode(temperatureEnd, forKey: .temperatureEnd)
    try file.encode(temperatureTasks, forKey: .temperatureTasks)
    try file.encode(distillation, forKey: .distillation)
    try file.encode(distillationTemperature, forKey: .distillationTemperature)
    try file.encode(divergence, forKey: .divergence)
    try file.encode(teacherSteps, forKey: .teacherSteps)
    try file.encode(teacherRate, forKey: .teacherRate)
    try file.encode(distillsPretrained, forKey: .distillsPretrained)
    try file.encode(innerRate, forKey: .innerRate)
    try file.encode(precision, forKey: .precision)
    try file.encode(seed, forKey: .seed)
    try file.encode(validationInterval, forKey: .validationInterval)
    try file.encode(validationEpisodes, forKey: .validationEpisodes)
    try file.encode(keepsBest, forKey: .keepsBest)
    try file.encode(checkpointInterval, forKey: .checkpointInterval)
    try file.encode(keptCheckpoints, forKey: .keptCheckpoints)
    try file.encode(imageSize, forKey: .imageSize)
    try file.encode(augmentation, forKey: .augmentation)
    try file.encode(normalization, forKey: .normalization)
    try file.encode(badImages, forKey: .badImages)
  }
}
