import Formats
import Foundation
import NeuralNetworks
import Tensors

/// LoRA in the files of Hugging Face PEFT 0.21: `base_model.model.<module>.lora_A.weight` `[r, in]`, `.lora_B.weight`
/// `[out, r]`, scale `lora_alpha / r` or, with `use_rslora`, `lora_alpha / √r`.
///
/// Where the file's model has query, key and value apart and the backbone has them as one map, one `A` shared by the three
/// and a `B` in three parts is the same update: it is written as three adapters with equal `A`. Three different `A` of a file
/// become one adapter of three times the rank, block-diagonal in `B`.
enum PEFTFormat {
  private static let prefix = "base_model.model."

  /// One module of the file: which rows of the site's output are its own.
  private struct Module {
    let name: String
    let rows: Range<Int>
  }

  private static func modules(at site: Site, of backbone: any Backbone) throws -> [Module] {
    let names = backbone.modules(at: site)
    guard !names.isEmpty, site.outFeatures % names.count == 0 else {
      throw AdapterFolderError.unsupported(site.name, "the site has no module names in the original model.")
    }
    let height = site.outFeatures / names.count
    return names.enumerated().map { Module(name: $1, rows: $0 * height..<($0 + 1) * height) }
  }

  static func files(for lora: LoRA, _ adapter: Adapter, _ backbone: any Backbone) throws
    -> (configuration: JSONValue, tensors: [(name: String, tensor: Tensor)])
  {
    var tensors: [(String, Tensor)] = []
    var targets: [String] = []
    for site in adapter.sites {
      guard let layer = adapter.corrections[site.name] as? LoRALayer else { continue }
      for module in try modules(at: site, of: backbone) {
        targets.append(module.name)
        tensors.append(("\(prefix)\(module.name).lora_A.weight", layer.down.value))
        tensors.append(
          ("\(prefix)\(module.name).lora_B.weight", try layer.up.value.detached().narrowed(0, module.rows).contiguous())
        )
      }
    }
    let configuration: JSONObject = [
      "peft_type": "LORA", "task_type": nil, "base_model_name_or_path": nil, "inference_mode": true,
      "r": .integer(lora.rank), "lora_alpha": number(lora.alpha), "lora_dropout": .double(lora.dropout),
      "use_rslora": .bool(lora.rankStabilized), "use_dora": false, "bias": "none", "fan_in_fan_out": false,
      "init_lora_weights": true, "modules_to_save": nil, "rank_pattern": [:], "alpha_pattern": [:],
      // Full paths: a bare name such as "proj" would also match the patch embedding's convolution.
      "target_modules": .array(targets.sorted().map { .string($0) }),
    ]
    return (.object(configuration), tensors)
  }

  private static func number(_ value: Double) -> JSONValue {
    Int(exactly: value).map { .integer($0) } ?? .double(value)
  }

  /// Fills an adapter that this format was written from.
  static func fill(
    _ adapter: Adapter, _ lora: LoRA, from file: SafetensorsFile, on backbone: any Backbone, folder: String
  ) throws {
    var expected: Set<String> = []
    for site in adapter.sites {
      for module in try modules(at: site, of: backbone) {
        expected.formUnion(["\(prefix)\(module.name).lora_A.weight", "\(prefix)\(module.name).lora_B.weight"])
      }
    }
    try check(expected, file)
    for site in adapter.sites {
      guard let layer = adapter.corrections[site.name] as? LoRALayer else { continue }
      let modules = try modules(at: site, of: backbone)
      let downs = try modules.map { try file.tensor("\(prefix)\($0.name).lora_A.weight") }
      guard try downs.allSatisfy({ try $0.isEqual(to: downs[0]) }) else {
        throw AdapterFolderError.unsupported(folder, "the parts of '\(site.name)' have different lora_A.")
      }
      try layer.down.load(downs[0])
      try layer.up.load(.concatenated(modules.map { try file.tensor("\(prefix)\($0.name).lora_B.weight") }))
    }
  }

  /// An adapter that another program wrote.
  static func adapter(
    _ configuration: JSONValue, _ file: SafetensorsFile, on backbone: any Backbone, folder: String
  ) throws -> Adapter {
    func refuse(_ what: String) -> AdapterFolderError { .unsupported(folder, what) }
    guard configuration["peft_type"]?.string == "LORA" else {
      throw refuse(
        "its method is \(configuration["peft_type"]?.string ?? "missing"); only LORA is read from PEFT so far.")
    }
    for (key, harmless) in [
      ("use_dora", JSONValue.bool(false)), ("bias", "none"), ("fan_in_fan_out", .bool(false)),
      ("lora_bias", .bool(false)),
      ("rank_pattern", [:]), ("alpha_pattern", [:]), ("modules_to_save", nil),
    ] {
      if let value = configuration[key], value != harmless, !value.isNull, value != .array([]) {
        throw refuse("it sets \(key), which is not read so far.")
      }
    }
    guard let rank = configuration["r"]?.integer, rank > 0, let alpha = configuration["lora_alpha"]?.double else {
      throw refuse("adapter_config.json lacks r or lora_alpha.")
    }
    let written = LoRA(rank: rank, alpha: alpha, rankStabilized: configuration["use_rslora"]?.bool ?? false)
    var sites: [(site: Site, parts: [(down: Tensor, up: Tensor, rows: Range<Int>)])] = []
    var expected: Set<String> = []
    for site in backbone.sites {
      var parts: [(Tensor, Tensor, Range<Int>)] = []
      for module in try modules(at: site, of: backbone) {
        let (down, up) = ("\(prefix)\(module.name).lora_A.weight", "\(prefix)\(module.name).lora_B.weight")
        guard file[down] != nil || file[up] != nil else { continue }
        expected.formUnion([down, up])
        guard file[down]?.shape == [rank, site.inFeatures], file[up]?.shape == [module.rows.count, rank] else {
          throw refuse("the shapes of \(down) and \(up) do not fit rank \(rank) at '\(site.name)'.")
        }
        parts.append((try file.tensor(down), try file.tensor(up), module.rows))
      }
      if !parts.isEmpty { sites.append((site, parts)) }
    }
    try check(expected, file)
    guard !sites.isEmpty else { throw refuse("none of its modules are sites of this backbone.") }

    func shared(_ parts: [(down: Tensor, up: Tensor, rows: Range<Int>)]) throws -> Bool {
      try parts.allSatisfy { try $0.down.isEqual(to: parts[0].down) }
    }
    // One rank for the whole adapter, so that it is one configuration; narrower sites are padded with zeros.
    let widest = try sites.map { try shared($0.parts) ? 1 : $0.parts.count }.max() ?? 1
    let lora = LoRA(
      rank: rank * widest, alpha: written.scale * Double(rank * widest),
      dropout: configuration["lora_dropout"]?.double ?? 0)
    let adapter = try Adapter(lora, at: sites.map(\.site), of: backbone, generator: Generator(seed: 0))
    for (site, parts) in sites {
      guard let layer = adapter.corrections[site.name] as? LoRALayer else { continue }
      let isShared = try shared(parts)
      let (down, up) = (try layer.down.value.zerosLike(), try layer.up.value.zerosLike())
      for (index, part) in parts.enumerated() {
        let columns = isShared ? 0..<rank : index * rank..<(index + 1) * rank
        try down.narrowed(0, columns).copyInPlace(part.down)
        try up.narrowed(0, part.rows).narrowed(1, columns).copyInPlace(part.up)
      }
      try layer.down.load(down)
      try layer.up.load(up)
    }
    return adapter
  }

  private static func check(_ expected: Set<String>, _ file: SafetensorsFile) throws {
    let found = Set(file.names)
    guard expected == found else {
      throw AdapterFolderError.names(
        file.url.path, missing: expected.subtracting(found).sorted(), unexpected: found.subtracting(expected).sorted())
    }
  }
}
