import NeuralNetworks
import Tensors

/// A bottleneck adapter beside each block's MLP, on the residual stream: `x ← x + mlp(LN(x)) + s·(U·drop(relu(D·x + a)) + c)`.
///
/// Chen et al. 2022, "AdaptFormer", arXiv:2205.13535, as its authors' image configuration has it: 64 hidden units, `s` = 0.1,
/// dropout 0.1, no LayerNorm of its own, and a start that changes nothing. `Bottleneck` has the parameters.
public struct AdaptFormer: AdapterConfiguration {
  public static let method = "ADAPTFORMER"
  public static let summary = "a small bottleneck beside the MLP, on the residual stream"
  public static let paper: String? = "arXiv:2205.13535"
  public static let placement = AdapterPlacement.blocks

  /// Hidden units.
  public var width = 64
  public var activation = Bottleneck.Activation.relu
  public var scale = 0.1
  /// The probability that a hidden unit is dropped, `0 ..< 1`.
  public var dropout = 0.1
  public var initialization = Bottleneck.Initialization.zeroUp

  public init() {}
  public init(width: Int) { self.width = width }

  private var bottleneck: Bottleneck {
    Bottleneck(
      method: Self.method, width: width, input: .stream, activation: activation, scale: .fixed(scale),
      dropout: dropout, initialization: initialization)
  }

  public var obstacleToMerging: String? { Bottleneck.obstacleToMerging }
  public func validate(_ sites: [Site]) throws { try bottleneck.validate() }
  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    try bottleneck.parts(for: sites, of: backbone, generator: generator)
  }
}

extension AdapterConfiguration where Self == AdaptFormer {
  /// The published adapter with `width` hidden units.
  public static func adaptFormer(width: Int = 64) -> AdaptFormer { AdaptFormer(width: width) }
}
