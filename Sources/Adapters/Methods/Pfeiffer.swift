import NeuralNetworks
import Tensors

/// One bottleneck adapter in each block, at the MLP's output `y`: `x ← x + y + s·Ad(h)`.
///
/// Pfeiffer et al. 2020, "AdapterFusion", arXiv:2005.00247. The paper's transformer normalizes after the sum; there it is
/// `x ← LN(x + y + s·Ad(LN(x + y)))` with one pretrained LayerNorm twice, as AdapterHub runs it on BERT. Ports to pre-norm
/// vision transformers disagree on what `h` is. By default it is `y`, as in the baselines of visual prompt tuning; with
/// `input = .sum` it is `x + y`, as AdapterHub's preset `seq_bn` runs on a ViT. The other defaults are that preset's:
/// ReLU, a 16th of the width, both matrices normal with standard deviation 0.02. `noah` is the variant in the tables of NOAH
/// and Consolidator. `Bottleneck` has the formula and the parameters.
public struct Pfeiffer: AdapterConfiguration {
  public static let method = "PFEIFFER"
  public static let summary = "a bottleneck after the MLP"
  public static let paper: String? = "arXiv:2005.00247"
  public static let placement = AdapterPlacement.blocks
  public static let optionalSettings: Set<String> = ["width", "input"]

  /// Hidden units; nil for a 16th of the stream's width.
  public var width: Int?
  /// `h`; nil for `LN(x + y)` where a LayerNorm follows the sum, and `y` where none does.
  public var input: Bottleneck.Input?
  public var activation = Bottleneck.Activation.relu
  public var scale = 1.0
  /// The probability that a hidden unit is dropped, `0 ..< 1`.
  public var dropout = 0.0
  public var initialization = Bottleneck.Initialization.normal(deviation: 0.02)

  public init() {}
  public init(width: Int) { self.width = width }

  /// Zhang et al. 2022, "Neural Prompt Search", arXiv:2206.04673: 8 units, quick GELU, dropout 0.1, Xavier uniform.
  public static var noah: Pfeiffer {
    var configuration = Pfeiffer(width: 8)
    configuration.activation = .quickGELU
    configuration.dropout = 0.1
    configuration.initialization = .xavier
    return configuration
  }

  private var bottleneck: Bottleneck {
    Bottleneck(
      method: Self.method, width: width, input: input, activation: activation, scale: .fixed(scale), dropout: dropout,
      initialization: initialization)
  }

  public var obstacleToMerging: String? { Bottleneck.obstacleToMerging }
  public func validate(_ sites: [Site]) throws { try bottleneck.validate() }
  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    try bottleneck.parts(for: sites, of: backbone, generator: generator)
  }
}

extension AdapterConfiguration where Self == Pfeiffer {
  /// One bottleneck in each block, of `width` hidden units.
  public static func pfeiffer(width: Int) -> Pfeiffer { Pfeiffer(width: width) }
}
