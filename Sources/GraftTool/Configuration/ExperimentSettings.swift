import Datasets
import Formats
import Foundation
import NeuralNetworks
import Training

/// What `graft train` and `graft benchmark` have in common: network, images, recipe, output.
struct ExperimentSettings: Sendable {
  var backbone: BackboneSettings
  var data: URL
  /// nil for all there are.
  var domains: [String]?
  var allowsMissingClasses: Bool
  var recipe: TrainingConfiguration
  /// nil for a dry run only.
  var output: URL?

  static let keys =
    BackboneSettings.keys + ["data", "domains", "allow_missing_classes", "output"] + TrainingConfiguration.keys

  init(_ section: Section) throws {
    backbone = try BackboneSettings(section)
    guard let folder = try section.string("data") else { throw ConfigurationError.missing("data", flag: "--data") }
    data = try AssetFolder.find(folder, .data, place: section.place("data"))
    domains = try section.strings("domains")
    allowsMissingClasses = try section.bool("allow_missing_classes") ?? false
    recipe = try section.trainingConfiguration()
    output = try section.string("output").map(AssetFolder.path)
  }

  /// - Throws: `ConfigurationError.missing` without an output folder.
  func outputFolder() throws -> URL {
    guard let output else { throw ConfigurationError.missing("output", flag: "--output") }
    return output
  }

  func folder() throws -> DomainFolder {
    let all = try DomainFolder(
      at: data.resolvingSymlinksInPath(), options: .init(allowsMissingClasses: allowsMissingClasses))
    guard let domains else { return all }
    return try all.selecting(domains)
  }

  /// The statistics that the images are normalized with: those of the recipe, else those that the network wants.
  func normalization(for backbone: VisionTransformer) -> Normalization {
    recipe.normalization ?? backbone.usualNormalization
  }

  /// The images, decoded into the cache.
  func examples(_ folder: DomainFolder, for backbone: VisionTransformer, _ console: Console) async throws
    -> ImageExamples
  {
    let examples = try await ImageExamples.open(
      folder, configuration: recipe, normalization: normalization(for: backbone), cache: AssetFolder.imageCache
    ) { done, total in
      console.progress.show("decoding", done, of: total)
    }
    for file in folder.ignoredFiles.prefix(5) where file.path.contains("/") { console.note("not used: \(file)") }
    if !examples.badImages.isEmpty {
      let shown = examples.badImages.prefix(5).map { "\n  \($0)" }.joined()
      console.warn("\(examples.badImages.count) images cannot be used and are left out:\(shown)")
    }
    return examples
  }

  /// As a file would say it, everything spelled out.
  func resolved() throws -> JSONObject {
    var object: JSONObject = [
      "model": .string(backbone.folder.path), "device": .string("\(backbone.device)"),
      "pooling": .string(backbone.poolingName), "data": .string(data.path),
    ]
    object["domains"] = domains.map { .array($0.map(JSONValue.string)) }
    if allowsMissingClasses { object["allow_missing_classes"] = true }
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
