import NeuralNetworks
import Tensors

/// The last blocks train whole, with every LayerNorm behind them; everything before is frozen.
///
/// Yosinski et al. 2014, "How Transferable Are Features in Deep Neural Networks?", arXiv:1411.1792; "partial-k" in Jia et al.
/// 2022, arXiv:2203.12119. The gradient goes no deeper than the blocks that train.
///
/// There is nothing to merge: the tensors trained are the merged ones.
public struct LastBlocks: AdapterConfiguration {
  public static let method = "LAST_BLOCKS"
  public static let summary = "every tensor of the last blocks trains"
  public static let paper: String? = "arXiv:1411.1792"
  public static let placement = AdapterPlacement.backbone

  /// `1 ... the backbone's blocks`
  public var count = 1

  public init() {}
  public init(_ count: Int) { self.count = count }

  /// - Throws: `PlacementError.last` for more blocks than there are, or none.
  public func validate(_ sites: [Site]) throws { _ = try Blocks.last(count).indices(of: sites.blocks.count) }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let blocks = try Blocks.last(count).indices(of: sites.blocks.count)
    let places = blocks.map { "blocks.\($0)." } + backbone.outerLayerNorms.last.map { "\($0)." }
    return try AdapterParts(tuning: backbone) { name in places.contains { name.hasPrefix($0) } }
  }
}

extension AdapterConfiguration where Self == LastBlocks {
  public static func lastBlocks(_ count: Int = 1) -> LastBlocks { LastBlocks(count) }
}
