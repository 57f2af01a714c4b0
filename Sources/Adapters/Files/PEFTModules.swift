import Formats
import NeuralNetworks
import Tensors

/// A backbone's modules under the names that they have in PEFT's files.
struct PEFTModules {
  let backbone: any Backbone
  let names: ModuleNames
  /// The linear maps and, where the names have queries, keys and values apart, the parts of one; in the backbone's order.
  let maps: [Map]
  /// How often PEFT adds the update of the projection inside `nn.MultiheadAttention` to its weight: up to version 0.21 twice
  /// (huggingface/peft#3774), in training too. Its factors in a file stand for half of what they do.
  var updatesInsideAttention = 2.0
  /// Modules that hold tensors and are no linear map that can be adapted: LayerNorms, the stem, the pooler.
  private let others: [String]
  private let known: Set<String>
  /// BERT's layer between the first token and the features. It is no site: no method's paper adapts it.
  private static let pooler = "pooler"

  struct Map {
    let site: Site
    /// Its path in the names of tensors.
    let key: String
    /// Its path in `target_modules` and in patterns.
    let target: String
    /// The map of queries, keys and values of `nn.MultiheadAttention`. PEFT wraps such a module whole: the path of this map
    /// also stands for the projection behind it, whose tensors lie inside.
    let isFusedAttention: Bool
    /// That projection.
    let isInsideAttention: Bool
  }

  init(_ backbone: any Backbone, _ names: ModuleNames) {
    self.backbone = backbone
    self.names = names
    let sites = backbone.sites
    let tensors = Set(backbone.tensors.map(\.name))
    others =
      backbone.layerNorms
      + ([backbone.stem].compactMap { $0 } + [Self.pooler]).filter { tensors.contains("\($0).weight") }
    known = Set(sites.flatMap { [$0.name] + $0.parts.map(\.name) } + others)
    maps = sites.flatMap { site -> [Map] in
      guard let module = names.module(at: site.name) else {
        return site.parts.compactMap { part in
          names.module(at: part.name).map {
            Map(site: part, key: $0, target: $0, isFusedAttention: false, isInsideAttention: false)
          }
        }
      }
      if let around = sites.lazy.compactMap({ names.module(at: $0.name) }).first(where: { module.hasPrefix("\($0).") })
      {
        let inner = module.dropFirst(around.count + 1)
        return [
          Map(
            site: site, key: "\(around).base_layer.\(inner)", target: around, isFusedAttention: false,
            isInsideAttention: true)
        ]
      }
      let isFused = sites.contains { names.module(at: $0.name)?.hasPrefix("\(module).") ?? false }
      return [Map(site: site, key: module, target: module, isFusedAttention: isFused, isInsideAttention: false)]
    }
  }

  /// The maps that a site is: itself, or its three parts; empty where the names have it only within a larger one.
  func maps(at site: Site) -> [Map] {
    if let map = maps.first(where: { $0.site == site }) { return [map] }
    let parts = site.parts
    return maps.filter { parts.contains($0.site) }
  }

  /// The map that a part lies in, where the names have only that.
  func whole(of part: Site) -> Map? { maps.first { $0.site.name == part.whole?.name } }

  /// Modules that hold tensors of the backbone, by our name and theirs: the maps, the LayerNorms, the stem and the pooler.
  var holders: [(ours: String, target: String, map: Map?)] {
    maps.map { ($0.site.name, $0.target, $0) }
      + others.compactMap { name in names.module(at: name).map { (name, $0, nil) } }
  }

  /// The classifier's module, where the names have one.
  var head: String? { names.module(at: "head") }

  /// Where a head goes, if the library's classifier takes the same features, as they are.
  func place(for head: Head?) -> String? {
    guard let head, !head.normalizesFeatures, names.classifierReads(backbone),
      let width = backbone.sites.first?.inFeatures,
      head.weight.value.shape.last == width * names.classifierInputs
    else { return nil }
    return self.head
  }

  /// What a module of a file is to the backbone.
  enum Place: Hashable {
    case module
    case head
    case aside(String)
  }

  /// Nil where the backbone has no such module.
  func place(of module: String) -> Place? {
    switch names.place(of: module) {
    case .head: return .head
    case .aside(let reason): return .aside(reason)
    case .module(let ours):
      if known.contains(ours) { return .module }
      // What trained there is without effect on the features.
      return ours == Self.pooler && backbone is TextTransformer
        ? .aside("the pooler, which the backbone's features do not come from") : nil
    case nil: return nil
    }
  }

  /// The spelling that accounts for the most of a file's modules; the backbone's own where several do equally well.
  static func spelling(_ modules: [String], _ backbone: any Backbone, isWholeCLIP: Bool = false) -> PEFTModules {
    var best: (modules: PEFTModules, found: Int)?
    let own = [ModuleNames.current(backbone), .ofFile(backbone)]
    for names in own + ModuleNames.known where names.fits(backbone) {
      // Where both towers were wrapped, names without a prefix are the text tower's.
      if isWholeCLIP, names.library == "open_clip", names.prefix.isEmpty { continue }
      let candidate = PEFTModules(backbone, names)
      let places = modules.map(candidate.place)
      guard places.contains(where: { $0 == .module || $0 == .head }) else { continue }
      let found = places.count { $0 != nil }
      if found > best?.found ?? 0 { best = (candidate, found) }
    }
    return best?.modules ?? PEFTModules(backbone, own[0])
  }
}
