import Formats
import Foundation
import NeuralNetworks
import Tensors

/// LoRA and DoRA in the files of mlx-lm 0.31.
///
/// `adapter_config.json` is mlx-lm's whole command line; what counts is `lora_parameters` with one rank and one scale for all
/// modules, the scale itself and not `alpha / r`. `adapters.safetensors` holds `MODULE.lora_a` `[in, r]` and `.lora_b`
/// `[r, out]`, the transposes of PEFT's, and for DoRA the lengths `.m` `[out]`.
enum MLXFormat {
  static let configurationName = "adapter_config.json"
  static let weightsName = "adapters.safetensors"

  static func read(_ source: AdapterSource, onto backbone: any Backbone) throws -> LoadedAdapter {
    let json = try source.json(configurationName)
    let kind = json["fine_tune_type"]?.string ?? "lora"
    guard ["lora", "dora"].contains(kind) else {
      throw AdapterFolderError.setting(
        source.path, field: "fine_tune_type", value: "\"\(kind)\"",
        reason: "of mlx-lm's \"lora\" and \"dora\" are read.")
    }
    guard let parameters = json["lora_parameters"], let rank = parameters["rank"]?.integer, rank > 0,
      let scale = parameters["scale"]?.double, scale.isFinite
    else {
      throw AdapterFolderError.unsupported(
        source.path, "adapter_config.json lacks the rank or the scale of lora_parameters.")
    }
    let weights = try source.weights(weightsName, orPickle: "adapters.npz")
    let paths = weights.names.compactMap { name in name.lastIndex(of: ".").map { String(name[..<$0]) } }
    let modules = PEFTModules.spelling(paths, backbone)
    let maps = try targets(json, source, in: modules)
    let present = Set(paths)
    var notes: [String] = []
    var sites = maps?.map(\.site) ?? []
    if maps == nil {
      sites = modules.maps.filter { present.contains($0.target) }.map(\.site)
      notes = ["lora_parameters has no keys, so a module whose tensors are all missing would not be noticed"]
    }
    guard !sites.isEmpty else {
      throw AdapterFolderError.unsupported(source.path, "none of its modules is a linear map of this backbone.")
    }
    let alpha = scale * Double(rank)
    let dropout = parameters["dropout"]?.double ?? 0
    if let written = parameters["dropout"], !written.isNull, written.double == nil {
      throw AdapterFolderError.setting(
        source.path, field: "dropout", value: try written.text(), reason: "a number is wanted.")
    }
    let configuration: any RankedConfiguration =
      kind == "dora"
      ? DoRA(rank: rank, alpha: alpha, dropout: dropout) : LoRA(rank: rank, alpha: alpha, dropout: dropout)
    let adapter = try Adapter(
      configuration, at: sites, of: backbone, generator: Generator(seed: 0), initialSeed: nil)
    try layout(adapter, in: modules).groups.map(\.transposed).load(from: weights)
    return LoadedAdapter(
      model: AdaptedModel(backbone: backbone, adapter: adapter), format: .mlx, writer: nil, notes: notes)
  }

  /// The maps of the last `num_layers` blocks that `keys` name by their path within a block; nil without keys.
  private static func targets(_ json: JSONValue, _ source: AdapterSource, in modules: PEFTModules) throws
    -> [PEFTModules.Map]?
  {
    guard let parameters = json["lora_parameters"]?.object,
      let keys = try PEFTConfiguration.strings(parameters, "keys", folder: source.path)
    else { return nil }
    let depth = (modules.backbone.sites.blocks.last ?? -1) + 1
    let layers = json["num_layers"]?.integer ?? -1
    guard layers == -1 || (1...max(1, depth)).contains(layers) else {
      throw AdapterFolderError.setting(
        source.path, field: "num_layers", value: "\(layers)", reason: "this backbone has \(depth) blocks.")
    }
    let first = layers == -1 ? 0 : depth - layers
    return modules.maps.filter { map in
      (map.site.block ?? -1) >= first && keys.contains { map.target.hasSuffix(".\($0)") }
    }
  }

  static func files(for model: AdaptedModel, _ names: ModuleNames?) throws -> AdapterFiles {
    let dropout: Double
    let isPlain: Bool
    switch model.adapter.configuration {
    case let lora as LoRA: (dropout, isPlain) = (lora.dropout, !lora.hasBias && lora.tunedTensors.isEmpty)
    case let dora as DoRA: (dropout, isPlain) = (dora.dropout, dora.tunedTensors.isEmpty)
    default: throw AdapterFolderError.notWritable(.mlx, "mlx-lm has LoRA and DoRA only.")
    }
    guard model.head == nil, isPlain else {
      throw AdapterFolderError.notWritable(
        .mlx, "mlx-lm has no place for a head (leave it out), or for biases that train.")
    }
    let modules = PEFTModules(model.backbone, names ?? .current(model.backbone))
    let layout = try layout(model.adapter, in: modules)
    guard let first = layout.modules.first,
      layout.modules.allSatisfy({ $0.rank == first.rank && $0.scale == first.scale })
    else {
      throw AdapterFolderError.notWritable(.mlx, "mlx-lm has one rank and one scale for all modules, and these differ.")
    }
    // mlx-lm adapts the last `num_layers` blocks alike.
    let depth = (model.backbone.sites.blocks.last ?? -1) + 1
    let blocks = Set(layout.modules.compactMap(\.map.site.block))
    let keys = Set(layout.modules.map { Self.key($0.map) })
    let start = blocks.min() ?? 0
    guard layout.modules.count == (depth - start) * keys.count else {
      throw AdapterFolderError.notWritable(.mlx, "mlx-lm adapts the same modules in each of the last blocks.")
    }
    let configuration: JSONValue = [
      "fine_tune_type": model.adapter.configuration is DoRA ? "dora" : "lora",
      "lora_parameters": [
        "dropout": .double(dropout), "keys": .array(keys.sorted().map { .string($0) }), "rank": .integer(first.rank),
        "scale": .double(first.scale),
      ], "num_layers": .integer(depth - start),
    ]
    return AdapterFiles(
      [(configurationName, configuration)], [(weightsName, try layout.groups.map(\.transposed).tensors())])
  }

  /// A module's path within its block: what follows the block's number.
  private static func key(_ map: PEFTModules.Map) -> String {
    let components = map.target.split(separator: ".")
    guard let number = components.firstIndex(where: { Int($0) != nil }) else { return map.target }
    return components[(number + 1)...].joined(separator: ".")
  }

  private static func layout(_ adapter: Adapter, in modules: PEFTModules) throws -> SiteLayout {
    for site in adapter.sites {
      guard let map = modules.maps(at: site).first ?? modules.whole(of: site),
        map.isFusedAttention || map.isInsideAttention
      else { continue }
      throw AdapterFolderError.notWritable(
        .mlx, "'\(map.target)' is an nn.MultiheadAttention, whose maps mlx-lm cannot name.")
    }
    let lora = (adapter.configuration as? DoRA)?.direction ?? adapter.configuration as? LoRA ?? LoRA()
    var slots = [
      SiteSlot(ours: "lora_A", theirs: "lora_a", extent: .ranks),
      SiteSlot(ours: "lora_B", theirs: "lora_b", extent: .rows),
    ]
    if adapter.configuration is DoRA {
      slots.append(SiteSlot(ours: "lora_magnitude_vector", theirs: "m", extent: .outputs { try $0.weight.norm(1) }))
    }
    return try SiteLayout(
      adapter, in: modules, format: .mlx, slots: { _ in slots }, strength: lora.strength,
      name: { "\($0.key).\($1.theirs)" })
  }
}

extension FileGroup {
  /// The same, every matrix turned in the file.
  fileprivate var transposed: FileGroup {
    func turned(_ tensor: Tensor) throws -> Tensor { try tensor.rank == 2 ? tensor.transposed().contiguous() : tensor }
    return FileGroup(names, shapes.map { $0.reversed() }) {
      try write().map(turned)
    } read: { tensors in
      try read(tensors.map(turned))
    }
  }
}
