import Formats
import Foundation
import Studies
import Training

/// What `graft benchmark` does. In a file:
///
/// ```yaml
/// model: vit-s14
/// data: emoji-styles
/// domains: [noto, twemoji, openmoji, symbola]
/// leave_out: [symbola]              # the targets; by default each domain in turn
/// trials: 3
/// steps: 300                        # and any other setting of the recipe
/// methods:
///   - {name: Linear probe, method: linear-probe, learning_rate: 1e-2}
///   - {name: LoRA, method: lora, settings: {rank: 8}, targets: [qkv]}
/// tune:                             # optional: one learning rate for each method, found on one fold
///   learning_rates: [1e-4, 1e-3]
///   leave_out: symbola
///   steps: 100
/// soups:                            # optional: adapters of single domains, mixed for the one left out
///   - {name: AdapterSoup, of: LoRA, choose: clustering}
/// output: runs/emoji
/// ```
struct BenchmarkSettings: Sendable {
  var experiment: ExperimentSettings
  var methods: [MethodSettings]
  /// nil for every domain.
  var targets: [String]?
  var trials: Int
  var tuning: Tuning?
  var soups: [Soup]
  /// Whether every run keeps its adapter; pictures of routing need it.
  var savesAdapters: Bool
  /// Pictures of routing show this many images of each target.
  var pictures: Int

  struct Tuning: Sendable {
    var learningRates: [Double]
    /// The domain left out; nil for the last one.
    var leaveOut: String?
    /// Steps of each run; nil for as many as in the benchmark.
    var steps: Int?

    static let keys = ["learning_rates", "leave_out", "steps"]
  }

  static let soupKeys = ["name", "of", "choose"]

  static let keys =
    ExperimentSettings.keys + ["methods", "leave_out", "trials", "tune", "soups", "pictures", "save_adapters"]

  init(_ section: Section) throws {
    experiment = try ExperimentSettings(section)
    guard let methods = try section.sections("methods"), !methods.isEmpty else {
      throw ConfigurationError.missing("methods", flag: nil)
    }
    self.methods = try methods.map { method in
      try method.check(known: MethodSettings.keys)
      return try MethodSettings(method)
    }
    targets = try section.strings("leave_out")
    trials = try section.integer("trials") ?? 3
    guard (1...1_000).contains(trials) else {
      throw ConfigurationError.value(place: section.place("trials"), problem: "the number of trials must be 1 to 1000.")
    }
    soups = try (section.sections("soups") ?? []).map { soup in
      try soup.check(known: Self.soupKeys)
      guard let method = try soup.string("of") else { throw ConfigurationError.missing("soups.of", flag: nil) }
      let spelled = try soup.string("choose") ?? Soup.Rule.uniform.rawValue
      guard let rule = Soup.Rule(rawValue: spelled.replacing("_", with: "-")) else {
        throw ConfigurationError.value(
          place: soup.place("choose"),
          problem: "a soup cannot be chosen by '\(spelled)'. Write "
            + "\(Soup.Rule.allCases.map(\.rawValue).joined(separator: ", ")).")
      }
      return Soup(try soup.string("name") ?? "\(method), \(rule.rawValue)", of: method, by: rule)
    }
    savesAdapters = try section.bool("save_adapters") ?? true
    pictures = try section.integer("pictures") ?? 1
    guard (0...100).contains(pictures) else {
      throw ConfigurationError.value(
        place: section.place("pictures"), problem: "the number of pictures must be 0 to 100.")
    }
    tuning = try section.section("tune").map { tune in
      try tune.check(known: Tuning.keys)
      guard let rates = try tune.numbers("learning_rates"), !rates.isEmpty else {
        throw ConfigurationError.missing("tune.learning_rates", flag: nil)
      }
      guard rates.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw ConfigurationError.value(place: tune.place("learning_rates"), problem: "learning rates must be above 0.")
      }
      let steps = try tune.integer("steps")
      guard steps ?? 1 > 0 else {
        throw ConfigurationError.value(place: tune.place("steps"), problem: "the number of steps must be 1 or more.")
      }
      return Tuning(learningRates: rates, leaveOut: try tune.string("leave_out"), steps: steps)
    }
  }

  func resolved() throws -> JSONObject {
    var object = try experiment.resolved()
    object["methods"] = .array(try methods.map { .object(try $0.resolved()) })
    object["leave_out"] = targets.map { .array($0.map(JSONValue.string)) }
    object["trials"] = .integer(trials)
    if !soups.isEmpty {
      object["soups"] = .array(
        soups.map { ["name": .string($0.name), "of": .string($0.method), "choose": .string($0.rule.rawValue)] })
    }
    object["pictures"] = .integer(pictures)
    object["save_adapters"] = .bool(savesAdapters)
    if let tuning {
      var tune: JSONObject = ["learning_rates": .array(tuning.learningRates.map(JSONValue.double))]
      tune["leave_out"] = tuning.leaveOut.map(JSONValue.string)
      tune["steps"] = tuning.steps.map(JSONValue.integer)
      object["tune"] = .object(tune)
    }
    return object
  }
}

extension MethodSettings {
  var row: Method { Method(name, configuration, at: targets, blocks: blocks, learningRate: learningRate) }
}
