import Formats
import Foundation
import NeuralNetworks
import Tensors

/// LoRA and bottleneck adapters in the files of AdapterHub's `adapters` 1.3.
///
/// `adapter_config.json` holds the method's settings under `config`, `adapter.safetensors` the tensors, in the modules' names
/// of transformers 4: `MODULE.loras.NAME.lora_A`, `BLOCK.output.output_adapters.adapters.NAME.adapter_up.weight`. A head is
/// in `head_config.json` and `model_head.safetensors`, with the names of its classes.
enum AdapterHubFormat {
  static let configurationName = "adapter_config.json"
  static let weightsName = "adapter.safetensors"
  static let headConfigurationName = "head_config.json"
  static let headWeightsName = "model_head.safetensors"
  /// The name of what is written here.
  private static let name = "graft"

  // MARK: Reading

  static func read(_ source: AdapterSource, onto backbone: any Backbone, labels: [String]?) throws -> LoadedAdapter {
    for fusion in ["adapter_fusion_config.json", "adapter_setup.json"] where source.has(fusion) {
      throw AdapterFolderError.unsupported(
        source.path, "\(fusion) puts several adapters together, which is not supported.")
    }
    let json = try source.json(configurationName)
    guard let fields = json["config"]?.object, let name = json["name"]?.string, !name.isEmpty,
      !name.contains(where: { "./\\".contains($0) })
    else {
      throw AdapterFolderError.unsupported(
        source.path, "adapter_config.json lacks its config, or a name without dots and slashes.")
    }
    let settings = AdapterHubSettings(fields, folder: source.path)
    let weights = try source.weights(weightsName, orPickle: "pytorch_adapter.bin")
    let (adapter, notes): (Adapter, [String])
    if let architecture = fields["architecture"], !architecture.isNull {
      guard architecture == "lora" else {
        throw AdapterFolderError.setting(
          source.path, field: "architecture", value: try architecture.text(),
          reason: "of AdapterHub's methods LoRA and bottleneck adapters are read.")
      }
      adapter = try readLoRA(settings, weights, name, onto: backbone)
      notes = settings.trainingNotes(except: ["dropout"])
    } else {
      adapter = try readBottleneck(settings, weights, name, onto: backbone)
      notes = settings.trainingNotes(except: adapter.configuration is AdapterPlus ? ["stochastic_depth"] : [])
    }
    let hasHead = source.has(headConfigurationName)
    let isLeftOut = try hasHead && !headFits(source, backbone)
    let head = isLeftOut ? nil : try readHead(source, name, onto: backbone, labels: labels)
    return LoadedAdapter(
      model: AdaptedModel(backbone: backbone, adapter: adapter, head: head), format: .adapterHub,
      writer: json["version"]?.string.map { "AdapterHub \($0)" },
      notes: notes + (isLeftOut ? ["its head was left out: it is no one layer on this backbone's features"] : []))
  }

  /// Whether a head is one layer on the features. On text that is only so for transformers' BERT, whose classifier reads what
  /// the pooler makes.
  private static func headFits(_ source: AdapterSource, _ backbone: any Backbone) throws -> Bool {
    guard backbone is TextTransformer else { return true }
    let isFlexible = try source.json(headConfigurationName)["config"]?.object != nil
    return !isFlexible && ModuleNames.ofFile(backbone).classifierReads(backbone)
  }

  private static func readLoRA(
    _ settings: AdapterHubSettings, _ weights: SafetensorsFile, _ name: String, onto backbone: any Backbone
  ) throws -> Adapter {
    let (lora, roles) = try settings.lora()
    let paths = weights.names.compactMap { name in name.range(of: ".loras.").map { String(name[..<$0.lowerBound]) } }
    let modules = PEFTModules.spelling(paths, backbone)
    let sites = modules.maps.map(\.site).filter { site in
      roles.contains(site.role) && !settings.leftOut.contains(site.block ?? -1)
    }
    guard !sites.isEmpty else {
      throw AdapterFolderError.unsupported(settings.folder, "none of its modules is a linear map of this backbone.")
    }
    let adapter = try Adapter(
      lora, at: sites, of: backbone, generator: Generator(seed: 0), initialSeed: nil)
    try loraLayout(adapter, lora, name, in: modules).groups.load(from: weights)
    return adapter
  }

  private static func readBottleneck(
    _ settings: AdapterHubSettings, _ weights: SafetensorsFile, _ name: String, onto backbone: any Backbone
  ) throws -> Adapter {
    let configuration = try settings.bottleneck(
      streamWidth: backbone.branches.first?.width ?? 0, normalizesAfter: backbone is TextTransformer)
    let sites = backbone.sites.filter { !settings.leftOut.contains($0.block ?? -1) }
    let adapter = try Adapter(
      configuration, at: sites, of: backbone, generator: Generator(seed: 0), initialSeed: nil)
    // The spelling under which the most of the file's names are wanted.
    let found = Set(weights.names)
    let groups = try spellings(backbone).map { try bottleneckGroups(adapter, name, of: backbone, $0) }
    guard let best = groups.max(by: { found.intersection($0.names).count < found.intersection($1.names).count }) else {
      throw AdapterFolderError.unsupported(settings.folder, "its modules have no names in this backbone.")
    }
    try best.load(from: weights)
    return adapter
  }

  private static func readHead(_ source: AdapterSource, _ name: String, onto backbone: any Backbone, labels: [String]?)
    throws -> Head?
  {
    guard source.has(headConfigurationName) else { return nil }
    let json = try source.json(headConfigurationName)
    let weights = try source.weights(headWeightsName, orPickle: "pytorch_model_head.bin")
    let flexible = json["config"]?.object
    if let flexible {
      for (field, plain) in [("layers", JSONValue.integer(1)), ("use_pooler", false)]
      where flexible[field] ?? plain != plain {
        throw AdapterFolderError.setting(
          source.path, field: field, value: try flexible[field]?.text() ?? "",
          reason: "only a head of one linear layer on the class token is read.")
      }
    }
    let module = flexible == nil ? "classifier" : "heads.\(json["name"]?.string ?? name).1"
    guard let count = weights["\(module).weight"]?.shape.first, count > 1 else {
      throw AdapterFolderError.names(
        weights.url.path, missing: ["\(module).weight", "\(module).bias"], unexpected: weights.names.sorted())
    }
    try Head.check(
      weights, "\(module).weight", "\(module).bias", count: count, features: backbone.featureWidth)
    let known = (flexible?["label2id"] ?? json["label2id"])?.object?.members.compactMap { label, index in
      index.integer.map { ($0, label) }
    }.sorted { $0.0 < $1.0 }
    let own = known.flatMap { known in known.map(\.0) == Array(0..<count) ? known.map(\.1) : nil }
    let head = try Head(
      json["name"]?.string ?? "classifier", count: count, labels: labels ?? own, of: backbone)
    try headGroups(head, at: module).load(from: weights)
    return head
  }

  // MARK: Writing

  static func files(for model: AdaptedModel) throws -> AdapterFiles {
    let (adapter, backbone) = (model.adapter, model.backbone)
    let isText = backbone is TextTransformer
    let spellings = spellings(backbone)
    let own = ModuleNames.current(backbone, withClassifier: model.head != nil).prefix
    guard let names = spellings.first(where: { $0.prefix == (isText ? own : "vit.") }) ?? spellings.first else {
      throw AdapterFolderError.notWritable(
        .adapterHub, "`adapters` has ViT, CLIP, BERT, RoBERTa and DistilBERT of transformers 4 only.")
    }
    let depth = (backbone.sites.blocks.last ?? -1) + 1
    var groups: [FileGroup]
    var settings: JSONObject
    let blocks: Set<Int>
    if let lora = adapter.configuration as? LoRA {
      let layout = try loraLayout(adapter, lora, name, in: PEFTModules(backbone, names))
      groups = layout.groups
      blocks = Set(layout.modules.compactMap(\.map.site.block))
      settings = try AdapterHubSettings.fields(lora, layout.modules.map(\.map.site), blocks: blocks.count)
    } else {
      settings = try AdapterHubSettings.fields(
        adapter.configuration, streamWidth: backbone.branches.first?.width ?? 0,
        normalizesAfter: backbone is TextTransformer)
      blocks = Set(adapter.sites.blocks)
      groups = try bottleneckGroups(adapter, name, of: backbone, names)
    }
    settings["leave_out"] = .array((0..<depth).filter { !blocks.contains($0) }.map { .integer($0) })
    let (type, bare, classifying) = modelClasses(names)
    let about: [(String, JSONValue)] = [
      ("hidden_size", .integer(backbone.sites.first?.inFeatures ?? 0)),
      ("model_class", .string(model.head == nil ? bare : classifying ?? bare)), ("model_name", ""),
      ("model_type", .string(type)), ("version", "adapters.1.3.0"),
    ]
    func document(_ members: [(String, JSONValue)]) -> JSONValue {
      var object = JSONObject()
      for (key, value) in (about + members).sorted(by: { $0.0 < $1.0 }) { object[key] = value }
      return .object(object)
    }
    var files = AdapterFiles(
      [(configurationName, document([("config", .object(settings)), ("name", .string(name))]))],
      [(weightsName, try groups.tensors())])
    if let head = model.head {
      guard !head.normalizesFeatures else {
        throw AdapterFolderError.notWritable(.adapterHub, "it has no classifier by the cosine. Leave the head out.")
      }
      guard classifying != nil, names.classifierReads(backbone) else {
        throw AdapterFolderError.notWritable(
          .adapterHub, "\(bare) has no classifier there of one layer on these features.")
      }
      var labels = JSONObject()
      for (index, label) in head.classes.enumerated() { labels[label] = .integer(index) }
      files.documents.append(
        (
          headConfigurationName,
          document([
            ("config", nil), ("label2id", .object(labels)), ("name", nil), ("num_labels", .integer(head.classes.count)),
          ])
        ))
      files.weights.append((headWeightsName, try headGroups(head, at: "classifier").tensors()))
    }
    return files
  }

  // MARK: Names

  /// The names of the models that `adapters` knows.
  private static func spellings(_ backbone: any Backbone) -> [ModuleNames] {
    let library = ModuleNames.ofFile(backbone).library
    // Its ViT has the names of version 4; those of the others have not changed since.
    let family = library.hasSuffix(" of transformers") ? library : "ViT of transformers 4"
    return ModuleNames.known.filter { $0.library == family && ($0.prefix != "deit." && !$0.prefix.hasPrefix("dinov2")) }
  }

  /// What `adapters` calls the model: its type, its class, and that of the model with a classifier.
  private static func modelClasses(_ names: ModuleNames) -> (type: String, bare: String, classifying: String?) {
    switch names.library {
    case "CLIP of transformers": ("clip_vision_model", "CLIPVisionModel", nil)
    case "BERT of transformers": ("bert", "BertModel", "BertForSequenceClassification")
    case "RoBERTa of transformers": ("roberta", "RobertaModel", nil)
    case "DistilBERT of transformers": ("distilbert", "DistilBertModel", nil)
    default: ("vit", "ViTModel", "ViTForImageClassification")
    }
  }

  private static func loraLayout(_ adapter: Adapter, _ lora: LoRA, _ name: String, in modules: PEFTModules) throws
    -> SiteLayout
  {
    let slots = [
      SiteSlot(ours: "lora_A", theirs: "lora_A", extent: .ranks),
      SiteSlot(ours: "lora_B", theirs: "lora_B", extent: .rows),
    ]
    return try SiteLayout(
      adapter, in: modules, format: .adapterHub, slots: { _ in slots }, strength: lora.strength,
      name: { "\($0.key).loras.\(name).\($1.theirs)" })
  }

  private static func headGroups(_ head: Head, at module: String) -> [FileGroup] {
    [FileGroup("\(module).weight", head.weight), FileGroup("\(module).bias", head.bias)]
  }

  private static func bottleneckGroups(
    _ adapter: Adapter, _ name: String, of backbone: any Backbone, _ names: ModuleNames
  ) throws -> [FileGroup] {
    let parameters = Dictionary(adapter.parameters.map { ($0.name, $0) }) { first, _ in first }
    return try backbone.branches.flatMap { branch -> [FileGroup] in
      guard let place = bottleneckPlace(branch, names) else {
        throw AdapterFolderError.notWritable(.adapterHub, "'\(branch.name)' has no module of its own in \(names).")
      }
      return [
        ("adapter_down.0.weight", "down.weight"), ("adapter_down.0.bias", "down.bias"),
        ("adapter_up.weight", "up.weight"), ("adapter_up.bias", "up.bias"), ("scaling", "scale"),
      ].compactMap { theirs, ours in
        parameters["\(branch.name).adapter.\(ours)"].map {
          FileGroup("\(place).adapters.\(name).\(theirs)", $0)
        }
      }
    }
  }

  /// The module that the adapters of a branch are in: in BERT and RoBERTa that of the branch's last map and its LayerNorm, in
  /// the others one of the block, which is where its first LayerNorm lies.
  private static func bottleneckPlace(_ branch: Branch, _ names: ModuleNames) -> String? {
    func parent(_ name: String) -> Substring? {
      names.module(at: "blocks.\(branch.block).\(name)").flatMap { module in
        module.lastIndex(of: ".").map { module[..<$0] }
      }
    }
    switch (names.library, branch.kind) {
    case ("BERT of transformers", _), ("RoBERTa of transformers", _):
      return parent(branch.kind == .mlp ? "mlp.fc2" : "attn.proj").map(String.init)
    case (_, .attention): return parent("norm1").map { "\($0).attention_adapters" }
    case ("CLIP of transformers", .mlp), ("DistilBERT of transformers", .mlp):
      return parent("norm1").map { "\($0).output_adapters" }
    case (_, .mlp): return parent("norm1").map { "\($0).output.output_adapters" }
    }
  }
}
