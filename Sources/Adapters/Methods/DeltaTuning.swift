import NeuralNetworks
import Tensors

/// A whole change of each weight: `y = Wx + b + ΔW·x`, every number of ΔW its own.
///
/// It trains as full fine-tuning of the chosen maps does, and holds what mixtures of adapters come to where they have no
/// smaller form; with most of its numbers zero its file is small.
///
/// | parameter | shape                       | starts as                            |
/// |-----------|-----------------------------|--------------------------------------|
/// | `delta`   | `[outFeatures, inFeatures]` | zeros: a new adapter changes nothing |
public struct DeltaTuning: AdapterConfiguration {
  public static let method = "DELTA"
  public static let summary = "the whole change ΔW of a linear map, dense or sparse"
  public static let placement = AdapterPlacement.linearMaps(.allLinear)

  /// Sites whose bias changes as well: the parameter `bias_delta`, `[outFeatures]`.
  public var biases: [String] = []
  /// Tensors of the backbone that train beside the changes, by name.
  public var tunedTensors: [String] = []

  public init() {}

  public init(biases: [String] = [], tunedTensors: [String] = []) {
    self.biases = biases
    self.tunedTensors = tunedTensors
  }

  public func validate(_ sites: [Site]) throws {
    let names = Set(sites.map(\.name))
    if let unknown = biases.first(where: { !names.contains($0) }) {
      throw AdapterError.unknown("adapted site", unknown, known: names.sorted())
    }
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    let biased = Set(biases)
    for site in sites {
      let layer = DeltaLayer(
        weight: try Parameter(
          "\(site.name).delta", .zeros([site.outFeatures, site.inFeatures], device: backbone.device)),
        bias: biased.contains(site.name)
          ? try Parameter("\(site.name).bias_delta", .zeros([site.outFeatures], device: backbone.device)) : nil)
      parts.corrections[site.name] = layer
      parts.parameters += [layer.weight] + (layer.bias.map { [$0] } ?? [])
    }
    try parts.tune(tunedTensors, of: backbone)
    return parts
  }
}

extension AdapterConfiguration where Self == DeltaTuning {
  public static var delta: DeltaTuning { DeltaTuning() }
}

struct DeltaLayer: SiteAdapter {
  let weight: Parameter
  let bias: Parameter?

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let output = try DenseDelta(weight.value).output(of: linear, input: input)
    return try bias.map { try output + $0.value } ?? output
  }

  func delta(of linear: Linear) throws -> SiteDelta? {
    SiteDelta(weight: DenseDelta(weight.value), bias: bias?.value)
  }
}
