import NeuralNetworks
import Tensors

/// (IA)³: learned vectors multiply keys, values and the middle of the MLP.
///
/// Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
/// arXiv:2205.05638, section 3.3: `softmax(Q(l_k ⊙ K)ᵀ/√d)(l_v ⊙ V)` and `(l_ff ⊙ σ(W₁x))W₂`. The outputs of a map are
/// scaled, `l ⊙ (Wx + b)`; those of `feedforward` have their inputs scaled instead, `W(l ⊙ x) + b`, which for the second map
/// of the MLP is behind the activation. Both merge exactly, into rows and into columns of the weight.
///
/// Of a map that computes queries, keys and values together the keys and the values are scaled, and the queries' rows stay
/// as they are. Targets `[.qkv, .fc2]` scale all three, as PEFT does where it is given timm's fused `qkv`.
///
/// | parameter | shape                                              | starts as |
/// |-----------|----------------------------------------------------|-----------|
/// | `ia3_l`   | `[outFeatures, 1]`, or `[1, inFeatures]`: as PEFT's | ones      |
///
/// It does not decay: a decay would draw the scales to zero, far from the frozen model.
public struct IA3: AdapterConfiguration {
  public static let method = "IA3"
  public static let summary = "vectors that scale keys, values and the MLP's middle, (IA)³"
  public static let paper: String? = "arXiv:2205.05638"
  public static let placement = AdapterPlacement.linearMaps([.key, .value, .fc2])

  /// The maps of these roles have their inputs scaled, all others their outputs: PEFT's `feedforward_modules`.
  public var feedforward: [Site.Role] = [.fc2]

  public init() {}
  public init(feedforward: [Site.Role]) { self.feedforward = feedforward }
  public func validate(_ sites: [Site]) {}

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    var parted: [String: [(rows: Range<Int>, scale: Parameter)]] = [:]
    for site in sites {
      let scalesInputs = feedforward.contains(site.role)
      let shape = scalesInputs ? [1, site.inFeatures] : [site.outFeatures, 1]
      let scale = try Parameter(
        "\(site.name).ia3_l", .ones(shape, device: backbone.device), decays: false, isWeight: false)
      parts.corrections[site.name] = scalesInputs ? InputScale(scale: scale) : OutputScale(scale: scale)
      parts.parameters.append(scale)
      if let whole = site.whole, !scalesInputs { parted[whole.name, default: []].append((whole.rows, scale)) }
    }
    // The map of which only parts are scaled is still one product, with ones for the rest.
    for site in backbone.sites {
      guard let scales = parted[site.name] else { continue }
      let all = sites.filter { $0.whole?.name == site.name }.count == scales.count
      if all { parts.corrections[site.name] = PartedOutputScale(scales, outFeatures: site.outFeatures) }
    }
    return parts
  }
}

extension AdapterConfiguration where Self == IA3 {
  public static var ia3: IA3 { IA3() }
}

/// `l ⊙ (Wx + b)`
struct OutputScale: SiteAdapter {
  /// `[outFeatures, 1]`
  let scale: Parameter

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    try linear.output(input, scaledBy: scale.value.reshaped(-1))
  }

  func delta(of linear: Linear) throws -> SiteDelta? { try linear.delta(scalingOutputsBy: scale.value.reshaped(-1)) }
}

/// `W(l ⊙ x) + b`
struct InputScale: SiteAdapter {
  /// `[1, inFeatures]`
  let scale: Parameter

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    try linear(input * scale.value.reshaped(-1))
  }

  func delta(of linear: Linear) throws -> SiteDelta? {
    SiteDelta(weight: RescalingDelta(of: linear.weight, columns: try scale.value.reshaped(-1)))
  }
}

/// `l ⊙ (Wx + b)` for parts of the rows, the rest as it is.
struct PartedOutputScale: SiteAdapter {
  let scales: [(rows: Range<Int>, scale: Parameter)]
  let outFeatures: Int

  init(_ scales: [(rows: Range<Int>, scale: Parameter)], outFeatures: Int) {
    self.scales = scales.sorted { $0.rows.lowerBound < $1.rows.lowerBound }
    self.outFeatures = outFeatures
  }

  /// `[outFeatures]`
  private func scale() throws -> Tensor {
    var pieces: [Tensor] = []
    var row = 0
    func appendOnes(upTo end: Int) throws {
      guard end > row, let like = scales.first?.scale.value else { return }
      pieces.append(try .ones([end - row], dtype: like.dtype, device: like.device))
    }
    for (rows, scale) in scales {
      try appendOnes(upTo: rows.lowerBound)
      pieces.append(try scale.value.reshaped(-1))
      row = rows.upperBound
    }
    try appendOnes(upTo: outFeatures)
    return try .concatenated(pieces)
  }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    try linear.output(input, scaledBy: scale())
  }

  func delta(of linear: Linear) throws -> SiteDelta? { try linear.delta(scalingOutputsBy: scale()) }
}

extension Linear {
  fileprivate func delta(scalingOutputsBy scale: Tensor) throws -> SiteDelta {
    SiteDelta(weight: RescalingDelta(of: weight, rows: scale), bias: try bias.map { try (scale - 1) * $0 })
  }
}
