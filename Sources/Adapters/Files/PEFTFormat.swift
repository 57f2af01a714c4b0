import Formats
import Foundation
import NeuralNetworks
import Tensors

/// Adapters in the files of Hugging Face PEFT 0.21.
///
/// `adapter_config.json` names the method, its settings and the modules; `adapter_model.safetensors` holds
/// `base_model.model.MODULE.SLOT`, modules being named as the wrapped network has them in memory. Queries, keys and values
/// that the file has apart are parts of a map here, so each keeps its own rank and factors.
enum PEFTFormat {
  static let configurationName = "adapter_config.json"
  static let weightsName = "adapter_model.safetensors"

  /// The methods that PEFT has too.
  static var methods: [any PEFTMethod.Type] { adapterMethods.compactMap { $0 as? any PEFTMethod.Type } }

  // MARK: Reading

  static func read(_ folder: AdapterSource, onto backbone: any Backbone, labels: [String]?) throws -> LoadedAdapter {
    let json = try folder.json(configurationName)
    let type = json["peft_type"]?.string
    let fields = json.object ?? JSONObject()
    let method = methods.first { $0.peftType == type && $0.isMeant(by: fields) }
    let known = Set(methods.map { $0.peftType }).sorted()
    let configuration = try PEFTConfiguration(json, reading: method?.peftFields, methods: known, folder: folder.path)
    guard let method else { throw AdapterFolderError.details(folder.path) }
    let weights = try folder.weights(weightsName, orPickle: "adapter_model.bin")
    let reader = try PEFTReader(configuration, weights, onto: backbone)
    let (adapter, head) = try reader.read(method, labels: labels)
    return LoadedAdapter(
      model: AdaptedModel(backbone: backbone, adapter: adapter, head: head), format: .peft,
      writer: configuration.version.map { "PEFT \($0)" }, notes: configuration.notes + reader.notes)
  }

  // MARK: Writing

  /// The two files, or why PEFT cannot hold the adapter. The head goes with them where the network has a place for it.
  static func files(for adapter: Adapter, head: Head?, in modules: PEFTModules) throws -> (
    configuration: JSONValue, groups: [FileGroup], holdsHead: Bool
  ) {
    guard let method = adapter.configuration as? any PEFTMethod else {
      throw AdapterFolderError.notWritable(
        .peft, "PEFT has no method \(type(of: adapter.configuration).method.lowercased()).")
    }
    var files = try method.peftFiles(adapter, in: modules)
    var saved = files.saved
    let place = modules.place(for: head)
    if let head, let place {
      saved.append(String(place.split(separator: ".").last ?? ""))
      files.groups += headGroups(head, at: place)
    }
    var configuration = files.configuration
    for (key, value) in common { configuration[key] = value }
    configuration["peft_type"] = .string(type(of: method).peftType)
    configuration["target_modules"] = targets(files.targets)
    configuration["modules_to_save"] = saved.isEmpty ? .null : .array(saved.sorted().map { .string($0) })
    var sorted = JSONObject()
    for key in configuration.keys.sorted() { sorted[key] = configuration[key] }
    return (.object(sorted), files.groups, place != nil)
  }

  /// What every method's configuration has. The version is that of the format, which decides how the projection inside
  /// `nn.MultiheadAttention` is read.
  private static let common: [(String, JSONValue)] = [
    ("auto_mapping", nil), ("base_model_name_or_path", nil), ("exclude_modules", nil), ("inference_mode", true),
    ("revision", nil), ("task_type", nil), ("peft_version", "0.21.2"),
  ]

  /// Full paths: a bare name such as "proj" would also match the patch embedding's convolution. A path of one name would
  /// match every module whose path ends in it, which only an expression for the whole path does not.
  private static func targets(_ paths: [String]) -> JSONValue {
    let paths = Set(paths).sorted()
    guard paths.contains(where: { !$0.contains(".") }) else { return .array(paths.map { .string($0) }) }
    return .string(paths.map { $0.replacing(".", with: #"\."#) }.joined(separator: "|"))
  }

  static func headGroups(_ head: Head, at module: String) -> [FileGroup] {
    [
      FileGroup("\(PEFTKey.prefix)\(module).weight", head.weight),
      FileGroup("\(PEFTKey.prefix)\(module).bias", head.bias),
    ]
  }
}

/// One adapter of PEFT on its way in.
private struct PEFTReader {
  let configuration: PEFTConfiguration
  let weights: SafetensorsFile
  let backbone: any Backbone
  private(set) var modules: PEFTModules
  private let keys: [PEFTKey]
  private let aside: Set<String>
  private(set) var notes: [String] = []

  init(_ configuration: PEFTConfiguration, _ weights: SafetensorsFile, onto backbone: any Backbone) throws {
    self.configuration = configuration
    self.weights = weights
    self.backbone = backbone
    keys = weights.names.compactMap(PEFTKey.init)
    let wholeModels = ["CLIP", "CustomTextCLIP", "CoCa"]
    let model = configuration.json["auto_mapping"]?["base_model_class"]?.string
    modules = .spelling(keys.map(\.module), backbone, isWholeCLIP: model.map(wholeModels.contains) ?? false)
    modules.updatesInsideAttention = Self.addsTwice(configuration.version) ? 2 : 1
    var reasons: [String: [String]] = [:]
    for key in keys {
      if case .aside(let reason) = modules.place(of: key.module) { reasons[reason, default: []].append(key.name) }
    }
    aside = Set(reasons.values.joined())
    notes = reasons.sorted { $0.key < $1.key }.map { reason, names in
      "\(names.count) tensor\(names.count == 1 ? "" : "s") left out: \(reason)"
    }
  }

  func read(_ method: any PEFTMethod.Type, labels: [String]?) throws -> (Adapter, Head?) {
    try checkAttention()
    let maps = try modules.maps.filter { try configuration.targets.contains($0.target) && !isSaved($0.target) }
    let (settings, sites) = try method.readAny(configuration, maps, in: modules)
    let adapter: Adapter
    do {
      adapter = try Adapter(
        settings, at: sites, of: backbone, generator: Generator(seed: 0), initialSeed: nil)
    } catch let error
      as AdapterError
    { throw AdapterFolderError.unsupported(configuration.folder, error.description) }
    let files = try settings.peftFiles(adapter, in: modules)
    let (head, headGroups) = try self.head(labels: labels)
    try (files.groups + headGroups).load(from: weights, aside: aside)
    return (adapter, head)
  }

  /// Files of before 0.13 name no version.
  private static func addsTwice(_ version: String?) -> Bool {
    let numbers = (version ?? "").split(separator: ".").prefix(2).compactMap { Int($0) }
    return numbers.count < 2 || (numbers[0], numbers[1]) <= (0, 21)
  }

  private func isSaved(_ module: String) -> Bool {
    configuration.modulesToSave.contains { module == $0 || module.hasSuffix(".\($0)") }
  }

  /// PEFT lets LoRA be put on the projection inside `nn.MultiheadAttention`, whose forward pass never runs it.
  private func checkAttention() throws {
    for key in keys where !key.isInsideWrapped {
      guard case .added = key.slot, case .module? = modules.place(of: key.module),
        let map = modules.maps.first(where: {
          $0.isInsideAttention && $0.key.replacing(".base_layer", with: "") == key.module
        })
      else { continue }
      throw AdapterFolderError.unsupported(
        configuration.folder,
        """
        '\(key.module)' is adapted inside '\(map.target)', an nn.MultiheadAttention that never runs it: in PEFT this part \
        has no effect. Train again with "\(map.target.split(separator: ".").last ?? "attn")" in target_modules.
        """)
    }
  }

  /// The classifier that the file has, or that the backbone's file has and whose bias the adapter trained.
  private func head(labels: [String]?) throws -> (Head?, [FileGroup]) {
    guard let module = modules.head else { return (nil, []) }
    let (weight, bias) = ("\(PEFTKey.prefix)\(module).weight", "\(PEFTKey.prefix)\(module).bias")
    let isSaved = configuration.modulesToSave.contains { module.hasSuffix($0) }
    let trainsBias = configuration.json["bias"]?.string == "all" && weights[bias] != nil
    guard isSaved || trainsBias else { return (nil, []) }
    guard modules.names.classifierReads(backbone) else {
      throw AdapterFolderError.unsupported(
        configuration.folder,
        """
        its classifier '\(module)' is one on the pooler's output, and this backbone's features are pooled otherwise. Open \
        the backbone with the pooling "pooler".
        """)
    }
    guard let count = (weights[weight] ?? weights[bias])?.shape.first, count > 1 else {
      throw AdapterFolderError.names(weights.url.path, missing: [weight, bias], unexpected: [])
    }
    try Head.check(weights, weight, bias, count: count, features: backbone.featureWidth)
    let head = try Head(count: count, labels: labels, of: backbone)
    if isSaved { return (head, PEFTFormat.headGroups(head, at: module)) }
    guard let classifier = (backbone as? any PretrainedNetwork)?.pretrainedClassifier,
      classifier.weight.shape == head.weight.value.shape
    else {
      throw AdapterFolderError.unsupported(
        configuration.folder,
        "it trained the bias of the classifier '\(module)' of \(count) classes, and this backbone's file has none such."
      )
    }
    try head.weight.load(classifier.weight)
    return (head, [FileGroup(bias, head.bias)])
  }
}

extension PEFTMethod {
  /// `read`, where only the type's existence is known.
  fileprivate static func readAny(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws
    -> (any PEFTMethod, [Site])
  {
    let (configuration, sites) = try read(file, maps, in: modules)
    return (configuration, sites)
  }
}
