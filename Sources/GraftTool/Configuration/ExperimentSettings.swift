import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tokenizers
import Training

/// What `graft train` and `graft benchmark` have in common: network, images or texts, recipe, output.
struct ExperimentSettings: Sendable {
  var backbone: BackboneSettings
  var data: URL
  /// nil for all there are.
  var domains: [String]?
  /// The most samples of each class in a domain; nil for all.
  var perClass: Int?
  var allowsMissingClasses: Bool
  var texts: TextSettings
  var recipe: TrainingConfiguration
  /// nil for a dry run only.
  var output: URL?

  static let keys =
    BackboneSettings.keys + ["data", "domains", "per_class", "allow_missing_classes", "output"] + TextSettings.keys
    + TrainingConfiguration.keys

  init(_ section: Section) throws {
    backbone = try BackboneSettings(section)
    guard let folder = try section.string("data") else { throw ConfigurationError.missing("data", flag: "--data") }
    data = try AssetFolder.find(folder, .data, place: section.place("data"))
    domains = try section.strings("domains")
    perClass = try section.integer("per_class")
    guard perClass ?? 1 > 0 else {
      throw ConfigurationError.value(
        place: section.place("per_class"), problem: "the number of samples must be 1 or more.")
    }
    allowsMissingClasses = try section.bool("allow_missing_classes") ?? false
    texts = try TextSettings(section)
    recipe = try section.trainingConfiguration()
    texts.options.badLines = recipe.badImages
    output = try section.string("output").map(AssetFolder.path)
  }

  /// - Throws: `ConfigurationError.missing` without an output folder.
  func outputFolder() throws -> URL {
    guard let output else { throw ConfigurationError.missing("output", flag: "--output") }
    return output
  }

  /// The labelled inputs that a network takes, listed; texts are read as well.
  func data(for network: any PretrainedNetwork) throws -> ExperimentData {
    let root = data.resolvingSymlinksInPath()
    let all: ExperimentData =
      network is TextTransformer
      ? .texts(try TextFolder(at: root, options: texts.options))
      : .images(try DomainFolder(at: root, options: .init(allowsMissingClasses: allowsMissingClasses)))
    let chosen = try domains.map(all.selecting) ?? all
    return perClass.map { chosen.drawing(perClass: $0, seed: 0) } ?? chosen
  }

  /// The statistics that images are normalized with: those of the recipe, else those that the network wants.
  func normalization(for network: any PretrainedNetwork) -> Normalization {
    recipe.normalization ?? network.usualNormalization
  }

  /// What training and evaluation take: images decoded into the cache, texts cut into tokens.
  func examples(_ data: ExperimentData, for network: any PretrainedNetwork, _ console: Console) async throws
    -> any Examples
  {
    for file in data.ignoredFiles.prefix(5) where file.path.contains("/") { console.note("not used: \(file)") }
    let examples: any Examples
    switch data {
    case .images(let folder):
      examples = try await ImageExamples.open(
        folder, configuration: recipe, normalization: normalization(for: network), cache: AssetFolder.imageCache
      ) { done, total in
        console.progress.show("decoding", done, of: total)
      }
    case .texts(let folder): examples = try textExamples(folder, for: network)
    }
    if !examples.badSamples.isEmpty {
      let shown = examples.badSamples.prefix(5).map { "\n  \($0)" }.joined()
      console.warn("\(examples.badSamples.count) \(data.noun) cannot be used and are left out:\(shown)")
    }
    return examples
  }

  func textExamples(_ folder: TextFolder, for network: any PretrainedNetwork) throws -> TextExamples {
    guard let network = network as? TextTransformer else {
      throw WrongKind(
        command: "a folder of texts", folder: backbone.folder.path, found: "a vision transformer",
        wanted: "a text encoder")
    }
    return try TextExamples(
      folder, tokenizer: Tokenizer(from: backbone.folder), for: network, maximumLength: texts.length(for: network))
  }

  /// As a file would say it, everything spelled out.
  func resolved() throws -> JSONObject {
    var object = backbone.resolved
    object["data"] = .string(data.path)
    object["domains"] = domains.map { .array($0.map(JSONValue.string)) }
    object["per_class"] = perClass.map(JSONValue.integer)
    if allowsMissingClasses { object["allow_missing_classes"] = true }
    for (key, value) in texts.resolved.members { object[key] = value }
    object["output"] = output.map { .string($0.path) }
    for (key, value) in try JSONValue(of: recipe).object?.members ?? [] {
      // What is off is written as a word: null would read as the default.
      if key == "augmentation" {
        object[key] = value.isNull ? "none" : snakeCased(value)
      } else if !value.isNull {
        object[key] = value
      }
    }
    return object
  }

  private func snakeCased(_ value: JSONValue) -> JSONValue {
    guard let object = value.object else { return value }
    var result = JSONObject()
    for (key, value) in object.members { result[snakeCase(key)] = value }
    return .object(result)
  }
}

/// `grayscaleProbability` as `grayscale_probability`.
func snakeCase(_ key: String) -> String {
  key.map { $0.isUppercase ? "_\($0.lowercased())" : "\($0)" }.joined()
}
