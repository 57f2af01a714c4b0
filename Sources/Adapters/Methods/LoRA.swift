import NeuralNetworks
import Tensors

/// Low-rank adaptation: `y = Wx + b + scale · B·A·dropout(x)`.
///
/// Hu et al. 2021, "LoRA", arXiv:2106.09685, eq. 3. The scale is `alpha / rank`, or `alpha / √rank` with `rankStabilized`
/// (Kalajdzievski 2023, rsLoRA, arXiv:2312.03732). The file format is PEFT's.
///
/// | parameter | shape                 | starts as                            |
/// |-----------|-----------------------|--------------------------------------|
/// | `lora_A`  | `[rank, inFeatures]`  | see `initialization`                 |
/// | `lora_B`  | `[outFeatures, rank]` | zeros: a new adapter changes nothing |
/// | `lora_bias` | `[outFeatures]`    | zeros; only with `hasBias`            |
public struct LoRA: RankedConfiguration {
  public static let method = "LORA"
  public static let summary = "low-rank update B·A beside a linear map"
  public static let paper: String? = "arXiv:2106.09685"
  public static let placement = AdapterPlacement.linearMaps(.qkv)

  /// `1 ... min(inFeatures, outFeatures)`
  public var rank = 8
  public var alpha = 16.0
  /// Probability, `0 ..< 1`, on the input of `A` only. Zero lets the update ride in the base product.
  public var dropout = 0.0
  public var rankStabilized = false
  public var initialization = Initialization.kaiming
  /// Where rank or alpha are others than those above, by the site's name.
  public var overrides: [String: SiteOverride] = [:]
  /// Whether the update has a bias of its own: `scale · (B·A·x + c)`.
  public var hasBias = false
  /// Tensors of the backbone that train beside the update, by name. A part of a map has a name of its own:
  /// `blocks.0.attn.qkv.query.bias`.
  public var tunedTensors: [String] = []

  public enum Initialization: String, Codable, Hashable, Sendable {
    /// Uniform on ±1/√inFeatures, as PEFT and loralib start `A`.
    case kaiming
    /// Normal with standard deviation 1/rank, as Mixture-of-Adapters starts its LoRA experts.
    case gaussian
  }

  public init() {}

  public init(rank: Int, alpha: Double? = nil, dropout: Double = 0, rankStabilized: Bool = false) {
    self.rank = rank
    self.alpha = alpha ?? 2 * Double(rank)
    self.dropout = dropout
    self.rankStabilized = rankStabilized
  }

  public var scale: Double { rankStabilized ? alpha / Double(rank).squareRoot() : alpha / Double(rank) }

  public func validate(_ sites: [Site]) throws {
    try validateRanks(sites)
    try AdapterError.checkRate("dropout", dropout)
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    for site in sites {
      let layer = try LoRALayer(settings(at: site), at: site, device: backbone.device, generator: generator)
      parts.corrections[site.name] = layer
      parts.parameters += [layer.down, layer.up] + (layer.bias.map { [$0] } ?? [])
    }
    try parts.tune(tunedTensors, of: backbone)
    return parts
  }

  /// A fresh `A`.
  func freshDown(_ inFeatures: Int, device: Device, generator: Generator) throws -> Tensor {
    switch initialization {
    case .kaiming:
      return try .kaimingUniform([rank, inFeatures], device: device, from: generator)
    case .gaussian:
      return try .normal([rank, inFeatures], deviation: 1 / Double(rank), device: device, from: generator)
    }
  }
}

extension AdapterConfiguration where Self == LoRA {
  /// Low-rank adaptation; `alpha` is twice the rank unless given, so the scale is 2.
  public static func lora(rank: Int = 8, alpha: Double? = nil, dropout: Double = 0) -> LoRA {
    LoRA(rank: rank, alpha: alpha, dropout: dropout)
  }
}

struct LoRALayer: SiteAdapter {
  let down: Parameter
  let up: Parameter
  let bias: Parameter?
  let scale: Double
  let dropout: Double

  init(_ configuration: LoRA, at site: Site, device: Device, generator: Generator) throws {
    down = try Parameter(
      "\(site.name).lora_A", configuration.freshDown(site.inFeatures, device: device, generator: generator))
    up = try Parameter("\(site.name).lora_B", .zeros([site.outFeatures, configuration.rank], device: device))
    bias =
      configuration.hasBias
      ? try Parameter("\(site.name).lora_bias", .zeros([site.outFeatures], device: device)) : nil
    scale = configuration.scale
    dropout = configuration.dropout
  }

  private var lowRank: LowRankDelta { LowRankDelta(down: down.value, up: up.value, scale: scale) }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let output = try product(of: linear, input: input, pass: pass)
    return try bias.map { try output + $0.value * scale } ?? output
  }

  private func product(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    if dropout > 0, let generator = pass.generator {
      return try linear(input) + lowRank.apply(to: input.dropout(dropout, from: generator))
    }
    return try lowRank.output(of: linear, input: input)
  }

  func delta(of linear: Linear) throws -> SiteDelta? {
    SiteDelta(weight: lowRank, bias: try bias.map { try $0.value * scale })
  }
}
