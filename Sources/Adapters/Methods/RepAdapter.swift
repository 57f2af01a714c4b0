import NeuralNetworks
import Tensors

/// A linear bottleneck in front of a map: `y = W·f(x) + b` with `f(x) = x + scale · (B(dropout(Ax + a)) + c)`.
///
/// Luo et al. 2023, "Towards Efficient Visual Adaption via Structural Re-parameterization", arXiv:2302.08106, eq. 6 and 7:
/// `A` is dense, `B` block-diagonal in `groups`. As published it stands before attention and before the MLP, which is before
/// `qkv` and `fc1`; targets `[.qkv]` are the paper's "attention only".
///
/// With nothing between its two maps it merges exactly, eq. 9: `W ← W(I + scale · BA)`, `b ← b + scale · W(Ba + c)`. It
/// mixes the map's inputs, so on `qkv` queries, keys and values change alike.
///
/// | parameter     | shape                                          | starts as      |
/// |---------------|------------------------------------------------|----------------|
/// | `down.weight` | `[width, inFeatures]`                          | Xavier uniform |
/// | `down.bias`   | `[width]`                                      | zeros          |
/// | `up.weight`   | `[groups, inFeatures / groups, width / groups]` | zeros          |
/// | `up.bias`     | `[inFeatures]`                                 | zeros          |
public struct RepAdapter: AdapterConfiguration {
  public static let method = "REPADAPTER"
  public static let summary = "linear bottleneck in front of a map, which takes it in (RepAdapter)"
  public static let paper: String? = "arXiv:2302.08106"
  public static let placement = AdapterPlacement.linearMaps([.qkv, .fc1])

  /// Of the bottleneck, 1 or more.
  public var width = 8
  /// Of `B`; divides the width and the inputs of every site.
  public var groups = 2
  /// The released code chooses it for each task, from 0.1 to 10.
  public var scale = 1.0
  /// Probability, `0 ..< 1`, in the middle of the bottleneck.
  public var dropout = 0.1

  public init() {}

  public init(width: Int, groups: Int = 2, scale: Double = 1, dropout: Double = 0.1) {
    self.width = width
    self.groups = groups
    self.scale = scale
    self.dropout = dropout
  }

  public func validate(_ sites: [Site]) throws {
    guard (1...65_536).contains(width) else { throw AdapterError.outOfRange("width", Double(width), "1 to 65536") }
    guard groups >= 1, width % groups == 0 else { throw AdapterError.groups(groups, of: width, "the bottleneck") }
    for site in sites where site.inFeatures % groups != 0 {
      throw AdapterError.groups(groups, of: site.inFeatures, "the inputs of '\(site.name)'")
    }
    try AdapterError.checkRate("dropout", dropout)
    guard scale.isFinite else { throw AdapterError.outOfRange("scale", scale, "a finite number") }
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    for site in sites {
      let layer = try RepAdapterLayer(self, at: site, device: backbone.device, generator: generator)
      parts.corrections[site.name] = layer
      parts.parameters += [layer.down, layer.downBias, layer.up, layer.upBias]
    }
    return parts
  }
}

extension AdapterConfiguration where Self == RepAdapter {
  public static func repAdapter(width: Int = 8, groups: Int = 2, scale: Double = 1) -> RepAdapter {
    RepAdapter(width: width, groups: groups, scale: scale)
  }
}

struct RepAdapterLayer: SiteAdapter {
  /// `A` and `a`
  let down, downBias: Parameter
  /// The blocks of `B`, and `c`
  let up, upBias: Parameter
  let scale: Double
  let dropout: Double

  /// `B`, `[inFeatures, width]`
  private func dense() throws -> Tensor { try GroupedDelta(values: up.value).materialized() }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    var middle = try input.linear(down.value, downBias.value)
    if let generator = pass.generator { middle = try middle.dropout(dropout, from: generator) }
    return try linear(input + middle.linear(dense() * scale, upBias.value * scale))
  }

  /// `ΔW = scale · WB · A`, `Δb = scale · W(Ba + c)`.
  func delta(of linear: Linear) throws -> SiteDelta? {
    try withFullPrecision(on: linear.weight.device) {
      let up = try dense()
      let shift = try downBias.value.unsqueezed(0).linear(up, upBias.value).linear(linear.weight).squeezed(0)
      return SiteDelta(
        weight: LowRankDelta(down: down.value, up: try linear.weight.matmul(up), scale: scale),
        bias: try shift * scale)
    }
  }
}

extension RepAdapterLayer {
  /// A fresh layer.
  init(_ configuration: RepAdapter, at site: Site, device: Device, generator: Generator) throws {
    let (width, groups) = (configuration.width, configuration.groups)
    let bound = (6 / Double(site.inFeatures + width)).squareRoot()
    down = try Parameter(
      "\(site.name).down.weight",
      .uniform([width, site.inFeatures], -bound, bound, device: device, from: generator))
    downBias = try Parameter("\(site.name).down.bias", .zeros([width], device: device))
    up = try Parameter(
      "\(site.name).up.weight", .zeros([groups, site.inFeatures / groups, width / groups], device: device))
    upBias = try Parameter("\(site.name).up.bias", .zeros([site.inFeatures], device: device))
    scale = configuration.scale
    dropout = configuration.dropout
  }
}
