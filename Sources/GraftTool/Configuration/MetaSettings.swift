import Datasets
import Formats
import Foundation
import MetaTuning
import Training

/// What `graft meta train` does. In a file, all on one level but for the episodes:
///
/// ```yaml
/// model: vit-s14
/// data: few-shot                 # root/dataset/class/image, with splits.json or divided by split_seed
/// training: [scripts, emoji]     # data sets whose training classes are drawn; by default all that have some
/// validation: [scripts]          # data sets whose validation classes choose the best state; [] for none
/// method: smat                   # pmf, soft_merge, single_expert, random_masks, …
/// preset: recommended            # paper, official_code
/// experts: 8
/// sparsity: 0.9
/// episodes: {ways: 5, shots: 5, queries: 10}
/// image_size: 56
/// augmentation: none             # default, or those settings that differ from the default
/// steps: 2000
/// output: runs/smat
/// ```
struct MetaSettings: Sendable {
  var fewShot: FewShotSettings
  var configuration: MetaConfiguration
  /// nil for all that have training classes.
  var training: [String]?
  /// nil for those of `training` that have validation classes.
  var validation: [String]?
  var output: URL?

  static let keys =
    FewShotSettings.keys + ["training", "validation", "output"]
    + MetaConfiguration.keys.filter { !FewShotSettings.keys.contains($0) }

  init(_ section: Section) throws {
    fewShot = try FewShotSettings(section)
    configuration = try section.metaConfiguration()
    fewShot.imageSize = configuration.imageSize
    training = try section.strings("training")
    validation = try section.strings("validation")
    output = try section.string("output").map(AssetFolder.path)
    if training?.isEmpty == true {
      throw ConfigurationError.value(
        place: section.place("training"),
        problem: "no data set is named. Name one or more, or leave the key out for all.")
    }
  }

  /// - Throws: `ConfigurationError.missing` without an output folder.
  func outputFolder() throws -> URL {
    guard let output else { throw ConfigurationError.missing("output", flag: "--output") }
    return output
  }

  /// As a file would say it, everything spelled out.
  func resolved() throws -> JSONObject {
    var object = try fewShot.resolved()
    for (key, value) in try JSONValue(of: configuration).object?.members ?? [] {
      object[key] = key == "augmentation" ? value.snakeCasedKeys ?? "none" : value
    }
    object["training"] = training.map { .array($0.map(JSONValue.string)) }
    object["validation"] = validation.map { .array($0.map(JSONValue.string)) }
    object["output"] = output.map { .string($0.path) }
    return object
  }
}

extension Section {
  /// The recipe of meta-tuning: the settings that `MetaConfiguration` names, defaults of method and preset for the rest.
  ///
  /// `augmentation` may be `none`, `default`, or a mapping of those settings that differ from the default.
  func metaConfiguration() throws -> MetaConfiguration {
    var section = self
    if let value = values["augmentation"] {
      switch value.string {
      case "none": section.replace("augmentation", .null)
      case "default": section.replace("augmentation", nil)
      case nil where value.isNull: break
      default: section.replace("augmentation", try changed(MetaConfiguration.paperAugmentation, by: "augmentation"))
      }
    }
    do {
      return try section.decode(MetaConfiguration.self, keys: MetaConfiguration.keys)
    } catch let error as MetaConfigurationError {
      if case .range(let key, _, _) = error { throw ConfigurationError.value(place: place(key), problem: "\(error)") }
      throw ConfigurationError.value(place: place(), problem: "\(error)")
    } catch let error as EpisodeError {
      throw ConfigurationError.value(place: place("episodes"), problem: "\(error)")
    }
  }

  private func changed(_ settings: TrainingTransform.Settings, by key: String) throws -> JSONValue {
    guard let changes = try section(key) else { return .null }
    var settings = try JSONValue(of: settings).object ?? JSONObject()
    try changes.check(known: settings.keys.map(snakeCase))
    for key in settings.keys {
      if let value = changes.values[snakeCase(key)] { settings[key] = value }
    }
    return .object(settings)
  }

  /// Settings of episodes, written as one mapping; nil where there is none.
  func episodes(_ key: String = "episodes") throws -> EpisodeSettings? {
    guard has(key) else { return nil }
    do {
      return try decode([String: EpisodeSettings].self, keys: [key])[key]
    } catch let error as EpisodeError {
      throw ConfigurationError.value(place: place(key), problem: "\(error)")
    }
  }
}

extension JSONValue {
  /// An object under the names that files of settings use; nil for null.
  var snakeCasedKeys: JSONValue? {
    guard !isNull else { return nil }
    guard let object else { return self }
    var result = JSONObject()
    for (key, value) in object.members { result[snakeCase(key)] = value }
    return .object(result)
  }
}
