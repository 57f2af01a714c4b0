import NeuralNetworks
import Tensors

/// Weight-decomposed low-rank adaptation: each row of `W + scale · B·A` is brought to a length of its own, which trains.
///
///     y = x · Vᵀ + b,    V = diag(m / ‖W + scale · BA‖) · (W + scale · BA)
///
/// with the norms of the rows. Liu et al. 2024, arXiv:2402.09353, eq. 5; as in their §4.3 and in PEFT the norm moves with
/// `A` and `B` but counts as a constant in the gradient. Their columns are our rows: `W` is `[outFeatures, inFeatures]` here.
/// In PEFT's files this is LoRA with `use_dora`.
///
/// | parameter               | shape                 | starts as                                    |
/// |-------------------------|-----------------------|----------------------------------------------|
/// | `lora_A`                | `[rank, inFeatures]`  | as in `LoRA`                                 |
/// | `lora_B`                | `[outFeatures, rank]` | zeros                                        |
/// | `lora_magnitude_vector` | `[outFeatures]`       | the norms of W's rows: a new adapter changes nothing |
public struct DoRA: RankedConfiguration {
  public static let method = "DORA"
  public static let summary = "LoRA with a trained length for each output's weights"
  public static let paper: String? = "arXiv:2402.09353"
  public static let placement = AdapterPlacement.linearMaps(.qkv)

  /// `1 ... min(inFeatures, outFeatures)`
  public var rank = 8
  public var alpha = 16.0
  /// Probability, `0 ..< 1`, on the input of the whole change, that of the lengths included. Zero lets it ride in the base
  /// product.
  public var dropout = 0.0
  public var rankStabilized = false
  public var initialization = LoRA.Initialization.kaiming
  /// Where rank or alpha are others than those above, by the site's name.
  public var overrides: [String: SiteOverride] = [:]
  /// Tensors of the backbone that train beside the update, by name. A part of a map has a name of its own:
  /// `blocks.0.attn.qkv.query.bias`.
  public var tunedTensors: [String] = []

  public init() {}

  public init(rank: Int, alpha: Double? = nil, dropout: Double = 0, rankStabilized: Bool = false) {
    self.rank = rank
    self.alpha = alpha ?? 2 * Double(rank)
    self.dropout = dropout
    self.rankStabilized = rankStabilized
  }

  /// The LoRA inside.
  var direction: LoRA {
    var lora = LoRA(rank: rank, alpha: alpha, dropout: dropout, rankStabilized: rankStabilized)
    lora.initialization = initialization
    lora.overrides = overrides
    return lora
  }

  public var scale: Double { direction.scale }

  public func validate(_ sites: [Site]) throws { try direction.validate(sites) }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    for site in sites {
      let layer = try DoRALayer(
        settings(at: site), at: backbone.linear(at: site), device: backbone.device, generator: generator)
      parts.corrections[site.name] = layer
      parts.parameters += [layer.down, layer.up, layer.magnitude]
    }
    try parts.tune(tunedTensors, of: backbone)
    return parts
  }
}

extension AdapterConfiguration where Self == DoRA {
  /// Weight-decomposed low-rank adaptation; `alpha` is twice the rank unless given, so the scale is 2.
  public static func doRA(rank: Int = 8, alpha: Double? = nil, dropout: Double = 0) -> DoRA {
    DoRA(rank: rank, alpha: alpha, dropout: dropout)
  }
}

struct DoRALayer: SiteAdapter {
  let down: Parameter
  let up: Parameter
  let magnitude: Parameter
  let scale: Double
  let dropout: Double

  init(_ configuration: DoRA, at linear: Linear, device: Device, generator: Generator) throws {
    let site = linear.site
    down = try Parameter(
      "\(site.name).lora_A", configuration.direction.freshDown(site.inFeatures, device: device, generator: generator))
    up = try Parameter("\(site.name).lora_B", .zeros([site.outFeatures, configuration.rank], device: device))
    magnitude = try Parameter(
      "\(site.name).lora_magnitude_vector",
      withoutGradients { try linear.weight.to(.float32).norm(1).to(device) })
    scale = configuration.scale
    dropout = configuration.dropout
  }

  /// The norms of the rows, `[outFeatures]`; 1 for a row of zeros, which has no direction to keep.
  private static func norms(_ weight: Tensor) throws -> Tensor {
    let norms = try weight.norm(1)
    return try norms.filled(1, where: norms.equals(0))
  }

  private var lowRank: LowRankDelta { LowRankDelta(down: down.value, up: up.value, scale: scale) }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    if dropout > 0, let generator = pass.generator {
      return try linear(input) + change(of: linear.weight).apply(to: input.dropout(dropout, from: generator))
    }
    if linear.weight.requiresGradient || linear.bias?.requiresGradient == true {
      return try linear(input) + change(of: linear.weight).apply(to: input)
    }
    return try Self.output(
      weight: linear.weight, bias: linear.bias, input: input, direction: lowRank, magnitude: magnitude.value)
  }

  /// One product for the output and one for the input's gradient, as for LoRA: `V` is formed once.
  ///
  /// With `u = x(W + s·BA)ᵀ`, `n` its weight's row norms and `c = m/n`, the output is `c ∘ u + b`, and for its gradient `G`:
  /// `∂m = (Σ G∘u) / n`, `∂B = s·c ∘ Gᵀ(xAᵀ)`, `∂A = s·(G(c∘B))ᵀx`.
  static func output(weight: Tensor, bias: Tensor?, input: Tensor, direction: LowRankDelta, magnitude: Tensor) throws
    -> Tensor
  {
    let scale = direction.scale
    return try Function.apply("DoRA linear", to: [input, direction.down, direction.up, magnitude]) { inputs in
      let (x, down, up) = (inputs[0], inputs[1], inputs[2])
      let precision = autocastDType(on: x.device) ?? weight.dtype
      let wide: DType = weight.dtype == .float64 ? .float64 : .float32
      let (wideDown, wideUp) = (try down.to(wide), try up.to(wide))
      let (sum, lengths) = try withFullPrecision(on: x.device) {
        let sum = try weight.to(wide).addingProduct(wideUp, wideDown, alpha: scale)
        return (sum, try norms(sum))
      }
      let ratio = try inputs[3].to(wide) / lengths
      try sum.multiplyInPlace(ratio.unsqueezed(1))
      let merged = try sum.to(precision)
      let output = try x.to(precision).linear(merged, bias?.to(precision))

      let backward: Function.Backward = { gradients, needed in
        guard let gradient = gradients[0] else { return [nil, nil, nil, nil] }
        let g = try gradient.to(precision).reshaped(-1, merged.shape[0])
        let rows = try x.to(precision).reshaped(-1, merged.shape[1])
        var results: [Tensor?] = [nil, nil, nil, nil]
        if needed[0] { results[0] = try g.matmul(merged).reshaped(x.shape) }
        if needed[1] {
          let scaled = try (wideUp * ratio.unsqueezed(1)).to(precision)
          results[1] = try g.matmul(scaled).transposed().matmul(rows) * scale
        }
        if needed[2] {
          let product = try g.transposed().matmul(rows.linear(down.to(precision)))
          results[2] = try product * ratio.unsqueezed(1) * scale
        }
        if needed[3] {
          // G∘u from the output itself, c∘u + b, rather than from a copy of u kept since the forward pass.
          var sums = try (g * output.reshaped(-1, merged.shape[0])).sum(0).to(wide)
          if let bias { sums = try sums - bias.to(precision).to(wide) * g.sum(0).to(wide) }
          let slope = try sums / (ratio * lengths)
          // Where c is small the bias drowns c∘u; at zero nothing is left of it.
          let weak = try ratio.abs().isLess(than: 1 / 64).nonzero().reshaped(-1)
          if weak.count > 0 {
            let direction = try weight.selected(0, weak).to(wide).addingProduct(
              wideUp.selected(0, weak), wideDown, alpha: scale)
            let products = try g.selected(1, weak) * rows.linear(direction.to(precision))
            try slope.copyInPlace(products.sum(0).to(wide) / lengths.selected(0, weak), at: weak)
          }
          results[3] = slope
        }
        return results
      }
      return ([output], backward)
    }[0]
  }

  /// `ΔW = (diag(c)·W − W) + diag(c) · s·BA`, the norm within `c` outside the graph.
  private func change(of weight: Tensor) throws -> SumDelta {
    let wide: DType = weight.dtype == .float64 ? .float64 : .float32
    let lengths = try withFullPrecision(on: weight.device) {
      try withoutGradients {
        try Self.norms(weight.to(wide).addingProduct(up.value.to(wide), down.value.to(wide), alpha: scale))
      }
    }
    let ratio = try magnitude.value.to(wide) / lengths
    return try SumDelta([
      (1, RescalingDelta(of: weight, rows: ratio)),
      (1, LowRankDelta(down: down.value, up: up.value * ratio.unsqueezed(1), scale: scale)),
    ])
  }

  func delta(of linear: Linear) throws -> SiteDelta? { SiteDelta(weight: try change(of: linear.weight)) }
}
