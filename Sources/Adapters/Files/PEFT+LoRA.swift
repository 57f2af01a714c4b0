import Formats
import NeuralNetworks
import Tensors

extension LoRA: PEFTMethod {
  static let peftType = "LORA"
  static let peftFields: Set<String> = [
    "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "lora_dropout", "bias", "lora_bias",
  ]

  static func isMeant(by json: JSONObject) -> Bool { json["use_dora"]?.bool != true }

  static func read(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws -> (
    configuration: LoRA, sites: [Site]
  ) {
    try checkMaps(maps, file, modules)
    var lora = LoRA()
    lora.rank = try file.count("r")
    lora.alpha = try file.number("lora_alpha")
    lora.rankStabilized = try file.flag("use_rslora")
    lora.dropout = try file.rate("lora_dropout")
    lora.hasBias = try file.flag("lora_bias")
    try lora.readOverrides(file, maps, "lora_alpha")
    lora.tunedTensors = try TunedTensors(file, maps, in: modules).names
    return (lora, maps.map(\.site))
  }

  func peftFiles(_ adapter: Adapter, in modules: PEFTModules) throws -> PEFTFiles {
    let slots = Self.slots(hasBias: hasBias)
    let layout = try SiteLayout(adapter, in: modules, slots: { _ in slots }, strength: strength)
    return try peftFiles(layout, adapter, in: modules, usesDoRA: false)
  }

  static func slots(hasBias: Bool) -> [SiteSlot] {
    [
      SiteSlot(ours: "lora_A", theirs: "lora_A.weight", extent: .ranks),
      SiteSlot(ours: "lora_B", theirs: "lora_B.weight", extent: .rows),
    ]
      + (hasBias
        ? [
          SiteSlot(
            ours: "lora_bias", theirs: "lora_B.bias",
            extent: .outputs(scaled: true) { try .zeros([$0.site.outFeatures], dtype: $0.weight.dtype) })
        ] : [])
  }

  func peftFiles(_ layout: SiteLayout, _ adapter: Adapter, in modules: PEFTModules, usesDoRA: Bool) throws -> PEFTFiles
  {
    let layout = try layout.completingAttention(in: modules)
    let patterns = PEFTPatterns(layout.modules) { rank, scale in
      rankStabilized ? scale * Double(rank).squareRoot() : scale * Double(rank)
    }
    let targets = Set(layout.modules.map(\.map.target)).sorted()
    let tuned = try TunedTensors(tunedTensors, targets: Set(targets), in: modules)
    let configuration: JSONObject = [
      "r": .integer(patterns.rank), "lora_alpha": PEFTPatterns.number(patterns.alpha),
      "rank_pattern": .object(patterns.rankPattern), "alpha_pattern": .object(patterns.alphaPattern),
      "use_rslora": .bool(rankStabilized), "use_dora": .bool(usesDoRA), "lora_dropout": .double(dropout),
      "bias": .string(tuned.bias.rawValue), "lora_bias": .bool(hasBias), "fan_in_fan_out": false,
      "init_lora_weights": true, "layers_to_transform": nil, "layers_pattern": nil, "loftq_config": [:],
      "megatron_config": nil, "megatron_core": "megatron.core", "eva_config": nil, "corda_config": nil,
      "layer_replication": nil, "alora_invocation_tokens": nil, "arrow_config": nil, "ensure_weight_tying": false,
      "kasa_config": nil, "lora_ga_config": nil, "monteclora_config": nil, "qalora_group_size": 16,
      "target_parameters": nil, "trainable_token_indices": nil, "use_bdlora": nil, "use_qalora": false,
      "velora_config": nil,
    ]
    return PEFTFiles(
      groups: layout.groups + (try tuned.groups(adapter)), configuration: configuration, targets: targets,
      saved: tuned.saved)
  }
}

extension DoRA: PEFTMethod {
  static let peftType = LoRA.peftType
  static let peftFields = LoRA.peftFields.union(["use_dora"])

  static func isMeant(by json: JSONObject) -> Bool { json["use_dora"]?.bool == true }

  static func read(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws -> (
    configuration: DoRA, sites: [Site]
  ) {
    let (lora, sites) = try LoRA.read(file, maps, in: modules)
    guard !lora.hasBias else {
      throw AdapterFolderError.setting(
        file.folder, field: "lora_bias", value: "true", reason: "neither PEFT nor this program has that with DoRA.")
    }
    var dora = DoRA(rank: lora.rank, alpha: lora.alpha, dropout: lora.dropout, rankStabilized: lora.rankStabilized)
    dora.overrides = lora.overrides
    dora.tunedTensors = lora.tunedTensors
    return (dora, sites)
  }

  func peftFiles(_ adapter: Adapter, in modules: PEFTModules) throws -> PEFTFiles {
    try modules.checkPlain(adapter, "DoRA")
    let slots =
      LoRA.slots(hasBias: false) + [
        // A row that keeps its length is unchanged.
        SiteSlot(
          ours: "lora_magnitude_vector", theirs: "lora_magnitude_vector", extent: .outputs { try $0.weight.norm(1) })
      ]
    var lora = direction
    lora.tunedTensors = tunedTensors
    let layout = try SiteLayout(adapter, in: modules, slots: { _ in slots }, strength: lora.strength)
    return try lora.peftFiles(layout, adapter, in: modules, usesDoRA: true)
  }
}

extension SiteLayout {
  /// PEFT adapts both maps of an `nn.MultiheadAttention` or none, with one rank and one scale: a map that has no update gets
  /// one of zeros.
  func completingAttention(in modules: PEFTModules) throws -> SiteLayout {
    var layout = self
    for module in self.modules where module.map.isFusedAttention || module.map.isInsideAttention {
      guard
        let other = modules.maps.first(where: {
          $0.target == module.map.target && $0.isInsideAttention != module.map.isInsideAttention
        })
      else { continue }
      if let present = self.modules.first(where: { $0.map.site == other.site }) {
        guard present.rank == module.rank, present.scale == module.scale else {
          throw AdapterFolderError.notWritable(
            .peft,
            """
            in open_clip PEFT has one rank and one scale for both maps of '\(module.map.target)', and here they have \
            ranks \(module.rank) and \(present.rank), scales \(module.scale) and \(present.scale). Give both the same.
            """)
        }
        continue
      }
      for (slot, shape) in [
        ("lora_A.weight", [module.rank, other.site.inFeatures]),
        ("lora_B.weight", [other.site.outFeatures, module.rank]),
      ] {
        let name = "\(PEFTKey.prefix)\(other.key).\(slot)"
        layout.add(
          FileGroup([name], [shape]) {
            [try .zeros(shape)]
          } read: { tensors in
            guard try tensors[0].abs().max().item() == 0 else {
              throw AdapterFolderError.tensor(name, "it changes a map that the adapter does not.")
            }
          })
      }
    }
    return layout
  }
}
