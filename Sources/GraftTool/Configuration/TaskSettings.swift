import Datasets
import Formats
import Foundation
import Reports
import Training

/// What `graft tasks` does. In a file:
///
/// ```yaml
/// model: vit-s14
/// data: tasks                       # one folder per task: lists of images as VTAB-1k has them, or folders of classes
/// protocol: validation              # or paper: selects on the test set
/// groups:                           # by default all tasks in one; or vtab-1k
///   Natural: [emoji-noto, emoji-twemoji]
///   Structured: [rotation, position]
/// split: {training: 800, validation: 200, test: 500}   # what is drawn; test caps lists too
/// trials: 3
/// steps: 100                        # and any other setting of the recipe
/// batch_size: 32
/// tune: {learning_rates: [1e-4, 1e-3]}   # optional: one grid for every method, a choice for each task
/// methods:
///   - {name: Linear probe, method: linear-probe, learning_rate: 1e-2}
///   - {name: LoRA, method: lora, settings: {rank: 8}, targets: [qkv]}
/// output: runs/tasks
/// ```
struct TaskSettings: Sendable {
  var experiment: ExperimentSettings
  var methods: [MethodSettings]
  /// nil for those of the groups, or without groups for all there are.
  var tasks: [String]?
  var groups: Grouping
  var split: TaskFolder.Options
  var taskProtocol: TaskProtocol
  var trials: Int
  /// Empty to train each method with its own rate.
  var learningRates: [Double]

  enum Grouping: Sendable {
    case none, vtab
    case named(TaskGroups)
  }

  private static let splitKeys = ["training", "validation", "test", "test_share", "seed"]
  private static let tuningKeys = ["learning_rates"]

  /// Settings of the recipe that mean nothing here: splits belong to the tasks, and there is one source of images.
  private static let foreign = ["holdout", "trial_seed", "batch_per_domain"]

  static let keys =
    BackboneSettings.keys + ["data", "output", "batch_size"]
    + TrainingConfiguration.keys.filter { !foreign.contains($0) }
    + ["methods", "tasks", "groups", "split", "protocol", "trials", "tune"]

  init(_ section: Section) throws {
    var section = section
    if let batch = try section.integer("batch_size") { section.replace("batch_per_domain", .integer(batch)) }
    // As in the published recipes: images are not varied unless asked for.
    if !section.has("augmentation") { section.replace("augmentation", "none") }
    experiment = try ExperimentSettings(section)
    guard let methods = try section.sections("methods"), !methods.isEmpty else {
      throw ConfigurationError.missing("methods", flag: nil)
    }
    self.methods = try methods.map { method in
      try method.check(known: MethodSettings.keys)
      return try MethodSettings(method)
    }
    tasks = try section.strings("tasks")
    groups = try Self.groups(section)
    split = try Self.split(section)
    let spelled = try section.string("protocol") ?? TaskProtocol.validation.rawValue
    guard let taskProtocol = TaskProtocol(rawValue: spelled) else {
      throw ConfigurationError.value(
        place: section.place("protocol"),
        problem:
          "the protocol cannot be '\(spelled)'. Write \(TaskProtocol.allCases.map(\.rawValue).joined(separator: " or "))."
      )
    }
    self.taskProtocol = taskProtocol
    trials = try section.integer("trials") ?? 3
    guard (1...1_000).contains(trials) else {
      throw ConfigurationError.value(place: section.place("trials"), problem: "the number of trials must be 1 to 1000.")
    }
    learningRates = []
    if let tune = try section.section("tune") {
      try tune.check(known: Self.tuningKeys)
      guard let rates = try tune.numbers("learning_rates"), !rates.isEmpty else {
        throw ConfigurationError.missing("tune.learning_rates", flag: nil)
      }
      guard rates.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw ConfigurationError.value(place: tune.place("learning_rates"), problem: "learning rates must be above 0.")
      }
      learningRates = rates
    }
  }

  private static func groups(_ section: Section) throws -> Grouping {
    guard section.has("groups") else { return .none }
    if let name = section.values["groups"]?.string {
      guard name == "vtab-1k" else {
        throw ConfigurationError.value(
          place: section.place("groups"), problem: "groups cannot be '\(name)'. Write vtab-1k, or each group's tasks.")
      }
      return .vtab
    }
    guard let groups = try section.section("groups") else { return .none }
    do {
      return .named(
        try TaskGroups(groups.values.keys.map { TaskGroups.Group($0, try groups.strings($0) ?? []) }))
    } catch let error as TaskGroupsError {
      throw ConfigurationError.value(place: section.place("groups"), problem: "\(error)")
    }
  }

  private static func split(_ section: Section) throws -> TaskFolder.Options {
    var options = TaskFolder.Options()
    guard let split = try section.section("split") else { return options }
    try split.check(known: splitKeys)
    func count(_ key: String) throws -> Int? {
      guard let value = try split.integer(key) else { return nil }
      guard (1...1_000_000_000).contains(value) else {
        throw ConfigurationError.value(place: split.place(key), problem: "'\(key)' must be 1 to 1000000000.")
      }
      return value
    }
    options.training = try count("training") ?? options.training
    options.validation = try count("validation") ?? options.validation
    options.test = try count("test")
    options.testShare = try split.number("test_share") ?? options.testShare
    guard options.testShare > 0, options.testShare < 1 else {
      throw ConfigurationError.value(
        place: split.place("test_share"), problem: "'test_share' must be above 0 and below 1.")
    }
    if let seed = try split.integer("seed") {
      guard seed >= 0 else {
        throw ConfigurationError.value(place: split.place("seed"), problem: "'seed' must be 0 or more.")
      }
      options.seed = UInt64(seed)
    }
    return options
  }

  /// The tasks, listed and split.
  func folder() throws -> TaskFolder {
    let root = experiment.data.resolvingSymlinksInPath()
    if case .named(let groups) = groups {
      return try TaskFolder(at: root, options: split, tasks: tasks ?? groups.tasks)
    }
    return try TaskFolder(at: root, options: split, tasks: tasks)
  }

  func groups(of folder: TaskFolder) throws -> TaskGroups {
    let names = folder.tasks.map(\.name)
    return switch groups {
    case .none: try TaskGroups(one: names)
    case .vtab: try TaskGroups.vtab(names)
    case .named(let groups): try groups.selecting(names)
    }
  }

  func resolved() throws -> JSONObject {
    var object = try experiment.resolved()
    object["batch_size"] = object["batch_per_domain"]
    for key in Self.foreign + ["domains"] { object[key] = nil }
    object["methods"] = .array(try methods.map { .object(try $0.resolved()) })
    object["tasks"] = tasks.map { .array($0.map(JSONValue.string)) }
    switch groups {
    case .none: break
    case .vtab: object["groups"] = "vtab-1k"
    case .named(let groups):
      var named = JSONObject()
      for group in groups.groups { named[group.name] = .array(group.tasks.map(JSONValue.string)) }
      object["groups"] = .object(named)
    }
    var drawn: JSONObject = [
      "training": .integer(split.training), "validation": .integer(split.validation),
      "test_share": .double(split.testShare), "seed": .integer(Int(clamping: split.seed)),
    ]
    drawn["test"] = split.test.map(JSONValue.integer)
    object["split"] = .object(drawn)
    object["protocol"] = .string(taskProtocol.rawValue)
    object["trials"] = .integer(trials)
    if !learningRates.isEmpty {
      object["tune"] = ["learning_rates": .array(learningRates.map(JSONValue.double))]
    }
    return object
  }
}
