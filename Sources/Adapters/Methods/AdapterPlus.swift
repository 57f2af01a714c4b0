import NeuralNetworks
import Tensors

/// A bottleneck adapter on the residual stream `z` after each block's MLP: `x ← z + γ⊙droppath(Ad(z))`.
///
/// Steitz and Roth 2024, "Adapters Strike Back", arXiv:2406.06820: a scale `γ` for each channel, GELU, no LayerNorm, both
/// matrices truncated normal with standard deviation 0.01, drop path 0.1 on the adapter alone. Published for pre-norm blocks;
/// in a post-norm one it is `x ← LN(x + y + γ⊙droppath(Ad(LN(x + y))))`, with the LayerNorm behind the sum. `Bottleneck` has the formula
/// and the parameters.
public struct AdapterPlus: AdapterConfiguration {
  public static let method = "ADAPTER_PLUS"
  public static let summary = "a bottleneck with a scale for each channel, on the residual stream after the MLP"
  public static let paper: String? = "arXiv:2406.06820"
  public static let placement = AdapterPlacement.blocks

  /// Hidden units.
  public var width = 8
  public var activation = Bottleneck.Activation.gelu
  /// The probability that a sample goes without the adapter at a block, `0 ..< 1`.
  public var dropPath = 0.1
  public var initialization = Bottleneck.Initialization.truncatedNormal(deviation: 0.01)

  public init() {}
  public init(width: Int) { self.width = width }

  private var bottleneck: Bottleneck {
    Bottleneck(
      method: Self.method, width: width, input: .sum, activation: activation, scale: .channels, dropPath: dropPath,
      initialization: initialization)
  }

  public var obstacleToMerging: String? { Bottleneck.obstacleToMerging }
  public func validate(_ sites: [Site]) throws { try bottleneck.validate() }
  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    try bottleneck.parts(for: sites, of: backbone, generator: generator)
  }
}

extension AdapterConfiguration where Self == AdapterPlus {
  /// The published adapter with `width` hidden units.
  public static func adapterPlus(width: Int = 8) -> AdapterPlus { AdapterPlus(width: width) }
}
