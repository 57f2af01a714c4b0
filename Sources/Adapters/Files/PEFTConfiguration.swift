import Formats
import NeuralNetworks

/// `adapter_config.json` of PEFT 0.21, read strictly: what changes the numbers is honoured or refused by name.
struct PEFTConfiguration {
  let folder: String
  let json: JSONObject
  let type: String
  let version: String?
  let targets: PEFTTargets
  /// Names of modules saved whole, as ends of paths.
  let modulesToSave: [String]
  /// What was left out, and why.
  private(set) var notes: [String] = []

  /// - Parameters:
  ///   - fields: what the method reads, nil where there is no such method; all other fields that are set are refused unless
  ///     they are without effect.
  ///   - methods: the methods that are read.
  init(_ value: JSONValue, reading fields: Set<String>?, methods: [String], folder: String) throws {
    guard let json = value.object, let type = json["peft_type"]?.string else {
      throw AdapterFolderError.unsupported(folder, "adapter_config.json names no peft_type.")
    }
    guard let fields else {
      throw AdapterFolderError.unsupported(
        folder, "its method is \(type); of PEFT's methods \(methods.joined(separator: ", ")) are read.")
    }
    self.folder = folder
    self.json = json
    self.type = type
    version = json["peft_version"]?.string
    for (key, value) in json.members where !fields.contains(key) && !Self.isOff(value) {
      if Self.withoutEffect.contains(key) { continue }
      if Self.onlyInTraining.contains(key) {
        notes.append("\(key) \(try value.text()) is used only in training and not carried over")
        continue
      }
      throw AdapterFolderError.setting(folder, field: key, value: try value.text(), reason: "that is not supported.")
    }
    if let start = json["init_lora_weights"]?.string, !Self.plainStarts.contains(where: { start.hasPrefix($0) }) {
      throw AdapterFolderError.setting(
        folder, field: "init_lora_weights", value: "\"\(start)\"",
        reason: """
          that start changes the backbone's own weights. Let PEFT convert the adapter: \
          save_pretrained(…, path_initial_model_for_weight_conversion=…).
          """)
    }
    guard let targets = try PEFTTargets(json, folder: folder) else {
      throw AdapterFolderError.unsupported(folder, "adapter_config.json has no target_modules.")
    }
    self.targets = targets
    modulesToSave = try Self.strings(json, "modules_to_save", folder: folder) ?? []
  }

  /// What says nothing about the numbers, or nothing for linear maps whose weight is `[out, in]`: `fan_in_fan_out` is about
  /// GPT-2's transposed ones, and PEFT itself turns it off for all others.
  private static let withoutEffect: Set<String> = [
    "peft_type", "auto_mapping", "base_model_name_or_path", "revision", "task_type", "inference_mode", "peft_version",
    "runtime_config", "megatron_core", "qalora_group_size", "init_lora_weights", "init_weights", "init_ia3_weights",
    "fan_in_fan_out", "eva_config", "ensure_weight_tying", "use_effective_conv2d", "modules_to_save", "target_modules",
    "exclude_modules", "layers_to_transform", "layers_pattern",
  ]
  private static let onlyInTraining: Set<String> = ["rank_dropout", "module_dropout", "rank_dropout_scale"]
  /// Starts that leave the backbone as it was.
  private static let plainStarts = ["gaussian", "orthogonal", "eva"]

  private static func isOff(_ value: JSONValue) -> Bool {
    switch value {
    case .null, .bool(false), .integer(0), .double(0), .string(""): true
    case .array(let elements): elements.isEmpty
    case .object(let members): members.isEmpty
    default: false
    }
  }

  static func strings(_ json: JSONObject, _ key: String, folder: String) throws -> [String]? {
    guard let value = json[key], !value.isNull else { return nil }
    guard let elements = value.array, case let strings = elements.compactMap(\.string), strings.count == elements.count
    else {
      throw AdapterFolderError.setting(
        folder, field: key, value: try value.text(), reason: "a list of names is wanted.")
    }
    return strings
  }

  func number(_ key: String) throws -> Double {
    guard let value = json[key]?.double, value.isFinite else {
      throw AdapterFolderError.setting(
        folder, field: key, value: try json[key]?.text() ?? "missing", reason: "a number is wanted.")
    }
    return value
  }

  /// A dropout rate; 0 where the file does not have it.
  func rate(_ key: String) throws -> Double {
    switch json[key] {
    case nil, .null: 0
    default: try number(key)
    }
  }

  func count(_ key: String) throws -> Int {
    guard let value = json[key]?.integer, value > 0 else {
      throw AdapterFolderError.setting(
        folder, field: key, value: try json[key]?.text() ?? "missing", reason: "a number from 1 is wanted.")
    }
    return value
  }

  func flag(_ key: String) throws -> Bool {
    switch json[key] {
    case nil, .null: return false
    case .bool(let value): return value
    case let value?:
      throw AdapterFolderError.setting(folder, field: key, value: try value.text(), reason: "true or false is wanted.")
    }
  }

  /// The rank of a module: `r`, or what the first pattern says that matches it.
  func rank(of module: String) throws -> Int {
    guard let (key, value) = try pattern("rank_pattern", matching: module) else { return try count("r") }
    guard let rank = value.integer, rank > 0 else {
      throw AdapterFolderError.setting(
        folder, field: "rank_pattern", value: "\(try value.text()) for '\(key)'", reason: "a number from 1 is wanted.")
    }
    return rank
  }

  /// The alpha of a module, under the method's name for it.
  func alpha(of module: String, _ field: String) throws -> Double {
    guard let (key, value) = try pattern("alpha_pattern", matching: module) else { return try number(field) }
    guard let alpha = value.double, alpha.isFinite else {
      throw AdapterFolderError.setting(
        folder, field: "alpha_pattern", value: "\(try value.text()) for '\(key)'", reason: "a number is wanted.")
    }
    return alpha
  }

  /// The first pattern that is the whole path of a module or the end of it after a dot.
  private func pattern(_ field: String, matching module: String) throws -> (key: String, value: JSONValue)? {
    guard let patterns = json[field], !patterns.isNull else { return nil }
    guard let members = patterns.object?.members else {
      throw AdapterFolderError.setting(
        folder, field: field, value: try patterns.text(), reason: "an object of patterns is wanted.")
    }
    return try members.first { key, _ in
      try PEFTTargets.expression("(.*\\.)?(\(key))", field: field, folder: folder).wholeMatches(module)
    }
  }
}
