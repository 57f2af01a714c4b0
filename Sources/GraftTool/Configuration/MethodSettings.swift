import Adapters
import Formats
import NeuralNetworks

/// A method as a file describes it: a row of the benchmark's table, or what `graft train` trains.
///
/// ```yaml
/// name: K-MoA                      # what tables call it; by default the method's name
/// method: k-moa
/// settings: {dimension: 32, ranks: [1, 2, 4, 8]}
/// targets: [qkv]
/// blocks: every-second
/// learning_rate: 1e-3
/// ```
struct MethodSettings: Sendable {
  var name: String
  /// As it was written.
  var method: String
  var configuration: any AdapterConfiguration
  /// nil for the method's own choice.
  var targets: Targets?
  var blocks: Blocks?
  var learningRate: Double?

  static let keys = ["name", "method", "settings", "targets", "blocks", "learning_rate"]

  init(_ section: Section) throws {
    guard let method = try section.string("method") else {
      throw ConfigurationError.missing("method", flag: "--method")
    }
    self.method = method
    name = try section.string("name") ?? method
    configuration = try Self.configuration(method, section.section("settings") ?? Section(), section)
    targets = try section.strings("targets").map(Placement.targets)
    blocks = try section.values["blocks"].map { try Placement.blocks($0, place: section.place("blocks")) }
    learningRate = try section.number("learning_rate")
    if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
      throw ConfigurationError.value(
        place: section.place("learning_rate"), problem: "the learning rate must be above 0.")
    }
  }

  /// Other names for methods, and settings that they imply.
  private static let shorthands: [String: (method: String, implied: JSONObject)] = [
    "k-moa": ("mixture_of_adapters", [:]),
    "lora-moa": ("mixture_of_adapters", ["experts": ["lora": [:]]]),
    "kadaptation": ("kronecker", [:]),
    "bitfit": ("bias", [:]),
    "attention-only": ("attention", [:]),
    "full-fine-tuning": ("full", [:]),
  ]

  /// For `--help`: every name, with what it is.
  static var methodHelp: String {
    let methods = adapterMethods.map { ($0.method.lowercased().replacing("_", with: "-"), $0.summary) }
    let others = shorthands.keys.sorted().map { ($0, "= \(shorthands[$0]?.method.replacing("_", with: "-") ?? "")") }
    let width = (methods + others).map(\.0.count).max() ?? 0
    return (methods + others).map { name, about in
      "  \(name)\(String(repeating: " ", count: width - name.count + 2))\(about)"
    }.joined(separator: "\n")
  }

  /// Settings may be written as in files of training, `aux_weight`, or as the properties are called, `auxWeight`.
  private static func configuration(_ name: String, _ settings: Section, _ section: Section) throws
    -> any AdapterConfiguration
  {
    let spelled = name.lowercased().replacing("_", with: "-")
    let shorthand = shorthands[spelled]
    var values = shorthand?.implied ?? JSONObject()
    for (key, value) in settings.values.members { values[camelCase(key)] = value }
    if (shorthand?.method ?? spelled.replacing("-", with: "_")) == "mixture_of_adapters" {
      if let dimension = values["dimension"], values["experts"] == nil {
        values["experts"] = ["kronecker": ["dimension": dimension]]
        values["dimension"] = nil
      }
      switch values["router"]?.string {
      case "linear": values["router"] = ["linear": [:]]
      case "cosine": values["router"] = nil
      default: break
      }
    }
    do {
      return try adapterConfiguration(named: shorthand?.method ?? name, settings: values)
    } catch let error as MethodError {
      let key = if case .unknownMethod = error { "method" } else { "settings" }
      throw ConfigurationError.value(place: section.place(key), problem: "\(error)")
    }
  }

  private static func camelCase(_ key: String) -> String {
    let parts = key.split(separator: "_")
    guard let first = parts.first, parts.count > 1 else { return key }
    return first + parts.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }

  /// As a file would say it, everything spelled out.
  func resolved() throws -> JSONObject {
    var object: JSONObject = [
      "name": .string(name),
      "method": .string(type(of: configuration).method.lowercased()),
      "settings": .object(try configuration.settings()),
    ]
    object["targets"] = targets.map { .array($0.roles.map { .string($0.rawValue) }) }
    object["blocks"] = blocks?.setting
    object["learning_rate"] = learningRate.map(JSONValue.double)
    return object
  }
}
