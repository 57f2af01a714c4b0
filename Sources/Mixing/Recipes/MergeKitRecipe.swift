import Formats
import Foundation

// MergeKit's configuration files, for adapters in place of whole models: github.com/arcee-ai/mergekit, read at version 0.1.5.
//
// | there | here |
// |---|---|
// | `merge_method` | the rule; linear, task_arithmetic, ties, dare_*, della*, breadcrumbs*, sce, model_stock, slerp, nuslerp, multislerp, karcher |
// | `models[].model` | an adapter's folder, or `BASE+ADAPTER` |
// | `base_model` | the backbone, whose own ΔW is zero; of slerp the first of the two adapters |
// | `parameters` | settings, with lists over the layers and `filter`s; MergeKit's defaults where they are left out |
// | `dtype`, `out_dtype`, `int8_mask` | no effect: numbers are float32, sums float64 |

extension MixRecipe {
  /// The recipe that a file of MergeKit stands for.
  ///
  /// - Parameter folder: what relative paths are relative to.
  /// - Throws: `MixtureError.recipe` for what such a file can say and this program cannot do, by its name;
  ///   `MixtureError.unknownRule`, `.settingType`.
  public init(mergeKit file: JSONObject, relativeTo folder: URL) throws {
    for (key, why) in Self.refusedKeys where file[key] != nil {
      throw MixtureError.recipe("'\(key)' of a MergeKit file is not supported: \(why).")
    }
    for key in file.keys where !Self.knownKeys.contains(key) {
      throw MixtureError.recipe(
        "A MergeKit file has no '\(key)' that is known here.\(Suggestion.didYouMean(key, among: Self.knownKeys))")
    }
    guard let method = file["merge_method"]?.string?.lowercased() else {
      throw MixtureError.recipe("A MergeKit file needs a 'merge_method', as in 'merge_method: ties'.")
    }
    guard let dialect = MergeKitMethod.all[method] else {
      throw MixtureError.unknownRule(method, known: MergeKitMethod.all.keys.sorted())
    }
    guard let entries = file["models"]?.array, !entries.isEmpty else { throw MixtureError.empty }
    let base = file["base_model"]?.string
    var notes: [String] = []
    for key in ["dtype", "out_dtype"] {
      guard let value = file[key]?.string else { continue }
      notes.append("\(key) \(value) has no effect: adapters are mixed in float32 and written as such")
    }

    var models: [(text: String, parameters: JSONObject)] = []
    for entry in entries {
      guard let object = entry.object, let text = object["model"]?.string else {
        throw MixtureError.recipe("Each of 'models' needs a 'model': an adapter's folder, or BASE+ADAPTER.")
      }
      for key in object.keys where !["model", "parameters"].contains(key) {
        throw MixtureError.recipe("'\(key)' of '\(text)' is not known; a model has 'model' and 'parameters'.")
      }
      models.append((text, object["parameters"]?.object ?? JSONObject()))
    }
    if method == "slerp" {
      // The base is one of the two that are interpolated, and t counts from it.
      guard let base, let place = models.firstIndex(where: { $0.text == base }) else {
        throw MixtureError.recipe("slerp needs a 'base_model' that is one of the two 'models': t counts from it.")
      }
      models.insert(models.remove(at: place), at: 0)
    } else if let place = models.firstIndex(where: { $0.text == base && !$0.text.contains("+") }) {
      guard dialect.usesBase else {
        throw MixtureError.recipe(
          "'\(models[place].text)' is the base model itself, which changes nothing: leave it out of 'models'.")
      }
      notes.append("'\(models[place].text)' is the base model: it is what differences are taken from, and no member")
      models.remove(at: place)
    }
    let named = Self.sources(models.map { Self.adapterFolder($0.text, folder) })

    let common = try dialect.settings(file["parameters"]?.object ?? JSONObject(), of: method, notes: &notes)
    var own: [String: [String: MixSchedule.Setting]] = [:]
    for (source, model) in zip(named, models) {
      own[source.name] = try dialect.settings(model.parameters, of: source.name, notes: &notes)
      if dialect.needsWeights, own[source.name]?["weight"] == nil, common["weight"] == nil {
        throw MixtureError.recipe("'\(model.text)' has no 'weight', which \(method) needs.")
      }
      if let other = own[source.name]?.keys.first(where: { !MixSchedule.perMember.contains($0) }) {
        throw MixtureError.recipe("'\(other)' holds for all models: write it under 'parameters' of the file.")
      }
    }
    if method == "slerp", common["t"] == nil { throw MixtureError.recipe("slerp needs 't' under 'parameters'.") }
    var shared = dialect.defaults.mapValues { MixSchedule.Setting.value($0) }
    shared.merge(common) { $1 }
    var schedule = MixSchedule(method: dialect.rule, shared: shared, own: own)
    schedule.conventions = .mergeKit
    self.init(named, by: schedule)
    self.notes = notes
  }

  private static let knownKeys = [
    "merge_method", "models", "base_model", "parameters", "dtype", "out_dtype",
  ]

  private static let refusedKeys: [(String, String)] = [
    ("slices", "layers of different models cannot be stacked in one adapter. Write 'models'"),
    ("modules", "an adapter is one module. Write 'models'"),
    ("tokenizer_source", "an adapter has no tokenizer of its own"),
    ("tokenizer", "an adapter has no tokenizer of its own"),
    ("chat_template", "an adapter has no chat template"),
  ]

  /// The adapter's folder of `BASE+ADAPTER`.
  private static func adapterFolder(_ text: String, _ folder: URL) -> URL {
    let path = text.contains("+") ? String(text.split(separator: "+", maxSplits: 1)[1]) : text
    return URL(fileURLWithPath: (path as NSString).expandingTildeInPath, relativeTo: folder).standardizedFileURL
  }
}

/// One of MergeKit's methods in terms of ours: a rule with MergeKit's defaults.
private struct MergeKitMethod {
  let rule: String
  var defaults: [String: JSONValue] = [:]
  var parameters: Set<String> = []
  var needsWeights = true
  /// Whether differences are taken from the base model, which then is no member.
  var usesBase = true
  /// Whether `rescale` restores the sum of magnitudes after a random drop.
  var rescales = false

  private static let arithmetic: Set<String> = ["weight", "density", "normalize", "lambda", "int8_mask", "rescale"]

  static let all: [String: MergeKitMethod] = [
    "linear": MergeKitMethod(rule: "weighted", parameters: ["weight", "normalize"], usesBase: false),
    "task_arithmetic": MergeKitMethod(rule: "task_arithmetic", parameters: arithmetic),
    "ties": MergeKitMethod(rule: "ties", defaults: ["density": 1.0, "normalize": true], parameters: arithmetic),
    "dare_linear": MergeKitMethod(
      rule: "dare_linear", defaults: ["density": 1.0, "rescale": "norm"], parameters: arithmetic, rescales: true),
    "dare_ties": MergeKitMethod(
      rule: "dare_ties", defaults: ["density": 1.0, "rescale": "norm"], parameters: arithmetic, rescales: true),
    "della": MergeKitMethod(
      rule: "della", defaults: ["density": 1.0, "epsilon": 0.15, "rescale": "norm"],
      parameters: arithmetic.union(["epsilon"]), rescales: true),
    "della_linear": MergeKitMethod(
      rule: "della_linear", defaults: ["density": 1.0, "epsilon": 0.15, "rescale": "norm"],
      parameters: arithmetic.union(["epsilon"]), rescales: true),
    "breadcrumbs": MergeKitMethod(
      rule: "breadcrumbs", defaults: ["density": 1.0, "gamma": 0.01], parameters: arithmetic.union(["gamma"])),
    "breadcrumbs_ties": MergeKitMethod(
      rule: "breadcrumbs_ties", defaults: ["density": 1.0, "gamma": 0.01], parameters: arithmetic.union(["gamma"])),
    "sce": MergeKitMethod(rule: "sce", parameters: ["select_topk", "int8_mask"], needsWeights: false),
    "model_stock": MergeKitMethod(rule: "model_stock", parameters: ["filter_wise"], needsWeights: false),
    "slerp": MergeKitMethod(rule: "slerp", parameters: ["t"], needsWeights: false),
    "nuslerp": MergeKitMethod(rule: "nuslerp", parameters: ["weight", "nuslerp_row_wise", "nuslerp_flatten"]),
    "multislerp": MergeKitMethod(rule: "multislerp", parameters: ["weight", "normalize_weights", "eps"]),
    "karcher": MergeKitMethod(
      rule: "karcher", parameters: ["max_iter", "tol"], needsWeights: false, usesBase: false),
  ]

  /// Parameters as settings of the rule.
  func settings(_ parameters: JSONObject, of owner: String, notes: inout [String]) throws -> [String:
    MixSchedule.Setting]
  {
    var settings: [String: MixSchedule.Setting] = [:]
    for (name, value) in parameters.members {
      guard self.parameters.contains(name) else {
        throw MixtureError.unknownSetting(name, of: owner, known: self.parameters.sorted())
      }
      switch name {
      case "int8_mask":
        notes.append("int8_mask has no effect: masks take no memory here")
      case "rescale" where rescales:
        guard let isOn = value.bool else {
          throw MixtureError.settingType(name, of: owner, value: try value.text())
        }
        settings[name] = .value(isOn ? "norm" : "none")
      case "rescale":
        guard value.bool == false else {
          throw MixtureError.recipe("'rescale' is for methods that drop at random; \(owner) keeps what it keeps.")
        }
      case "density" where rule == "task_arithmetic":
        throw MixtureError.recipe("task_arithmetic keeps every number: 'density' belongs to another method.")
      default: settings[name] = try MixSchedule.Setting(value, named: name, of: owner)
      }
    }
    return settings
  }
}
