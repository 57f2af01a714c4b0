import Formats
import NeuralNetworks
import Tensors

extension IA3: PEFTMethod {
  static let peftType = "IA3"
  static let peftFields: Set<String> = ["feedforward_modules"]

  static func read(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws -> (
    configuration: IA3, sites: [Site]
  ) {
    try checkMaps(maps, file, modules)
    try file.checkHeadOnly(in: modules)
    let matches = try PEFTTargets.matcher(file.json, "feedforward_modules", folder: file.folder) ?? { _ in false }
    let inputs = try maps.filter { try matches($0.target) }
    let roles = Set(inputs.map(\.site.role))
    if let other = maps.first(where: { map in roles.contains(map.site.role) && !inputs.contains { $0.site == map.site }
    }) {
      throw AdapterFolderError.setting(
        file.folder, field: "feedforward_modules", value: try file.json["feedforward_modules"]?.text() ?? "",
        reason: "'\(other.target)' is none of them where the same map of another block is one, which is not supported.")
    }
    return (IA3(feedforward: roles.sorted { $0.rawValue < $1.rawValue }), maps.map(\.site))
  }

  func peftFiles(_ adapter: Adapter, in modules: PEFTModules) throws -> PEFTFiles {
    try modules.checkPlain(adapter, "(IA)³")
    let layout = try SiteLayout(adapter, in: modules) { site in
      [
        SiteSlot(
          ours: "ia3_l", theirs: "ia3_l",
          extent: feedforward.contains(site.role)
            ? .indivisible : .outputs { try .ones([$0.site.outFeatures, 1], dtype: $0.weight.dtype) })
      ]
    }
    let inputs = layout.modules.filter { feedforward.contains($0.map.site.role) }
    return PEFTFiles(
      groups: layout.groups,
      configuration: [
        "feedforward_modules": .array(inputs.map(\.map.target).sorted().map { .string($0) }), "fan_in_fan_out": false,
        "init_ia3_weights": true,
      ], targets: layout.modules.map(\.map.target))
  }
}

extension LayerNormTuning: PEFTMethod {
  static let peftType = "LN_TUNING"
  static let peftFields: Set<String> = []

  static func read(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws -> (
    configuration: LayerNormTuning, sites: [Site]
  ) {
    if let map = maps.first {
      throw AdapterFolderError.setting(
        file.folder, field: "target_modules", value: try file.json["target_modules"]?.text() ?? "",
        reason: "'\(map.target)' among them is no LayerNorm.")
    }
    try file.checkHeadOnly(in: modules)
    let norms = modules.backbone.layerNorms
    let chosen = try norms.filter { name in try modules.names.module(at: name).map(file.targets.contains) ?? false }
    guard !chosen.isEmpty else {
      throw AdapterFolderError.unsupported(file.folder, "its target_modules match no LayerNorm of this backbone.")
    }
    var tuning = LayerNormTuning()
    tuning.only = chosen.count == norms.count ? [] : chosen
    return (tuning, modules.backbone.sites)
  }

  func peftFiles(_ adapter: Adapter, in modules: PEFTModules) throws -> PEFTFiles {
    var groups: [FileGroup] = []
    var targets: [String] = []
    for parameter in adapter.parameters {
      let components = parameter.name.split(separator: ".")
      let norm = components.dropLast().joined(separator: ".")
      guard let module = modules.names.module(at: norm), let kind = components.last else {
        throw AdapterFolderError.notWritable(.peft, "'\(norm)' has no module of its own in \(modules.names).")
      }
      groups.append(FileGroup("\(PEFTKey.prefix)\(module).ln_tuning_layers.\(kind)", parameter))
      if targets.last != module { targets.append(module) }
    }
    return PEFTFiles(groups: groups, configuration: JSONObject(), targets: targets)
  }
}
