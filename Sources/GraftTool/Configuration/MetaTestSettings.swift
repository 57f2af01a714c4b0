import Adapters
import Datasets
import Formats
import Foundation
import MetaTuning
import NeuralNetworks
import Training

/// What `graft meta test` does. In a file, beside network and data as in `FewShotSettings`:
///
/// ```yaml
/// datasets: [scripts, digits]       # by default all that have test classes
/// in_domain: [scripts]              # by default those that the first model records to be trained on
/// episodes: {ways: 5, shots: 5, queries: 10}   # by default those of the first model's training
/// test_episodes: 600                # of each data set
/// test_seed: 0
/// mode: fine-tuning                 # gradient-free, adapter; an adapter that is named implies the last
/// adapter: {method: lora, settings: {rank: 8}, targets: [query, value]}
/// tuning_steps: 50
/// flips: false                      # whether tuning mirrors images
/// rate_search: folds                # other-classes, official, fixed
/// rates: [0, 1e-4, 1e-3, 1e-2]     # taken as they are; by default these, or ten times them for an adapter
/// folds: 5
/// search_episodes: 5
/// output: runs/test
/// ```
struct MetaTestSettings: Sendable {
  var fewShot: FewShotSettings
  var datasets: [String]?
  /// nil for those that the first model was trained on.
  var inDomain: [String]?
  /// Those that the first model's run names, for models that do not record theirs; nil for those that have training classes.
  var training: [String]?
  var episodes: EpisodeSettings
  var count: Int
  var seed: UInt64
  var tuning: Tuning?
  var output: URL?

  /// How a task's network is tuned.
  struct Tuning: Sendable {
    /// Whether an adapter over the task's weights, and not the weights themselves.
    var tunesAdapter: Bool
    /// nil for the usual one.
    var adapter: Method?
    var steps: Int
    var flips: Bool
    var search: Search
    var rates: [Double]
    /// What `rates` are multiplied by: 1 unless they are the usual ones, which are of full fine-tuning.
    var rateFactor: Double
    var folds: Int
    var searchEpisodes: Int
  }

  enum Search: String, CaseIterable, Sendable {
    case folds
    case otherClasses = "other-classes"
    case official
    case fixed
  }

  private static let modes = ["gradient-free", "fine-tuning", "adapter"]
  static let own = [
    "datasets", "in_domain", "episodes", "test_episodes", "test_seed", "mode", "adapter", "tuning_steps", "flips",
    "rate_search", "rates", "folds", "search_episodes", "output",
  ]
  static let keys = FewShotSettings.keys + own
  /// What is of no effect where nothing is tuned.
  private static let ofTuning = ["rate_search", "rates", "tuning_steps", "flips", "folds", "search_episodes"]

  init(_ section: Section) throws {
    fewShot = try FewShotSettings(section)
    datasets = try section.strings("datasets")
    inDomain = try section.strings("in_domain")
    training = try section.strings("training")
    episodes = try section.episodes() ?? .metaDataset
    func count(_ key: String, _ standard: Int, least: Int = 1) throws -> Int {
      let value = try section.integer(key) ?? standard
      guard (least...1_000_000).contains(value) else {
        throw ConfigurationError.value(place: section.place(key), problem: "'\(key)' must be \(least) to 1000000.")
      }
      return value
    }
    self.count = try count("test_episodes", 600)
    seed = try section.seed("test_seed") ?? 0
    output = try section.string("output").map(AssetFolder.path)
    let mode = try section.string("mode") ?? (section.has("adapter") ? "adapter" : "gradient-free")
    guard Self.modes.contains(mode) else {
      throw ConfigurationError.value(
        place: section.place("mode"),
        problem: "there is no mode '\(mode)'.\(Suggestion.didYouMean(mode, among: Self.modes)) "
          + "The modes are \(Self.modes.joined(separator: ", ")).")
    }
    if mode != "adapter", section.has("adapter") {
      throw ConfigurationError.value(
        place: section.place("adapter"),
        problem:
          "mode \(mode) trains no adapter. Leave the mode out, for an adapter that is named implies it, or the adapter."
      )
    }
    guard mode != "gradient-free" else {
      if let idle = Self.ofTuning.first(where: section.has) {
        throw ConfigurationError.value(
          place: section.place(idle),
          problem: "'\(idle)' is a setting of tuning, and mode gradient-free tunes nothing. "
            + "Add --mode fine-tuning, --mode adapter or --adapter.")
      }
      return
    }
    let spelled = try section.string("rate_search") ?? Search.folds.rawValue
    guard let search = Search(rawValue: spelled) else {
      let known = Search.allCases.map(\.rawValue)
      throw ConfigurationError.value(
        place: section.place("rate_search"),
        problem: "there is no search '\(spelled)'.\(Suggestion.didYouMean(spelled, among: known)) "
          + "Rates are found by \(known.joined(separator: ", ")).")
    }
    let usual = search == .official ? RateSearch.officialCandidates : RateSearch.usualCandidates
    let rates = try section.numbers("rates") ?? usual
    guard !rates.isEmpty, rates.allSatisfy({ $0 >= 0 && $0.isFinite }) else {
      throw ConfigurationError.value(
        place: section.place("rates"), problem: "rates are one or more numbers, 0 or above.")
    }
    if search == .fixed, rates.count != 1 || !section.has("rates") {
      throw ConfigurationError.value(
        place: section.place("rates"),
        problem: "a fixed rate is one number: --rates 1e-3, or 'rates: [1e-3]' in a file.")
    }
    tuning = Tuning(
      tunesAdapter: mode == "adapter", adapter: mode == "adapter" ? try Self.adapter(section) : nil,
      steps: try count("tuning_steps", 50),
      flips: try section.bool("flips") ?? true, search: search, rates: rates,
      rateFactor: mode == "adapter" && !section.has("rates") ? FineTuning.ofAdapter.rateFactor : 1,
      folds: try count("folds", 5, least: 2),
      searchEpisodes: try count("search_episodes", 5))
  }

  /// nil for LoRA as SMAT's authors put it on a task's network.
  private static func adapter(_ section: Section) throws -> Method? {
    guard let inner = try section.section("adapter") else { return nil }
    try inner.check(known: MethodSettings.keys.filter { $0 != "learning_rate" })
    return try MethodSettings(inner).row
  }

  /// - Parameter otherClasses: the pools that rates are searched on, of classes that are not tested.
  func mode(otherClasses: [EpisodePool]) -> TestMode {
    guard let tuning else { return .gradientFree }
    var fine = FineTuning()
    fine.rateFactor = tuning.rateFactor
    fine.steps = tuning.steps
    fine.augmentation = SupportAugmentation(flips: tuning.flips)
    fine.rates =
      switch tuning.search {
      case .folds: .supportFolds(candidates: tuning.rates, folds: tuning.folds)
      case .otherClasses: .otherClasses(otherClasses, episodes: tuning.searchEpisodes, candidates: tuning.rates)
      case .official: .official(episodes: tuning.searchEpisodes, candidates: tuning.rates)
      case .fixed: .fixed(tuning.rates[0])
      }
    guard tuning.tunesAdapter else { return .fullFineTuning(fine) }
    return tuning.adapter.map { .adapter($0, fine) } ?? .lora(fine)
  }
}
