import Adapters
import Formats
import Foundation
import Mixing

/// What `graft mix` mixes, from its flags and a file of ours or of MergeKit's.
///
/// ```yaml
/// adapters:
///   - runs/books
///   - {adapter: runs/kitchen, name: kitchen, weight: 0.5, density: 0.3}
/// method: ties
/// settings: {density: 0.2, lambda: [1, 0.5]}      # a list changes over the depth
/// space: delta                                    # or factors, or outputs
/// rank: 8                                         # or form: dense | concatenated
/// model: minilm
/// output: mixed
/// ```
struct MixSettings {
  var recipe: MixRecipe
  var output: String?
  /// `model`, `device` and `pooling`, where they are given.
  var section: Section

  static let keys =
    ["adapters", "method", "settings", "space", "rank", "form", "seed", "head", "output"] + BackboneSettings.keys

  init(_ command: MixCommand) throws {
    var section = Section()
    var mergeKit: MixRecipe?
    if let path = command.config {
      let url = AssetFolder.path(path)
      let file = try YAMLFile(contentsOf: url)
      if file.root["merge_method"] != nil {
        do {
          mergeKit = try MixRecipe(mergeKit: file.root, relativeTo: FileManager.default.currentFolder)
        } catch let error as MixtureError {
          throw ConfigurationError.value(place: file.name, problem: "\(error)")
        }
        guard command.adapters.isEmpty, command.method == nil else {
          throw ConfigurationError.value(
            place: file.name, problem: "a MergeKit file names the adapters and the method.")
        }
        if let base = file.root["base_model"]?.string, mergeKit?.schedule.method != "slerp" {
          section.set("model", .string(base), flag: file.name)
        }
      } else {
        try section.add(file, known: Self.keys)
      }
    }
    section.set("model", command.model.map(JSONValue.string), flag: "--model")
    section.set("device", command.device.map(JSONValue.string), flag: "--device")
    section.set("pooling", command.pooling.map(JSONValue.string), flag: "--pooling")
    section.set("output", command.output.map(JSONValue.string), flag: "--output")
    section.set("method", command.method.map(JSONValue.string), flag: "--method")
    section.set("space", command.space.map { .string($0.rawValue) }, flag: "--space")
    section.set("rank", command.rank.map(JSONValue.integer), flag: "--rank")
    section.set("form", command.form.map(JSONValue.string), flag: "--form")
    section.set("seed", command.seed.map { .integer(Int(clamping: $0)) }, flag: "--seed")
    section.set("head", command.head.map(JSONValue.string), flag: "--head")
    for assignment in command.set {
      let parts = assignment.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        throw ConfigurationError.value(place: "--set", problem: "'\(assignment)' is not NAME=VALUE, as in lambda=0.5.")
      }
      section.set("settings", parts[0], YAMLFile.plain(parts[1]), flag: "--set")
    }
    if let density = command.density { section.set("settings", "density", .double(density), flag: "--density") }
    if let method = try section.string("method"), Self.averagesOutputs(method) {
      guard !section.has("space") else {
        throw ConfigurationError.value(
          place: section.place("space"), problem: "'\(method)' averages outputs: there is no space to choose.")
      }
      section.set("space", .string(MixingSpace.outputs.rawValue), flag: section.place("method"))
      section.set("method", .string(Weighted.name), flag: section.place("method"))
    }
    var recipe = try mergeKit ?? Self.recipe(section, command)
    if mergeKit != nil, command.density != nil || !command.set.isEmpty || command.weights != nil {
      throw ConfigurationError.value(
        place: "--config", problem: "a MergeKit file has the weights and settings in it: change them there.")
    }
    try Self.apply(section, to: &recipe)
    self.recipe = recipe
    output = try section.string("output")
    self.section = section
  }

  private static func recipe(_ section: Section, _ command: MixCommand) throws -> MixRecipe {
    let method = try section.string("method") ?? "uniform"
    // Before any folder is looked at.
    do { _ = try mixingRule(named: method) } catch {
      throw ConfigurationError.value(place: section.place("method"), problem: "\(error)")
    }
    var folders: [URL] = []
    var own: [Int: [String: MixSchedule.Setting]] = [:]
    var names: [Int: String] = [:]
    if command.adapters.isEmpty {
      for (place, item) in (section.values["adapters"]?.array ?? []).enumerated() {
        if let path = item.string {
          folders.append(AssetFolder.path(path))
          continue
        }
        guard let object = item.object, let path = object["adapter"]?.string else {
          throw ConfigurationError.type(
            "adapters", place: section.place("adapters.\(place)"),
            expected: "a list of folders or of mappings with 'adapter'", found: try item.text())
        }
        folders.append(AssetFolder.path(path))
        for (key, value) in object.members where key != "adapter" {
          if key == "name" {
            guard let name = value.string else {
              throw ConfigurationError.type(
                "name", place: section.place("adapters.\(place)"), expected: "a text", found: try value.text())
            }
            names[place] = name
          } else {
            own[place, default: [:]][key] = try .init(value, named: key, of: path)
          }
        }
      }
    } else {
      for (place, text) in command.adapters.enumerated() {
        let term = try MergeCommand.term(text)
        folders.append(AssetFolder.path(term.path))
        if term.path != text { own[place] = ["weight": .value(.double(term.weight))] }
      }
    }
    if let text = command.weights {
      let weights = text.split(separator: ",").map { Double($0.trimmingCharacters(in: .whitespaces)) }
      guard weights.count == folders.count, !weights.contains(nil) else {
        throw ConfigurationError.value(
          place: "--weights", problem: "'\(text)' is not one number for each of the \(folders.count) adapters.")
      }
      for (place, weight) in weights.enumerated() { own[place, default: [:]]["weight"] = .value(.double(weight ?? 0)) }
    }
    var sources = MixRecipe.sources(try folders.map(adapterFolder))
    for (place, name) in names { sources[place].name = name }
    var shared: [String: MixSchedule.Setting] = [:]
    for (name, value) in section.values["settings"]?.object?.members ?? [] {
      shared[name] = try .init(value, named: name, of: "settings")
    }
    let named = Dictionary(own.map { (sources[$0.key].name, $0.value) }) { first, _ in first }
    return MixRecipe(
      sources, by: MixSchedule(method: method, shared: shared, own: named))
  }

  /// Whether a method is the name of the composition, which is written as the space in which means are taken.
  private static func averagesOutputs(_ method: String) -> Bool {
    method.replacing("-", with: "_").lowercased() == OutputAverage.method.lowercased()
  }

  private static func apply(_ section: Section, to recipe: inout MixRecipe) throws {
    if let text = try section.string("space") {
      guard let space = MixingSpace(rawValue: text.replacing("-", with: "_")) else {
        throw ConfigurationError.value(
          place: section.place("space"),
          problem: "the space cannot be '\(text)'. Write "
            + MixingSpace.allCases.map(\.rawValue).joined(separator: ", ") + ".")
      }
      recipe.space = space
    }
    if let rank = try section.integer("rank") { recipe.form = .rank(rank) }
    if let text = try section.string("form") {
      let forms: [String: MixForm] = ["automatic": .automatic, "dense": .dense, "concatenated": .concatenated]
      guard let form = forms[text], !section.has("rank") else {
        throw ConfigurationError.value(
          place: section.place("form"),
          problem: "the form cannot be '\(text)' here. Write automatic, dense or concatenated, or give a rank.")
      }
      recipe.form = form
    }
    if let seed = try section.integer("seed") { recipe.seed = UInt64(clamping: seed) }
    recipe.head = try section.string("head")
  }

  /// The adapter's own folder, where that of a run is given.
  private static func adapterFolder(_ folder: URL) throws -> URL {
    let inside = folder.appendingPathComponent(TrainRun.adapterFolder, isDirectory: true)
    for candidate in [folder, inside]
    where FileManager.default.fileExists(atPath: candidate.appendingPathComponent("adapter_config.json").path) {
      return candidate
    }
    throw TrainedAdapter.Problem.missing(folder.path)
  }
}

extension FileManager {
  fileprivate var currentFolder: URL { URL(fileURLWithPath: currentDirectoryPath, isDirectory: true) }
}
