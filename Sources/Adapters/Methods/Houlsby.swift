import NeuralNetworks
import Tensors

/// Two bottleneck adapters in each block, on the outputs `y` of attention and of the MLP: `x ← x + y + s·Ad(y)`, in a post-norm
/// block `x ← LN(x + y + s·Ad(y))`.
///
/// Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP", arXiv:1902.00751, figure 2. The defaults are
/// AdapterHub's preset `double_seq_bn`: swish, a 16th of the width, both matrices normal with standard deviation 0.02;
/// `original` is what the paper's own code has. LayerNorms do not train with it. `Bottleneck` has the formula and the
/// parameters.
public struct Houlsby: AdapterConfiguration {
  public static let method = "HOULSBY"
  public static let summary = "a bottleneck after attention and after the MLP"
  public static let paper: String? = "arXiv:1902.00751"
  public static let placement = AdapterPlacement.blocks
  public static let optionalSettings: Set<String> = ["width"]

  /// Hidden units; nil for a 16th of the stream's width.
  public var width: Int?
  public var activation = Bottleneck.Activation.swish
  public var scale = 1.0
  /// The probability that a hidden unit is dropped, `0 ..< 1`.
  public var dropout = 0.0
  public var initialization = Bottleneck.Initialization.normal(deviation: 0.02)

  public init() {}
  public init(width: Int) { self.width = width }

  /// As in google-research/adapter-bert: 64 units, GELU, both matrices truncated normal with standard deviation 10⁻³.
  public static var original: Houlsby {
    var configuration = Houlsby(width: 64)
    configuration.activation = .gelu
    configuration.initialization = .truncatedNormal(deviation: 1e-3)
    return configuration
  }

  private var bottleneck: Bottleneck {
    Bottleneck(
      method: Self.method, width: width, kinds: [.attention, .mlp], input: .output, activation: activation,
      scale: .fixed(scale), dropout: dropout, initialization: initialization)
  }

  public var obstacleToMerging: String? { Bottleneck.obstacleToMerging }
  public func validate(_ sites: [Site]) throws { try bottleneck.validate() }
  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    try bottleneck.parts(for: sites, of: backbone, generator: generator)
  }
}

extension AdapterConfiguration where Self == Houlsby {
  /// AdapterHub's two bottlenecks in each block, of `width` hidden units.
  public static func houlsby(width: Int) -> Houlsby { Houlsby(width: width) }
}
