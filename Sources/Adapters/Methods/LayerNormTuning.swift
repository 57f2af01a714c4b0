import NeuralNetworks
import Tensors

/// The weights and biases of LayerNorms train, everything else is frozen.
///
/// Zhao et al. 2023, "Tuning LayerNorm in Attention", arXiv:2312.11420; PEFT's method of the same name, which takes modules
/// by name where this takes blocks: both LayerNorms of each chosen block and those after the last block, whichever blocks
/// are chosen. A LayerNorm before the blocks (CLIP) goes with the first one.
///
/// There is nothing to merge: the tensors trained are the merged ones.
public struct LayerNormTuning: AdapterConfiguration {
  public static let method = "LN_TUNING"
  public static let summary = "the LayerNorms' own weights and biases train"
  public static let paper: String? = "arXiv:2312.11420"
  public static let placement = AdapterPlacement.blocks

  /// The LayerNorms that train, by name, as in `blocks.3.norm1`; empty for all of the chosen blocks. PEFT names modules.
  public var only: [String] = []

  public init() {}
  public func validate(_ sites: [Site]) {}

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let blocks = sites.blocks
    let (first, last) = backbone.outerLayerNorms
    var norms = backbone.layerNorms.filter { name in blocks.contains { name.hasPrefix("blocks.\($0).") } } + last
    if blocks.contains(0) { norms += first }
    if let unknown = only.first(where: { !norms.contains($0) }) {
      throw AdapterError.unknown("LayerNorm", unknown, known: norms)
    }
    if !only.isEmpty { norms = norms.filter(only.contains) }
    let tuned = Set(norms.flatMap { ["\($0).weight", "\($0).bias"] })
    return try AdapterParts(tuning: backbone, where: tuned.contains)
  }
}

extension AdapterConfiguration where Self == LayerNormTuning {
  public static var layerNorms: LayerNormTuning { LayerNormTuning() }
}
