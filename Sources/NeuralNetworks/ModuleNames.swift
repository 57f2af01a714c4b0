/// How one library names the modules of a transformer in memory, as the adapter files written beside it do:
/// `blocks.3.attn.qkv` in timm, `vit.layers.3.attention.q_proj` in transformers 5.
///
/// One network goes by several of these. Transformers renamed its ViT and DINOv2 from version 4 to 5, and weights on disk
/// keep the old names; a tower is wrapped alone or inside its model, which adds a prefix.
public struct ModuleNames: Sendable, CustomStringConvertible {
  /// The library, with the network and the version where the names depend on them: each set of names has another.
  public let library: String
  /// What stands before every name: `vit.`, `visual.`, or nothing.
  public let prefix: String
  /// Nil where the backbone's own names are meant.
  private let names: WeightNames?
  private let modules: [String: String]

  /// What a module is.
  public enum Place: Hashable, Sendable {
    /// A module of the backbone under our name: `blocks.3.attn.qkv`, `blocks.3.attn.qkv.query`, `blocks.3.norm1`, `norm`.
    case module(String)
    /// The classifier over the features.
    case head
    /// No part of the backbone or of a classifier that can be one here, and why.
    case aside(String)
  }

  init(_ names: WeightNames?, library: String, prefix: String) {
    self.names = names
    self.library = library
    self.prefix = prefix
    var modules: [String: String] = [:]
    // DeiT has two names for its classifier; the shorter one is what all others have.
    let table = (names.map { Array($0.outer) + Array($0.inner) } ?? []).sorted {
      ($0.key.count, $0.key) < ($1.key.count, $1.key)
    }
    for (theirs, place) in table {
      guard let module = Self.module(theirs), let ours = Self.ours(place) else { continue }
      modules[ours] = modules[ours] ?? module
    }
    self.modules = modules
  }

  /// Every spelling that is known, the current ones first.
  public static let known: [ModuleNames] = tables.flatMap { library, names in
    names.prefixes.map { ModuleNames(names, library: library, prefix: $0) }
  }

  private static let tables: [(library: String, names: WeightNames)] = [
    ("timm", .timm), ("ViT of transformers 5", .huggingFaceViT5), ("ViT of transformers 4", .huggingFaceViT),
    ("DINOv2 of transformers 5", .dinov2Names5), ("DINOv2 of transformers 4", .dinov2), ("CLIP of transformers", .clip),
    ("open_clip", .openCLIP), ("BERT of transformers", .bert), ("RoBERTa of transformers", .roberta),
    ("DistilBERT of transformers", .distilBERT),
  ]

  /// The backbone's own names, for one that no known library has.
  static let own = ModuleNames(nil, library: "Graft", prefix: "")

  /// The spelling of a library, where it is known.
  public init?(library: String, prefix: String) {
    guard let known = (Self.known + [.own]).first(where: { $0.library == library && $0.prefix == prefix }) else {
      return nil
    }
    self = known
  }

  /// The names of the file that the backbone was read from.
  public static func ofFile(_ backbone: any Backbone) -> ModuleNames {
    known.first { names in
      names.fits(backbone) && backbone.sites.allSatisfy { names.modules(at: $0.name) == backbone.modules(at: $0) }
    } ?? .own
  }

  /// The names that the library of the backbone's file has in memory today: where transformers 5 reads a file of version 4,
  /// those of version 5.
  ///
  /// - Parameter withClassifier: whether the model meant is the one with a classifier, whose backbone has a prefix.
  public static func current(_ backbone: any Backbone, withClassifier: Bool = false) -> ModuleNames {
    let file = ofFile(backbone)
    let library = file.library.replacing("transformers 4", with: "transformers 5")
    if case .text = file.names?.family {
      // Models with a classifier of one layer, or of two, have the backbone behind a prefix; the bare one has none.
      let prefixed = file.names?.prefixes.first { !$0.isEmpty }
      return withClassifier && file.classifierReads(backbone)
        ? ModuleNames(library: library, prefix: prefixed ?? "") ?? file : file
    }
    guard withClassifier, file.prefix.isEmpty, library.hasSuffix("transformers 5") else {
      return ModuleNames(library: library, prefix: file.prefix) ?? file
    }
    let tensors = Set(backbone.tensors.map(\.name))
    let prefix =
      library.hasPrefix("DINOv2")
      ? (tensors.contains("reg_token") ? "dinov2_with_registers." : "dinov2.")
      : (tensors.contains("dist_token") ? "deit." : "vit.")
    return ModuleNames(library: library, prefix: prefix) ?? file
  }

  /// Whether a network of this library can be the backbone: of vision transformers CLIP's has a LayerNorm before its blocks,
  /// DINOv2's scales its branches, and ViT has neither.
  public func fits(_ backbone: any Backbone) -> Bool {
    if let text = backbone as? TextTransformer {
      return names.map { $0.family == .text(text.configuration.family) } ?? true
    }
    if case .text = names?.family { return false }
    let isCLIP = backbone.layerNorms.contains("norm_pre")
    let isScaled = backbone.tensors.contains { $0.name == "blocks.0.ls1.gamma" }
    switch library.prefix(4) {
    case "CLIP", "open": return isCLIP
    case "DINO": return isScaled
    case "ViT ": return !isCLIP && !isScaled
    default: return true
    }
  }

  /// How many features the library's classifier takes for each of the backbone's width: DINOv2's takes the class token and
  /// the mean of the patches.
  public var classifierInputs: Int { library.hasPrefix("DINOv2") ? 2 : 1 }

  /// Whether the library's classifier is one linear map of what the backbone's features are. BERT's reads the pooler's output;
  /// those of RoBERTa and DistilBERT have a layer of their own before it.
  public func classifierReads(_ backbone: any Backbone) -> Bool {
    guard module(at: "head") != nil, let text = backbone as? TextTransformer else { return module(at: "head") != nil }
    return text.configuration.pooling == .pooler
  }

  /// Where a module belongs; nil for a name that this library does not have.
  public func place(of module: String) -> Place? {
    guard let names else { return .module(module) }
    let places = [".weight", ".in_proj_weight"].compactMap { names.place(of: module + $0, prefix: prefix) }
    if let ours = places.lazy.compactMap(Self.ours).first { return ours == "head" ? .head : .module(ours) }
    for case .ignored(let reason) in places { return .aside(reason) }
    return nil
  }

  /// The modules that make up a site or another module of ours: one, or query, key and value, or none.
  public func modules(at name: String) -> [String] {
    if let module = module(at: name) { return [module] }
    let parts = Self.parts.compactMap { module(at: "\(name).\($0)") }
    return parts.count == Self.parts.count ? parts : []
  }

  /// The one module that stands for a site, a part of one, or another module of ours; nil where there is none.
  public func module(at name: String) -> String? {
    guard let names else { return name }
    if name == "head" { return modules[name] }
    let parts = name.split(separator: ".", maxSplits: 2)
    guard parts.count == 3, parts[0] == "blocks", let block = Int(parts[1]) else {
      return modules[name].map { prefix + $0 }
    }
    return modules[String(parts[2])].map { "\(prefix)\(names.blocks).\(block).\($0)" }
  }

  public var description: String { prefix.isEmpty ? library : "\(library), \(prefix)…" }

  private static let parts = ["query", "key", "value"]

  private static func ours(_ place: WeightNames.Place) -> String? {
    switch place {
    case .tensor(let name): module(name)
    case .part(let name, let part): module(name).map { "\($0).\(parts[part])" }
    case .transposed, .ignored: nil
    }
  }

  /// `attn.proj` of `attn.proj.weight`. OpenCLIP's `attn.in_proj_weight` is the module `attn` itself.
  private static func module(_ tensor: String) -> String? {
    for suffix in [".weight", ".in_proj_weight"] where tensor.hasSuffix(suffix) {
      return String(tensor.dropLast(suffix.count))
    }
    return nil
  }
}

extension WeightNames {
  /// The names that transformers 5 has in memory: the encoder kept its name, attention did not.
  static let dinov2Names5 = WeightNames(
    family: dinov2.family, prefixes: dinov2.prefixes, marker: dinov2.marker, blocks: dinov2.blocks, outer: dinov2.outer,
    inner: dinov2.inner.filter { !$0.key.hasPrefix("attention.") }.merging(
      huggingFaceViT5.inner.filter { $0.key.hasPrefix("attention.") }, uniquingKeysWith: { first, _ in first }),
    aside: [])
}
