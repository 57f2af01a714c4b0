import NeuralNetworks
import Tensors

/// A bottleneck adapter beside each block's MLP: `x ← x + mlp(LN(x)) + s·Ad(h)`.
///
/// He et al. 2021, "Towards a Unified View of Parameter-Efficient Transfer Learning", arXiv:2110.04366, with their defaults
/// but for the width, which is 512 in their language models: ReLU, `s` = 4, a new adapter changes nothing. By default `h` is
/// what the MLP is given, `LN(x)`; with `input = .stream` it is `x`, as AdapterHub's preset `par_bn` runs on a ViT.
/// `Bottleneck` has the formula and the parameters.
public struct ParallelAdapter: AdapterConfiguration {
  public static let method = "PARALLEL_ADAPTER"
  public static let summary = "a bottleneck beside the MLP, on what the MLP is given"
  public static let paper: String? = "arXiv:2110.04366"
  public static let placement = AdapterPlacement.blocks

  /// Hidden units.
  public var width = 64
  public var input = Bottleneck.Input.branch
  public var activation = Bottleneck.Activation.relu
  public var scale = 4.0
  /// Whether the scale trains too, as one number at each branch.
  public var learnsScale = false
  /// The probability that a hidden unit is dropped, `0 ..< 1`.
  public var dropout = 0.0
  public var initialization = Bottleneck.Initialization.zeroUp

  public init() {}
  public init(width: Int) { self.width = width }

  private var bottleneck: Bottleneck {
    Bottleneck(
      method: Self.method, width: width, input: input, activation: activation,
      scale: learnsScale ? .learned(scale) : .fixed(scale), dropout: dropout, initialization: initialization)
  }

  public var obstacleToMerging: String? { Bottleneck.obstacleToMerging }
  public func validate(_ sites: [Site]) throws { try bottleneck.validate() }
  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    try bottleneck.parts(for: sites, of: backbone, generator: generator)
  }
}

extension AdapterConfiguration where Self == ParallelAdapter {
  /// A bottleneck of `width` hidden units beside each MLP.
  public static func parallelAdapter(width: Int) -> ParallelAdapter { ParallelAdapter(width: width) }
}
