import NeuralNetworks
import Tensors

/// One Kronecker adapter at each site, all sharing their slow weights: `y = Wx + b + x·H + β`.
///
/// KAdaptation (He et al. 2022, arXiv:2203.16329) in the form Mixture-of-Adapters (arXiv:2310.11031) gives a single expert:
/// the slow factors `A_t = l_t ρ_tᵀ` are of rank one, the scale is 1. `KroneckerDelta` has the formula.
///
/// | parameter   | shape       | starts as                                    |
/// |-------------|-------------|----------------------------------------------|
/// | `shared.l`, `shared.rho` | `[P, P]` | uniform on ±0.01             |
/// | `U`         | `[P, i, r]` | Xavier uniform, gain √2, for each `t`         |
/// | `V`         | `[P, r, o]` | the same, or zeros (`initialization`)         |
/// | `bias`      | `[out]`     | zeros                                        |
public struct KroneckerAdapter: AdapterConfiguration {
  public static let method = "KRONECKER"
  public static let summary = "sum of Kronecker products with shared coarse factors (KAdaptation)"
  public static let paper: String? = "arXiv:2203.16329"
  public static let placement = AdapterPlacement.linearMaps(.qkv)

  /// `P`; divides both sides of every site.
  public var dimension = 64
  /// `r` of the fine factors; the update's rank is at most `P · r`.
  public var rank = 1
  /// The probability that an entry of `H` is dropped for one step, `0 ..< 1`.
  public var dropConnect = 0.0
  /// Whether a bias `β` trains beside it.
  public var bias = true
  public var initialization = KroneckerInitialization.glorot

  public init() {}

  public init(dimension: Int, rank: Int = 1, dropConnect: Double = 0) {
    self.dimension = dimension
    self.rank = rank
    self.dropConnect = dropConnect
  }

  /// The mixture of this one expert, which is this adapter.
  private var mixture: MixtureOfAdapters {
    var mixture = MixtureOfAdapters(of: .kronecker(dimension: dimension), ranks: [rank])
    mixture.dropConnect = dropConnect
    mixture.bias = bias
    mixture.initialization = initialization
    return mixture
  }

  public func validate(_ sites: [Site]) throws { try mixture.validate(sites) }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let slow = try KroneckerExpert.Slow(dimension: dimension, device: backbone.device, generator: generator)
    var parts = AdapterParts()
    parts.parameters = [slow.left, slow.right]
    for site in sites {
      let expert = try KroneckerExpert(
        site.name, rank: rank, slow: slow, site: site, initialization: initialization, device: backbone.device,
        generator: generator)
      let shift =
        bias ? try Parameter("\(site.name).bias", .zeros([site.outFeatures], device: backbone.device)) : nil
      parts.corrections[site.name] = KroneckerLayer(expert: expert, bias: shift, dropConnect: dropConnect)
      parts.parameters += [expert.left, expert.right] + (shift.map { [$0] } ?? [])
    }
    return parts
  }
}

extension AdapterConfiguration where Self == KroneckerAdapter {
  public static func kronecker(dimension: Int = 64, rank: Int = 1) -> KroneckerAdapter {
    KroneckerAdapter(dimension: dimension, rank: rank)
  }
}

/// How `V` of a Kronecker adapter starts.
public enum KroneckerInitialization: String, Codable, Hashable, Sendable {
  /// Xavier uniform, as the official code: the start differs from the frozen model by about 10⁻⁴ relative.
  case glorot
  /// Zeros: the start is exactly the frozen model.
  case zeroRight
}

/// The parameters of one Kronecker expert at one site; the slow weights are everybody's.
struct KroneckerExpert: Sendable {
  let slow: Slow
  let left: Parameter
  let right: Parameter

  struct Slow: Sendable {
    let left: Parameter
    let right: Parameter
  }

  var delta: KroneckerDelta {
    KroneckerDelta(
      coarseLeft: slow.left.value, coarseRight: slow.right.value, fineLeft: left.value, fineRight: right.value)
  }
}

extension KroneckerExpert.Slow {
  init(dimension: Int, device: Device, generator: Generator) throws {
    left = try Parameter(
      "shared.l", .uniform([dimension, dimension], -0.01, 0.01, device: device, from: generator))
    right = try Parameter(
      "shared.rho", .uniform([dimension, dimension], -0.01, 0.01, device: device, from: generator))
  }
}

extension KroneckerExpert {
  /// A fresh expert.
  init(
    _ name: String, rank: Int, slow: Slow, site: Site, initialization: KroneckerInitialization, device: Device,
    generator: Generator
  ) throws {
    let dimension = slow.left.value.shape[0]
    let (inner, outer) = (site.inFeatures / dimension, site.outFeatures / dimension)
    func xavier(_ rows: Int, _ columns: Int) throws -> Tensor {
      let bound = 2.0.squareRoot() * (6 / Double(rows + columns)).squareRoot()
      return try .uniform([dimension, rows, columns], -bound, bound, device: device, from: generator)
    }
    self.slow = slow
    left = try Parameter("\(name).U", xavier(inner, rank))
    let start = try xavier(rank, outer)
    right = try Parameter("\(name).V", initialization == .glorot ? start : start.zerosLike())
  }
}

struct KroneckerLayer: SiteAdapter {
  let expert: KroneckerExpert
  let bias: Parameter?
  let dropConnect: Double

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let base = try linear.shifted(by: bias?.value)
    if dropConnect > 0, let generator = pass.generator {
      let rowForm = try expert.delta.rowForm().dropout(dropConnect, from: generator)
      return try base(input) + input.matmul(rowForm)
    }
    return try base(input) + expert.delta.apply(to: input)
  }

  func delta(of linear: Linear) -> SiteDelta? { SiteDelta(weight: expert.delta, bias: bias?.value) }
}

extension Linear {
  /// The same map with something added to its bias: an added vector then costs no pass of its own.
  func shifted(by shift: Tensor?) throws -> Linear {
    guard let shift else { return self }
    return Linear(site: site, weight: weight, bias: try bias.map { try $0 + shift } ?? shift)
  }
}
