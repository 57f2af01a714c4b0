import Adapters
import Formats
import Foundation
import NeuralNetworks

/// Everything that decides the numbers of a run, by name: what a checkpoint must agree with to be resumed.
package struct RunIdentity: Equatable, Sendable {
  package let settings: [String: JSONValue]

  /// Settings of the configuration that change no number.
  private static let harmless: Set<String> = [
    TrainingConfiguration.Keys.checkpointInterval.rawValue, TrainingConfiguration.Keys.keptCheckpoints.rawValue,
  ]

  init(model: AdaptedModel, examples: any Examples, fold: Fold, configuration: TrainingConfiguration) throws {
    var settings: [String: JSONValue] = [:]
    for (key, value) in try JSONValue(encoding: configuration).object?.members ?? []
    where !Self.harmless.contains(key) {
      settings[key] = value
    }
    settings["adapter"] = .string(type(of: model.adapter.configuration).method)
    settings["adapter_settings"] = try JSONValue(encoding: model.adapter.configuration)
    settings["sites"] = .array(model.adapter.sites.map { .string($0.name) })
    settings["backbone"] = .string(model.backbone.fingerprint)
    settings["examples"] = .string(examples.fingerprint)
    settings["target"] = fold.target.map(JSONValue.integer) ?? .null
    self.settings = settings
  }

  package init(settings: [String: JSONValue]) { self.settings = settings }

  package init(json: JSONValue) {
    settings = Dictionary(
      json.object?.members.map { ($0.key, $0.value) } ?? [], uniquingKeysWith: { first, _ in first })
  }

  package var json: JSONValue {
    var object = JSONObject()
    for (key, value) in settings.sorted(by: { $0.key < $1.key }) { object[key] = value }
    return .object(object)
  }

  /// `learning_rate: 0.001 then, 0.01 now`, one for each setting that differs.
  package func differences(from earlier: RunIdentity) -> [String] {
    Set(settings.keys).union(earlier.settings.keys).sorted().compactMap { key in
      let (now, then) = (settings[key], earlier.settings[key])
      // A setting that is off is as good as one that an earlier version did not have.
      guard now ?? .null != then ?? .null else { return nil }
      return "\(key): \(Self.text(then)) then, \(Self.text(now)) now"
    }
  }

  private static func text(_ value: JSONValue?) -> String {
    guard let value else { return "nothing" }
    return (try? value.text(.compact)) ?? "\(value)"
  }
}

extension JSONValue {
  /// A value as JSON, by its own coding.
  package init(encoding value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    encoder.outputFormatting = [.sortedKeys]
    self = try JSONValue(parsing: encoder.encode(value))
  }
}
