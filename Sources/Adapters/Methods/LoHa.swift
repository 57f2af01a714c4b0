import NeuralNetworks
import Tensors

/// An update that is the product of two low ranks, element by element: `ΔW = (alpha / rank) · (A₁B₁) ∘ (A₂B₂)`.
///
/// Hyeon-Woo et al. 2021, "FedPara", arXiv:2108.06098; LoHa in LyCORIS (Yeh et al. 2023, arXiv:2309.14859) and PEFT, whose
/// names, start and scale these are. With the parameters of a LoRA of rank `2r` its rank reaches `r²`.
///
/// | parameter   | shape                | starts as                            |
/// |-------------|----------------------|--------------------------------------|
/// | `hada_w1_a` | `[outFeatures, rank]`| uniform on ±1/√rank                  |
/// | `hada_w1_b` | `[rank, inFeatures]` | uniform on ±1/√inFeatures            |
/// | `hada_w2_a` | `[outFeatures, rank]`| uniform on ±1/√rank                  |
/// | `hada_w2_b` | `[rank, inFeatures]` | zeros: a new adapter changes nothing |
public struct LoHa: RankedConfiguration {
  public static let method = "LOHA"
  public static let summary = "update of two low ranks multiplied element by element"
  public static let paper: String? = "arXiv:2108.06098"
  public static let placement = AdapterPlacement.linearMaps(.qkv)

  /// `1 ... min(inFeatures, outFeatures)`
  public var rank = 8
  public var alpha = 8.0
  /// The probability that a row of ΔW is dropped for one step, `0 ..< 1`; the kept rows are scaled so that the mean stays.
  public var rankDropout = 0.0
  /// The probability that a site goes without its update for one step, `0 ..< 1`.
  public var moduleDropout = 0.0
  /// Where rank or alpha are others than those above, by the site's name.
  public var overrides: [String: SiteOverride] = [:]

  public init() {}

  public init(rank: Int, alpha: Double? = nil) {
    self.rank = rank
    self.alpha = alpha ?? Double(rank)
  }

  public var scale: Double { alpha / Double(rank) }

  public func validate(_ sites: [Site]) throws {
    try validateRanks(sites)
    try AdapterError.checkRate("rankDropout", rankDropout)
    try AdapterError.checkRate("moduleDropout", moduleDropout)
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    for site in sites {
      let layer = try LoHaLayer(settings(at: site), at: site, device: backbone.device, generator: generator)
      parts.corrections[site.name] = layer
      parts.parameters += [layer.firstUp, layer.firstDown, layer.secondUp, layer.secondDown]
    }
    return parts
  }
}

extension AdapterConfiguration where Self == LoHa {
  /// Two low ranks multiplied element by element; `alpha` is the rank unless given, so the scale is 1.
  public static func loHa(rank: Int = 8, alpha: Double? = nil) -> LoHa { LoHa(rank: rank, alpha: alpha) }
}

struct LoHaLayer: SiteAdapter {
  let firstUp: Parameter
  let firstDown: Parameter
  let secondUp: Parameter
  let secondDown: Parameter
  let scale: Double
  let rankDropout: Double
  let moduleDropout: Double

  init(_ configuration: LoHa, at site: Site, device: Device, generator: Generator) throws {
    let rank = configuration.rank
    func uniform(_ name: String, _ rows: Int, _ columns: Int) throws -> Parameter {
      try Parameter(
        "\(site.name).\(name)", .kaimingUniform([rows, columns], device: device, from: generator))
    }
    firstUp = try uniform("hada_w1_a", site.outFeatures, rank)
    firstDown = try uniform("hada_w1_b", rank, site.inFeatures)
    secondUp = try uniform("hada_w2_a", site.outFeatures, rank)
    secondDown = try Parameter("\(site.name).hada_w2_b", .zeros([rank, site.inFeatures], device: device))
    scale = configuration.scale
    rankDropout = configuration.rankDropout
    moduleDropout = configuration.moduleDropout
  }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    guard let generator = pass.generator else { return try output(of: linear, input: input, rows: nil) }
    if try generator.drops(moduleDropout) { return try linear(input) }
    guard rankDropout > 0 else { return try output(of: linear, input: input, rows: nil) }
    let rows = try Tensor.dropoutMask(
      [linear.site.outFeatures, 1], rate: rankDropout, device: input.device, from: generator)
    return try output(of: linear, input: input, rows: rows)
  }

  /// Rides as the low rank `r²` where the gradients of its factors cost less than that of the dense ΔW would; else as ΔW.
  private func output(of linear: Linear, input: Tensor, rows: Tensor?) throws -> Tensor {
    let change = try hadamard(rows: rows)
    let rank = firstDown.value.shape[0] * secondDown.value.shape[0]
    if LowRankDelta.isSmall(2 * rank, change.outFeatures, change.inFeatures), let factored = try change.lowRank {
      return try factored.output(of: linear, input: input)
    }
    // Under autocast ΔW would be rounded before it is added to the weight.
    return try DenseDelta(withFullPrecision(on: input.device) { try change.materialized() })
      .output(of: linear, input: input)
  }

  /// With factors for the rows of ΔW, `[outFeatures, 1]`: they fit into `A₁`.
  private func hadamard(rows: Tensor? = nil) throws -> HadamardDelta {
    HadamardDelta(
      firstUp: try rows.map { try firstUp.value * $0 } ?? firstUp.value, firstDown: firstDown.value,
      secondUp: secondUp.value, secondDown: secondDown.value, scale: scale)
  }

  func delta(of linear: Linear) throws -> SiteDelta? { SiteDelta(weight: try hadamard()) }
}
