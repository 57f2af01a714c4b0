import NeuralNetworks
import Tensors

/// An update that is a Kronecker product: `ΔW = (alpha / rank) · W₁ ⊗ W₂`, with `W₂`, and `W₁` too on request, a product of
/// two thin matrices where that is smaller.
///
/// Yeh et al. 2023, "Navigating Text-to-Image Customization: From LyCORIS Fine-Tuning to Model Evaluation",
/// arXiv:2309.14859; names, start and scale are PEFT's. `outFeatures = a·b` and `inFeatures = c·e` by `factorPair`:
///
/// | parameter   | shape       | where                                  | starts as                 |
/// |-------------|-------------|----------------------------------------|---------------------------|
/// | `lokr_w1`   | `[a, c]`    | unless `decomposeBoth` and `2·rank < max(a, c)` | zeros            |
/// | `lokr_w1_a` | `[a, rank]` | else                                   | zeros                     |
/// | `lokr_w1_b` | `[rank, c]` | else                                   | uniform on ±1/√c          |
/// | `lokr_w2`   | `[b, e]`    | `2·rank ≥ max(b, e)`                   | uniform on ±1/√e          |
/// | `lokr_w2_a` | `[b, rank]` | else                                   | uniform on ±1/√rank       |
/// | `lokr_w2_b` | `[rank, e]` | else                                   | uniform on ±1/√e          |
public struct LoKr: RankedConfiguration {
  public static let method = "LOKR"
  public static let summary = "update that is a Kronecker product of a small and a low-rank matrix"
  public static let paper: String? = "arXiv:2309.14859"
  public static let placement = AdapterPlacement.linearMaps(.qkv)
  public static let optionalSettings: Set<String> = ["factor"]

  /// At least 1; a factor whose longer side is at most twice the rank is not decomposed.
  public var rank = 8
  public var alpha = 8.0
  /// Whether `W₁` may be decomposed too.
  public var decomposeBoth = false
  /// The first number of each factor pair, at least 1; nil for the pair closest to the square root.
  public var factor: Int?
  /// The probability that a row of ΔW is dropped for one step, `0 ..< 1`.
  public var rankDropout = 0.0
  /// Whether the rows kept by `rankDropout` are scaled so that the mean stays.
  public var rankDropoutScale = false
  /// The probability that a site goes without its update for one step, `0 ..< 1`.
  public var moduleDropout = 0.0
  /// Where rank or alpha are others than those above, by the site's name.
  public var overrides: [String: SiteOverride] = [:]

  public init() {}

  public init(rank: Int, alpha: Double? = nil, decomposeBoth: Bool = false, factor: Int? = nil) {
    self.rank = rank
    self.alpha = alpha ?? Double(rank)
    self.decomposeBoth = decomposeBoth
    self.factor = factor
  }

  public var scale: Double { alpha / Double(rank) }

  /// Two numbers whose product is `dimension`: `factor` and its counterpart where it divides `dimension`; else the divisor
  /// closest to the square root from below, not above `factor`, then its counterpart.
  ///
  /// - Parameter dimension: at least 1
  static func factorPair(_ dimension: Int, factor: Int? = nil) -> (Int, Int) {
    if let factor, factor > 0, dimension % factor == 0 { return (factor, dimension / factor) }
    let root = Int(Double(dimension).squareRoot())
    let first = (1...max(1, min(root, factor ?? root))).last { dimension % $0 == 0 } ?? 1
    return (first, dimension / first)
  }

  public func validate(_ sites: [Site]) throws {
    guard rank >= 1 else { throw AdapterError.outOfRange("rank", Double(rank), "at least 1") }
    try validateRanks(sites) { _ in .max }
    if let factor, factor < 1 { throw AdapterError.outOfRange("factor", Double(factor), "at least 1") }
    try AdapterError.checkRate("rankDropout", rankDropout)
    try AdapterError.checkRate("moduleDropout", moduleDropout)
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    for site in sites {
      let layer = try LoKrLayer(settings(at: site), at: site, device: backbone.device, generator: generator)
      parts.corrections[site.name] = layer
      parts.parameters += layer.left.parameters + layer.right.parameters
    }
    return parts
  }
}

extension AdapterConfiguration where Self == LoKr {
  /// A Kronecker product; `alpha` is the rank unless given, so the scale is 1.
  public static func loKr(rank: Int = 8, alpha: Double? = nil) -> LoKr { LoKr(rank: rank, alpha: alpha) }
}

struct LoKrLayer: SiteAdapter {
  let left: Factor
  let right: Factor
  let scale: Double
  let rankDropout: Double
  let rankDropoutScale: Bool
  let moduleDropout: Double

  enum Factor: Sendable {
    case dense(Parameter)
    case product(up: Parameter, down: Parameter)

    var parameters: [Parameter] {
      switch self {
      case .dense(let matrix): [matrix]
      case .product(let up, let down): [up, down]
      }
    }

    var values: KroneckerProductDelta.Factor {
      switch self {
      case .dense(let matrix): .dense(matrix.value)
      case .product(let up, let down): .product(up: up.value, down: down.value)
      }
    }
  }

  init(_ configuration: LoKr, at site: Site, device: Device, generator: Generator) throws {
    func parameter(_ name: String, _ rows: Int, _ columns: Int, zeros: Bool) throws -> Parameter {
      let start: Tensor =
        zeros
        ? try .zeros([rows, columns], device: device)
        : try .kaimingUniform([rows, columns], device: device, from: generator)
      return try Parameter("\(site.name).\(name)", start)
    }
    func factor(_ name: String, _ rows: Int, _ columns: Int, decomposed: Bool, zeros: Bool) throws -> Factor {
      let rank = configuration.rank
      // As `2 · rank < max`, which a huge rank would overflow.
      guard decomposed, rank < (max(rows, columns) + 1) / 2 else {
        return .dense(try parameter(name, rows, columns, zeros: zeros))
      }
      return .product(
        up: try parameter("\(name)_a", rows, rank, zeros: zeros),
        down: try parameter("\(name)_b", rank, columns, zeros: false))
    }
    let (a, b) = LoKr.factorPair(site.outFeatures, factor: configuration.factor)
    let (c, e) = LoKr.factorPair(site.inFeatures, factor: configuration.factor)
    left = try factor("lokr_w1", a, c, decomposed: configuration.decomposeBoth, zeros: true)
    right = try factor("lokr_w2", b, e, decomposed: true, zeros: false)
    scale = configuration.scale
    rankDropout = configuration.rankDropout
    rankDropoutScale = configuration.rankDropoutScale
    moduleDropout = configuration.moduleDropout
  }

  private var product: KroneckerProductDelta {
    KroneckerProductDelta(left: left.values, right: right.values, scale: scale)
  }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    guard let generator = pass.generator else { return try product.output(of: linear, input: input) }
    if try generator.drops(moduleDropout) { return try linear(input) }
    guard rankDropout > 0 else { return try product.output(of: linear, input: input) }
    let rows = try Tensor.bernoulli(
      [linear.site.outFeatures], probability: 1 - rankDropout, device: input.device, from: generator)
    if rankDropoutScale { try rows.scaleInPlace(1 / (1 - rankDropout)) }
    return try linear(input) + product.apply(to: input) * rows
  }

  func delta(of linear: Linear) -> SiteDelta? { SiteDelta(weight: product) }
}
