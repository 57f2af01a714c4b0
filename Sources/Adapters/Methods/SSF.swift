import NeuralNetworks
import Tensors

/// Scaling and shifting features: after each operation with output `u`, `γ ⊙ u + β`.
///
/// Lian et al. 2022, "Scaling & Shifting Your Features", arXiv:2210.08823, eq. 2. As published it sits everywhere: behind the
/// patch embedding, every LayerNorm and every linear map of the blocks. It merges exactly, eq. 4: `W ← diag(γ)W`,
/// `b ← γ ⊙ b + β`, and the same for LayerNorms. A patch embedding without a bias (CLIP) is scaled and not shifted; the
/// LayerNorm behind it is both.
///
/// | parameter   | shape           | starts as                               |
/// |-------------|-----------------|-----------------------------------------|
/// | `ssf_scale` | `[outFeatures]` | normal around 1, or 1 (`initialization`) |
/// | `ssf_shift` | `[outFeatures]` | normal around 0, or 0                    |
///
/// Neither decays: a decay would draw the scales to zero, far from the frozen model.
public struct SSF: AdapterConfiguration {
  public static let method = "SSF"
  public static let summary = "scale and shift behind every map, LayerNorm and the patch embedding"
  public static let paper: String? = "arXiv:2210.08823"
  public static let placement = AdapterPlacement.backbone

  public var initialization = Initialization.normal

  public enum Initialization: String, Codable, Hashable, Sendable {
    /// `γ ~ N(1, 0.02²)`, `β ~ N(0, 0.02²)`, as published: a new adapter is near the frozen model, and not it.
    case normal
    /// `γ = 1`, `β = 0`: a new adapter changes nothing.
    case identity
  }

  public init() {}
  public init(_ initialization: Initialization) { self.initialization = initialization }
  public func validate(_ sites: [Site]) {}

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let shapes = Dictionary(backbone.tensors.map { ($0.name, $0.tensor.shape) }) { first, _ in first }
    var parts = AdapterParts()
    for name in (backbone.stem.map { [$0] } ?? []) + backbone.layerNorms {
      guard let width = shapes["\(name).weight"]?.first else { continue }
      let scale = try fresh("\(name).ssf_scale", width, mean: 1, device: backbone.device, generator)
      parts.tensors["\(name).weight"] = RescaledTensor(scale: scale, shift: nil)
      parts.parameters.append(scale)
      guard shapes["\(name).bias"] != nil else { continue }
      let shift = try fresh("\(name).ssf_shift", width, mean: 0, device: backbone.device, generator)
      parts.tensors["\(name).bias"] = RescaledTensor(scale: scale, shift: shift)
      parts.parameters.append(shift)
    }
    for site in sites {
      let layer = SSFLayer(
        scale: try fresh("\(site.name).ssf_scale", site.outFeatures, mean: 1, device: backbone.device, generator),
        shift: try fresh("\(site.name).ssf_shift", site.outFeatures, mean: 0, device: backbone.device, generator))
      parts.corrections[site.name] = layer
      parts.parameters += [layer.scale, layer.shift]
    }
    return parts
  }

  private func fresh(_ name: String, _ width: Int, mean: Double, device: Device, _ generator: Generator) throws
    -> Parameter
  {
    let value: Tensor =
      switch initialization {
      case .normal: try .normal([width], mean: mean, deviation: 0.02, device: device, from: generator)
      case .identity: try .full(mean, [width], device: device)
      }
    return try Parameter(name, value, decays: false, isWeight: false)
  }
}

extension AdapterConfiguration where Self == SSF {
  public static var ssf: SSF { SSF() }
}

/// Scale and shift behind a linear map.
struct SSFLayer: SiteAdapter {
  let scale: Parameter
  let shift: Parameter

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    try linear.output(input, scaledBy: scale.value, shiftedBy: shift.value)
  }

  /// `ΔW = diag(γ)W − W`, `Δb = (γ − 1) ⊙ b + β`.
  func delta(of linear: Linear) throws -> SiteDelta? {
    let moved = try linear.bias.map { try (scale.value - 1) * $0 + shift.value } ?? shift.value
    return SiteDelta(weight: RescalingDelta(of: linear.weight, rows: scale.value), bias: moved)
  }
}

/// Scale and shift as a change of a tensor with a row for each output: `γ ⊙ w`, and `γ ⊙ b + β` for the bias.
struct RescaledTensor: TensorAdapter {
  let scale: Parameter
  let shift: Parameter?

  func value(of original: Tensor) throws -> Tensor {
    let ones = [Int](repeating: 1, count: original.rank - 1)
    let scaled = try original * scale.value.reshaped([scale.count] + ones)
    return try shift.map { try scaled + $0.value } ?? scaled
  }
}
