import Formats
import NeuralNetworks
import Tensors

/// A method that PEFT has too, and how it stands in PEFT's files.
protocol PEFTMethod: AdapterConfiguration {
  /// PEFT's `peft_type`.
  static var peftType: String { get }
  /// The fields of `adapter_config.json` that change the numbers and are read.
  static var peftFields: Set<String> { get }

  /// Whether a file of this `peft_type` is this method.
  static func isMeant(by json: JSONObject) -> Bool

  /// The method's settings and places for an adapter of PEFT.
  ///
  /// - Parameter maps: the linear maps that its targets match.
  static func read(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws -> (
    configuration: Self, sites: [Site]
  )

  /// What PEFT's files hold for an adapter of this method.
  ///
  /// - Throws: `AdapterFolderError.notWritable` where PEFT cannot say it.
  func peftFiles(_ adapter: Adapter, in modules: PEFTModules) throws -> PEFTFiles
}

/// What PEFT's two files hold, but for the head.
struct PEFTFiles {
  var groups: [FileGroup]
  /// All fields that the method has in PEFT 0.21, but for those in `PEFTFormat.common`.
  var configuration: JSONObject
  /// Paths of the modules that are adapted.
  var targets: [String]
  /// Paths of modules saved whole beside the head.
  var saved: [String] = []
}

extension PEFTMethod {
  static func isMeant(by json: JSONObject) -> Bool { true }

  /// - Throws: `AdapterFolderError.unsupported` where nothing is left to adapt.
  static func checkMaps(_ maps: [PEFTModules.Map], _ file: PEFTConfiguration, _ modules: PEFTModules) throws {
    guard maps.isEmpty else { return }
    let known = modules.maps.prefix(4).map(\.target).joined(separator: ", ")
    throw AdapterFolderError.unsupported(
      file.folder,
      """
      its target_modules \(try file.json["target_modules"]?.text().prefix(200) ?? "") match no linear map of this \
      backbone, whose maps are \(known), …
      """)
  }
}
