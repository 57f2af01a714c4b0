import NeuralNetworks
import Tensors

/// Attention's own weights and biases train, in chosen blocks; everything else is frozen.
///
/// Touvron et al. 2022, "Three Things Everyone Should Know About Vision Transformers", arXiv:2203.09795, section 4: the maps
/// to queries, keys and values and the projection after attention, a third of the network.
public struct AttentionTuning: AdapterConfiguration {
  public static let method = "ATTENTION"
  public static let summary = "the attention's own weights train"
  public static let paper: String? = "arXiv:2203.09795"
  public static let placement = AdapterPlacement.blocks

  public init() {}
  public func validate(_ sites: [Site]) {}

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let names = sites.filter { $0.role == .qkv || $0.role == .proj }.map(\.name)
    let tuned = Set(names.flatMap { ["\($0).weight", "\($0).bias"] })
    return try AdapterParts(tuning: backbone, where: tuned.contains)
  }
}

extension AdapterConfiguration where Self == AttentionTuning {
  public static var attention: AttentionTuning { AttentionTuning() }
}
