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
/// | `head.safetensors`          | the classifier, where there is one and PEFT's file has no place for it    |
///
/// Folders of PEFT, mlx-lm and AdapterHub are read too: `format(of:)` tells which program wrote one.
///
/// Loading is all or nothing: every tensor of the file is used and every parameter filled, or an error lists both sides.
public enum AdapterFolder {
  static let detailsName = "graft.json"
  static let headName = "head.safetensors"
  /// 3 where a classifier normalizes its features, which a reader of 2 would not do.
  static let version = 3

  /// Writes the folder, whole or not at all; the same adapter gives the same bytes. An adapter already there is left as it
  /// is.
  ///
  /// - Parameters:
  ///   - format: the program that is to read it; `.graft` keeps everything and is read by PEFT as well, unless the adapter
  ///     is pruned: of tensors that are mostly zeros it keeps only what is not.
  ///   - names: how the modules are named in the file; nil for the names that the library of the backbone's file has today.
  /// - Throws: `FileError` where the disk refuses or the folder is not empty, `AdapterFolderError.notFinite` for a
  ///   parameter with NaN or infinity, `.notWritable` for what the other program has no words for.
  public static func save(
    _ model: AdaptedModel, to folder: URL, as format: AdapterFormat = .graft, names: ModuleNames? = nil
  ) throws {
    for parameter in model.parameters + model.adapter.frozen where try !parameter.value.detached().isAllFinite() {
      throw AdapterFolderError.notFinite(parameter.name, file: nil)
    }
    let files: AdapterFiles
    switch format {
    case .graft: files = try graftFiles(model, names)
    case .peft:
      let (configuration, groups, holdsHead) = try peftFiles(model, names)
      guard holdsHead || model.head == nil else {
        throw AdapterFolderError.notWritable(
          .peft,
          "the network that PEFT would wrap has no classifier for the head. Leave the head out, or save "
            + "it in Graft's format.")
      }
      files = AdapterFiles(
        [(PEFTFormat.configurationName, configuration)], [(PEFTFormat.weightsName, try groups.tensors())])
    case .mlx: files = try MLXFormat.files(for: model, names)
    case .adapterHub: files = try AdapterHubFormat.files(for: model)
    }
    try files.write(to: folder)
  }

  /// Which program wrote a folder.
  ///
  /// - Throws: `AdapterFolderError.noAdapter`, or `.unsupported` for a configuration of none of them.
  public static func format(of folder: URL) throws -> AdapterFormat {
    let source = AdapterSource(url: folder)
    if source.has(detailsName) { return .graft }
    guard source.has(PEFTFormat.configurationName) else { throw AdapterFolderError.noAdapter(folder.path) }
    let json = try source.json(PEFTFormat.configurationName)
    if json["peft_type"] != nil { return .peft }
    if json["lora_parameters"] != nil || json["fine_tune_type"] != nil { return .mlx }
    if json["config"] != nil, json["model_type"] != nil || json["hidden_size"] != nil { return .adapterHub }
    throw AdapterFolderError.unsupported(
      folder.path,
      "adapter_config.json has none of the fields of PEFT (peft_type), mlx-lm (lora_parameters) or AdapterHub.")
  }

  /// The saved adapter and its head on `backbone`, whichever program wrote it.
  ///
  /// - Parameters:
  ///   - labels: the names of the classes, for a head whose file has none.
  ///   - allowingOtherBackbone: whether a network of another fingerprint than the one trained on is accepted. Only Graft's
  ///     own folders know theirs.
  /// - Throws: `AdapterFolderError` listing what does not fit; `SafetensorsError`, `JSONFileError` or `FileError` for damaged files.
  public static func read(
    from folder: URL, onto backbone: any Backbone, labels: [String]? = nil, allowingOtherBackbone: Bool = false
  ) throws -> LoadedAdapter {
    let source = AdapterSource(url: folder)
    switch try format(of: folder) {
    case .graft:
      return LoadedAdapter(
        model: try readOwn(source, onto: backbone, allowingOtherBackbone), format: .graft, writer: nil, notes: [])
    case .peft: return try PEFTFormat.read(source, onto: backbone, labels: labels)
    case .mlx: return try MLXFormat.read(source, onto: backbone)
    case .adapterHub: return try AdapterHubFormat.read(source, onto: backbone, labels: labels)
    }
  }

  /// `read`, without what the files say about themselves.
  public static func load(from folder: URL, onto backbone: any Backbone, allowingOtherBackbone: Bool = false) throws
    -> AdaptedModel
  { try read(from: folder, onto: backbone, allowingOtherBackbone: allowingOtherBackbone).model }

  // MARK: Graft's own files

  private static func peftFiles(_ model: AdaptedModel, _ names: ModuleNames?) throws -> (
    configuration: JSONValue, groups: [FileGroup], holdsHead: Bool
  ) {
    let modules = PEFTModules(model.backbone, names ?? .current(model.backbone, withClassifier: model.head != nil))
    return try PEFTFormat.files(for: model.adapter, head: model.head, in: modules)
  }

  private static func graftFiles(_ model: AdaptedModel, _ names: ModuleNames?) throws -> AdapterFiles {
    let adapter = model.adapter
    var details = try details(of: model)
    var files = AdapterFiles([], [])
    var holdsHead = false
    var sparse = SparseTensors()
    let tensors = try sparse.encoded(adapter.stored.map { ($0.name, $0.value) })
    do {
      // PEFT would warn of names that it does not know and go on with an adapter that changes nothing.
      if sparse.json != nil { throw AdapterFolderError.notWritable(.peft, "it knows no sparse tensors.") }
      let names = names ?? .current(model.backbone, withClassifier: model.head != nil)
      let peft = try peftFiles(model, names)
      details["names"] = ["library": .string(names.library), "prefix": .string(names.prefix)]
      files.documents.append((PEFTFormat.configurationName, peft.configuration))
      files.weights.append((PEFTFormat.weightsName, try peft.groups.tensors()))
      holdsHead = peft.holdsHead
    } catch AdapterFolderError.notWritable {
      var configuration = try adapter.configuration.settings()
      configuration["peft_type"] = .string("GRAFT_\(type(of: adapter.configuration).method)")
      files.documents.append((PEFTFormat.configurationName, .object(configuration)))
      files.weights.append((PEFTFormat.weightsName, tensors))
      details["sparse"] = sparse.json
    }
    if let head = model.head, !holdsHead {
      files.weights.append((headName, head.parameters.map { ($0.name, $0.value) }))
    }
    files.documents.append((detailsName, .object(details)))
    return files
  }

  private static func details(of model: AdaptedModel) throws -> JSONObject {
    let (adapter, backbone) = (model.adapter, model.backbone)
    var details: JSONObject = [
      "format_version": .integer(model.head?.normalizesFeatures == true ? version : 2),
      "method": .string(type(of: adapter.configuration).method),
      "settings": .object(try adapter.configuration.settings()),
      "sites": .array(adapter.sites.map { .string($0.name) }),
      "backbone": ["fingerprint": .string(backbone.fingerprint), "feature_width": .integer(backbone.featureWidth)],
      "parameters": .integer(adapter.parameterCount),
    ]
    // In decimal digits: JSON's numbers are doubles to most readers, and seeds have 64 bits.
    details["initial_seed"] = adapter.initialSeed.map { .string(String($0)) }
    if let head = model.head {
      details["head"] = .string(head.name)
      details["classes"] = .array(head.classes.map { .string($0) })
      if head.normalizesFeatures { details["head_features"] = "normalized" }
    }
    return details
  }

  private static func readOwn(_ source: AdapterSource, onto backbone: any Backbone, _ allowingOtherBackbone: Bool)
    throws -> AdaptedModel
  {
    guard source.has(PEFTFormat.configurationName) else { throw AdapterFolderError.noAdapter(source.path) }
    let weights = try source.weights(PEFTFormat.weightsName, orPickle: "adapter_model.bin")
    let details = try source.json(detailsName)
    guard let format = details["format_version"]?.integer, format <= version else {
      throw AdapterFolderError.version(source.path, details["format_version"]?.integer)
    }
    guard let method = details["method"]?.string, let settings = details["settings"]?.object,
      let names = details["sites"]?.array?.compactMap(\.string)
    else { throw AdapterFolderError.details(source.url.appendingPathComponent(detailsName).path) }
    if let trainedOn = details["backbone"]?["fingerprint"]?.string, trainedOn != backbone.fingerprint,
      !allowingOtherBackbone
    {
      throw AdapterFolderError.otherBackbone(source.path, expected: trainedOn, found: backbone.fingerprint)
    }
    let byName = Dictionary(backbone.sites.flatMap { [$0] + $0.parts }.map { ($0.name, $0) }) { first, _ in first }
    let sites = try names.map { name in
      guard let site = byName[name] else { throw AdapterFolderError.unknownSite(name, known: byName.keys.sorted()) }
      return site
    }
    let configuration = try adapterConfiguration(named: method, settings: settings)
    let initialSeed = try details["initial_seed"].map { field in
      guard let seed = field.string.flatMap(UInt64.init) else {
        throw AdapterFolderError.details(source.url.appendingPathComponent(detailsName).path)
      }
      return seed
    }
    let adapter = try Adapter(
      configuration, at: sites, of: backbone, generator: Generator(seed: initialSeed ?? 0), initialSeed: initialSeed)
    var model = AdaptedModel(backbone: backbone, adapter: adapter)
    if let classes = details["classes"]?.array?.compactMap(\.string) {
      let features = details["head_features"]
      guard features == nil || features == "normalized" else {
        throw AdapterFolderError.details(source.url.appendingPathComponent(detailsName).path)
      }
      model.head = try Head(
        details["head"]?.string ?? "classifier", classes: classes, features: backbone.featureWidth,
        normalizesFeatures: features != nil, device: backbone.device, generator: Generator(seed: 0))
    }
    var groups = adapter.stored.map { FileGroup($0.name, $0) }
    var holdsHead = false
    if let names = try spelling(details, format, configuration, source.path, of: backbone) {
      let peft = try PEFTFormat.files(
        for: adapter, head: format == 1 ? nil : model.head, in: PEFTModules(backbone, names))
      (groups, holdsHead) = (peft.groups, peft.holdsHead)
    }
    try groups.load(from: weights, sparse: SparseTensors(json: details["sparse"]))
    if let head = model.head, !holdsHead {
      try head.parameters.map { FileGroup($0.name, $0) }.load(from: source.weights(headName, orPickle: "head.bin"))
    }
    return model
  }
}

extension AdapterFolder {
  /// How the tensors of one of our folders are named: as PEFT's where it says so; nil for our own names. The first version
  /// wrote LoRA under the names of the backbone's file, and the head apart.
  fileprivate static func spelling(
    _ details: JSONValue, _ version: Int, _ configuration: any AdapterConfiguration, _ folder: String,
    of backbone: any Backbone
  ) throws -> ModuleNames? {
    guard version > 1 else { return configuration is LoRA ? .ofFile(backbone) : nil }
    guard let names = details["names"], !names.isNull else { return nil }
    guard let spelling = ModuleNames(library: names["library"]?.string ?? "", prefix: names["prefix"]?.string ?? "")
    else {
      throw AdapterFolderError.unsupported(
        folder, "its modules are named as in \(try names.text()), which is not known.")
    }
    return spelling
  }
}

extension AdaptedModel {
  /// Writes the adapter and the head; a few megabytes. See `AdapterFolder` for the files.
  public func save(to folder: URL, as format: AdapterFormat = .graft) throws {
    try AdapterFolder.save(self, to: folder, as: format)
  }

  /// Writes them in place of what a process left that ended between saving and saying so.
  package func saveAgain(to folder: URL) throws {
    if FileManager.default.fileExists(atPath: folder.path) { try FileManager.default.removeItem(at: folder) }
    try save(to: folder)
  }
}

extension Backbone {
  /// This backbone with a saved adapter, and its head where it has one.
  public func adapted(from folder: URL) throws -> AdaptedModel { try AdapterFolder.load(from: folder, onto: self) }
}
