import Formats
import Foundation
import Training

/// What `graft train` does. In a file, all on one level:
///
/// ```yaml
/// model: vit-s14
/// data: emoji-styles
/// leave_out: symbola
/// method: lora
/// settings: {rank: 8}
/// targets: [qkv]
/// steps: 300
/// output: runs/lora
/// ```
struct TrainSettings: Sendable {
  var experiment: ExperimentSettings
  var method: MethodSettings
  /// The domain that training does not see and every evaluation scores; nil trains on all.
  var leaveOut: String?

  static let keys = ExperimentSettings.keys + MethodSettings.keys.filter { $0 != "learning_rate" } + ["leave_out"]

  init(_ section: Section) throws {
    experiment = try ExperimentSettings(section)
    method = try MethodSettings(section)
    method.learningRate = nil
    leaveOut = try section.string("leave_out")
  }

  func resolved() throws -> JSONObject {
    var object = try experiment.resolved()
    for (key, value) in try method.resolved().members { object[key] = value }
    object["leave_out"] = leaveOut.map(JSONValue.string)
    return object
  }
}
