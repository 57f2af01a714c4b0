import Datasets
import Formats
import Training

extension Section {
  /// The training recipe: the settings that `TrainingConfiguration` names, defaults for the rest.
  ///
  /// `augmentation` may be `none`, `default`, or a mapping of those settings that differ from the default.
  func trainingConfiguration() throws -> TrainingConfiguration {
    var section = self
    if let value = values["augmentation"], !value.isNull {
      switch value.string {
      case "none": section.replace("augmentation", .null)
      case "default": section.replace("augmentation", nil)
      default: section.replace("augmentation", try augmentation())
      }
    }
    do {
      return try section.decode(TrainingConfiguration.self, keys: TrainingConfiguration.keys)
    } catch let error as TrainingConfigurationError {
      if case .range(let key, _, _) = error { throw ConfigurationError.value(place: place(key), problem: "\(error)") }
      throw ConfigurationError.value(place: place(), problem: "\(error)")
    }
  }

  private func augmentation() throws -> JSONValue {
    guard let changed = try section("augmentation") else { return .null }
    var settings = try JSONValue(of: TrainingTransform.Settings()).object ?? JSONObject()
    let known = settings.keys.map(snakeCase)
    try changed.check(known: known)
    for key in settings.keys {
      if let value = changed.values[snakeCase(key)] { settings[key] = value }
    }
    return .object(settings)
  }
}
