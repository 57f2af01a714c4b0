import Formats
import NeuralNetworks
import Tensors

extension LoHa: PEFTMethod {
  static let peftType = "LOHA"
  static let peftFields: Set<String> = [
    "r", "alpha", "rank_pattern", "alpha_pattern", "rank_dropout", "module_dropout",
  ]

  static func read(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws -> (
    configuration: LoHa, sites: [Site]
  ) {
    try checkMaps(maps, file, modules)
    try file.checkHeadOnly(in: modules)
    var loha = LoHa(rank: try file.count("r"), alpha: try file.number("alpha"))
    loha.rankDropout = try file.rate("rank_dropout")
    loha.moduleDropout = try file.rate("module_dropout")
    try loha.readOverrides(file, maps, "alpha")
    return (loha, maps.map(\.site))
  }

  func peftFiles(_ adapter: Adapter, in modules: PEFTModules) throws -> PEFTFiles {
    try modules.checkPlain(adapter, "LoHa")
    let slots = [
      ("hada_w1_a", SiteSlot.Extent.rows), ("hada_w1_b", .ranks), ("hada_w2_a", .rows), ("hada_w2_b", .ranks),
    ].map { SiteSlot(ours: $0, theirs: $0, extent: $1) }
    let layout = try SiteLayout(adapter, in: modules, slots: { _ in slots }, strength: strength)
    let patterns = PEFTPatterns(layout.modules) { $1 * Double($0) }
    return PEFTFiles(
      groups: layout.groups,
      configuration: patterns.fields(alpha: "alpha").merging([
        "rank_dropout": .double(rankDropout), "module_dropout": .double(moduleDropout), "use_effective_conv2d": false,
        "init_weights": true, "layers_to_transform": nil, "layers_pattern": nil,
      ]), targets: layout.modules.map(\.map.target))
  }
}

extension LoKr: PEFTMethod {
  static let peftType = "LOKR"
  static let peftFields: Set<String> = [
    "r", "alpha", "rank_pattern", "alpha_pattern", "decompose_both", "decompose_factor", "rank_dropout",
    "rank_dropout_scale", "module_dropout",
  ]

  static func read(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws -> (
    configuration: LoKr, sites: [Site]
  ) {
    try checkMaps(maps, file, modules)
    try file.checkHeadOnly(in: modules)
    var lokr = LoKr(rank: try file.count("r"), alpha: try file.number("alpha"))
    lokr.decomposeBoth = try file.flag("decompose_both")
    if let factor = file.json["decompose_factor"], factor != -1, !factor.isNull {
      lokr.factor = try file.count("decompose_factor")
    }
    lokr.rankDropout = try file.rate("rank_dropout")
    lokr.rankDropoutScale = try file.flag("rank_dropout_scale")
    lokr.moduleDropout = try file.rate("module_dropout")
    try lokr.readOverrides(file, maps, "alpha")
    return (lokr, maps.map(\.site))
  }

  func peftFiles(_ adapter: Adapter, in modules: PEFTModules) throws -> PEFTFiles {
    try modules.checkPlain(adapter, "LoKr")
    let prefix = Set(adapter.parameters.map(\.name))
    let names = ["lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b"]
    let layout = try SiteLayout(
      adapter, in: modules,
      slots: { site in
        names.filter { prefix.contains("\(site.name).\($0)") }.map {
          SiteSlot(ours: $0, theirs: $0, extent: .indivisible)
        }
      }, strength: strength)
    let patterns = PEFTPatterns(layout.modules) { $1 * Double($0) }
    return PEFTFiles(
      groups: layout.groups,
      configuration: patterns.fields(alpha: "alpha").merging([
        "decompose_both": .bool(decomposeBoth), "decompose_factor": .integer(factor ?? -1),
        "rank_dropout": .double(rankDropout), "rank_dropout_scale": .bool(rankDropoutScale),
        "module_dropout": .double(moduleDropout), "use_effective_conv2d": false, "init_weights": true,
        "layers_to_transform": nil, "layers_pattern": nil,
      ]), targets: layout.modules.map(\.map.target))
  }
}

extension JSONObject {
  func merging(_ other: JSONObject) -> JSONObject {
    var merged = self
    for (key, value) in other.members { merged[key] = value }
    return merged
  }
}

extension PEFTConfiguration {
  /// - Throws: `AdapterFolderError.setting` where another module than the classifier is saved whole.
  func checkHeadOnly(in modules: PEFTModules) throws {
    let saved = modules.holders.filter { holder in modulesToSave.contains { holder.target.hasSuffix($0) } }
    guard let module = saved.first?.target else { return }
    throw AdapterFolderError.setting(
      folder, field: "modules_to_save", value: try json["modules_to_save"]?.text() ?? "",
      reason: "that '\(module)' trains whole beside \(type) is not supported; only a classifier is.")
  }
}

extension PEFTModules {
  /// - Throws: `AdapterFolderError.notWritable` for a map of `nn.MultiheadAttention`, which PEFT adapts by LoRA only.
  func checkPlain(_ adapter: Adapter, _ method: String) throws {
    for site in adapter.sites {
      guard let map = maps(at: site).first ?? whole(of: site), map.isFusedAttention || map.isInsideAttention else {
        continue
      }
      throw AdapterFolderError.notWritable(
        .peft, "'\(map.target)' is an nn.MultiheadAttention, which PEFT adapts by LoRA only, not by \(method).")
    }
  }
}
