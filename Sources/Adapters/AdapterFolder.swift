import Formats
import Foundation
import NeuralNetworks
import Tensors

/// What lies in the folder of a saved adapter:
///
/// | file                        | holds                                                                     |
/// |-----------------------------|---------------------------------------------------------------------------|
/// | `adapter_config.json`       | the method, in PEFT's words where PEFT has it                             |
/// | `adapter_model.safetensors` | the adapter's tensors, in PEFT's names where PEFT has the method          |
/// | `graft.json`                | what PEFT cannot say: sites, exact settings, backbone, the head's classes |
/// | `head.safetensors`          | the classifier, where there is one                                        |
///
/// Loading is all or nothing: every tensor of the file is used and every parameter filled, or an error lists both sides.
public enum AdapterFolder {
  static let configurationName = "adapter_config.json"
  static let weightsName = "adapter_model.safetensors"
  static let detailsName = "graft.json"
  static let headName = "head.safetensors"
  static let version = 1

  /// Writes the folder, whole or not at all; the same adapter gives the same bytes. An adapter already there is left as it
  /// is.
  ///
  /// - Throws: `FileError` where the disk refuses or the folder is not empty, `AdapterFolderError.notFinite` for a
  ///   parameter with NaN or infinity.
  public static func save(_ model: AdaptedModel, to folder: URL) throws {
    try save(model.adapter, head: model.head, of: model.backbone, to: folder)
  }

  static func save(_ adapter: Adapter, head: Head?, of backbone: any Backbone, to folder: URL) throws {
    for parameter in adapter.parameters + (head?.parameters ?? [])
    where try parameter.value.detached().isFinite().all().item() == 0 {
      throw AdapterFolderError.notFinite(parameter.name)
    }
    let files: (configuration: JSONValue, tensors: [(name: String, tensor: Tensor)])
    if let lora = adapter.configuration as? LoRA {
      files = try PEFTFormat.files(for: lora, adapter, backbone)
    } else {
      var configuration = try adapter.configuration.settings()
      configuration["peft_type"] = .string(type(of: adapter.configuration).method)
      files = (.object(configuration), adapter.parameters.map { ($0.name, $0.value) })
    }
    try AtomicFolder.write(to: folder) { folder in
      try AtomicFile.write(
        files.configuration.text(.readable) + "\n", to: folder.appendingPathComponent(configurationName))
      try write(files.tensors, to: folder.appendingPathComponent(weightsName))
      try AtomicFile.write(
        details(adapter, head: head, of: backbone).text(.readable) + "\n",
        to: folder.appendingPathComponent(detailsName))
      if let head {
        try write(head.parameters.map { ($0.name, $0.value) }, to: folder.appendingPathComponent(headName))
      }
    }
  }

  private static func write(_ tensors: [(name: String, tensor: Tensor)], to url: URL) throws {
    var writer = SafetensorsWriter(metadata: ["format": "pt"])
    for (name, tensor) in tensors { try writer.add(name, tensor.detached()) }
    try writer.write(to: url)
  }

  private static func details(_ adapter: Adapter, head: Head?, of backbone: any Backbone) throws -> JSONValue {
    var details: JSONObject = [
      "format_version": .integer(version),
      "method": .string(type(of: adapter.configuration).method),
      "settings": .object(try adapter.configuration.settings()),
      "sites": .array(adapter.sites.map { .string($0.name) }),
      "backbone": ["fingerprint": .string(backbone.fingerprint), "feature_width": .integer(backbone.featureWidth)],
      "parameters": .integer(adapter.parameterCount),
    ]
    if let head { details["classes"] = .array(head.classes.map { .string($0) }) }
    return .object(details)
  }

  /// The saved adapter and its head on `backbone`.
  ///
  /// - Parameter allowingOtherBackbone: whether a network of another fingerprint than the one trained on is accepted.
  /// - Throws: `AdapterFolderError` listing what does not fit; `SafetensorsError`, `JSONError` or `FileError` for damaged files.
  public static func load(from folder: URL, onto backbone: any Backbone, allowingOtherBackbone: Bool = false) throws
    -> AdaptedModel
  {
    guard FileManager.default.fileExists(atPath: folder.appendingPathComponent(configurationName).path) else {
      throw AdapterFolderError.noAdapter(folder.path)
    }
    let weights = try SafetensorsFile(contentsOf: folder.appendingPathComponent(weightsName))
    let detailsFile = folder.appendingPathComponent(detailsName)
    guard FileManager.default.fileExists(atPath: detailsFile.path) else {
      let configuration = try JSONValue(contentsOf: folder.appendingPathComponent(configurationName))
      return AdaptedModel(
        backbone: backbone, adapter: try PEFTFormat.adapter(configuration, weights, on: backbone, folder: folder.path))
    }
    let details = try JSONValue(contentsOf: detailsFile)
    guard let format = details["format_version"]?.integer, format <= version else {
      throw AdapterFolderError.version(folder.path, details["format_version"]?.integer)
    }
    guard let method = details["method"]?.string, let settings = details["settings"]?.object,
      let names = details["sites"]?.array?.compactMap(\.string)
    else { throw AdapterFolderError.details(detailsFile.path) }
    if let trainedOn = details["backbone"]?["fingerprint"]?.string, trainedOn != backbone.fingerprint,
      !allowingOtherBackbone
    {
      throw AdapterFolderError.otherBackbone(folder.path, expected: trainedOn, found: backbone.fingerprint)
    }
    let byName = Dictionary(backbone.sites.map { ($0.name, $0) }) { first, _ in first }
    let sites = try names.map { name in
      guard let site = byName[name] else {
        throw AdapterFolderError.unknownSite(name, known: byName.keys.sorted())
      }
      return site
    }
    let configuration = try adapterConfiguration(named: method, settings: settings)
    let adapter = try Adapter(configuration, at: sites, of: backbone, generator: Generator(seed: 0))
    if let lora = configuration as? LoRA {
      try PEFTFormat.fill(adapter, lora, from: weights, on: backbone, folder: folder.path)
    } else {
      try fill(adapter.parameters, from: weights)
    }
    var model = AdaptedModel(backbone: backbone, adapter: adapter)
    if let classes = details["classes"]?.array?.compactMap(\.string) {
      let head = try Head(
        classes: classes, features: backbone.featureWidth, device: backbone.device, generator: Generator(seed: 0))
      try fill(head.parameters, from: SafetensorsFile(contentsOf: folder.appendingPathComponent(headName)))
      model.head = head
    }
    return model
  }

  /// Every tensor into the parameter of its name, each used once.
  static func fill(_ parameters: [Parameter], from file: SafetensorsFile) throws {
    let expected = Set(parameters.map(\.name))
    let found = Set(file.names)
    guard expected == found else {
      throw AdapterFolderError.names(
        file.url.path, missing: expected.subtracting(found).sorted(), unexpected: found.subtracting(expected).sorted())
    }
    for parameter in parameters { try parameter.load(file.tensor(parameter.name)) }
  }
}

extension AdaptedModel {
  /// Writes the adapter and the head; a few megabytes. See `AdapterFolder` for the files.
  public func save(to folder: URL) throws { try AdapterFolder.save(self, to: folder) }
}

extension Backbone {
  /// This backbone with a saved adapter, and its head where it has one.
  public func adapted(from folder: URL) throws -> AdaptedModel { try AdapterFolder.load(from: folder, onto: self) }
}

public enum AdapterFolderError: Error, Equatable, CustomStringConvertible {
  case noAdapter(String)
  case version(String, Int?)
  case details(String)
  case otherBackbone(String, expected: String, found: String)
  case unknownSite(String, known: [String])
  case names(String, missing: [String], unexpected: [String])
  case notFinite(String)
  case unsupported(String, String)

  public var description: String {
    switch self {
    case .noAdapter(let folder):
      "There is no adapter in \(folder): adapter_config.json is missing. Give the folder that an adapter was saved to."
    case .version(let folder, let version):
      "The adapter in \(folder) has format version \(version.map(String.init) ?? "none"); this program reads up to "
        + "\(AdapterFolder.version). Use a newer one."
    case .details(let file): "\(file) lacks the method, its settings or its sites. Save the adapter again."
    case .otherBackbone(let folder, let expected, let found):
      """
      The adapter in \(folder) was trained on another network, \(expected.prefix(12))… where this one is \
      \(found.prefix(12))…: other weights, or another pooling, activation or number of heads. Load the one it was trained \
      on, or allow another backbone explicitly.
      """
    case .unknownSite(let name, let known):
      "The backbone has no site '\(name)'.\(Suggestion.didYouMean(name, among: known))"
    case .names(let file, let missing, let unexpected):
      "\(file) does not hold this adapter."
        + Self.list(" Missing", missing, beside: unexpected) + Self.list(" Not part of it", unexpected, beside: missing)
    case .notFinite(let name):
      "'\(name)' holds NaN or infinity; nothing was written. The run that made it has diverged."
    case .unsupported(let folder, let what): "The adapter in \(folder) cannot be read: \(what)"
    }
  }

  private static func list(_ title: String, _ names: [String], beside others: [String]) -> String {
    guard !names.isEmpty else { return "" }
    let shown = names.prefix(8).map { name in
      Suggestion.closest(to: name, among: others, limit: 1).first.map { "\(name) (near \($0))" } ?? name
    }
    return "\(title) (\(names.count)): \(shown.joined(separator: ", "))\(names.count > 8 ? ", …" : "")."
  }
}
