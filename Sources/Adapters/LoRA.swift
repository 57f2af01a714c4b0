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
public struct LoRA: AdapterConfiguration {
  public static let method = "LORA"
  public static let summary = "low-rank update B·A beside a linear map"

  /// `1 ... min(inFeatures, outFeatures)`
  public var rank = 8
  public var alpha = 16.0
  /// Probability, `0 ..< 1`, on the input of `A` only. Zero lets the update ride in the base product.
  public var dropout = 0.0
  public var rankStabilized = false
  public var initialization = Initialization.kaiming

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
    for site in sites {
      let limit = min(site.inFeatures, site.outFeatures)
      guard (1...limit).contains(rank) else { throw AdapterError.rank(rank, site: site.name, limit: limit) }
    }
    guard (0..<1).contains(dropout) else { throw AdapterError.outOfRange("dropout", dropout, "0 ..< 1") }
    guard alpha.isFinite else { throw AdapterError.outOfRange("alpha", alpha, "a finite number") }
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    for site in sites {
      let layer = try LoRALayer(self, at: site, device: backbone.device, generator: generator)
      parts.corrections[site.name] = layer
      parts.parameters += [layer.down, layer.up]
    }
    return parts
  }

  /// A fresh `A`.
  func freshDown(_ inFeatures: Int, device: Device, generator: Generator) throws -> Tensor {
    switch initialization {
    case .kaiming:
      let bound = 1 / Double(inFeatures).squareRoot()
      return try .uniform([rank, inFeatures], -bound, bound, device: device, from: generator)
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
  let scale: Double
  let dropout: Double

  init(_ configuration: LoRA, at site: Site, device: Device, generator: Generator) throws {
    down = try Parameter(
      "\(site.name).lora_A", configuration.freshDown(site.inFeatures, device: device, generator: generator))
    up = try Parameter("\(site.name).lora_B", .zeros([site.outFeatures, configuration.rank], device: device))
    scale = configuration.scale
    dropout = configuration.dropout
  }

  private var lowRank: LowRankDelta { LowRankDelta(down: down.value, up: up.value, scale: scale) }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    if dropout > 0, let generator = pass.generator {
      return try linear(input) + lowRank.apply(to: input.dropout(dropout, from: generator))
    }
    if linear.weight.requiresGradient || linear.bias?.requiresGradient == true {
      return try linear(input) + lowRank.apply(to: input)
    }
    return try lowRank.output(weight: linear.weight, bias: linear.bias, input: input)
  }

  func delta() throws -> SiteDelta? { SiteDelta(weight: lowRank) }
}
