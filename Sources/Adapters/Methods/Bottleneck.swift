import NeuralNetworks
import Tensors

/// The module that all bottleneck adapters share, `Ad(h) = U·σ(D·h + a) + c`, and where it stands.
///
/// At a residual branch with output `y` it makes `y + s·Ad(h)`, which the backbone adds to its stream; in a post-norm block
/// (BERT) the pretrained LayerNorm follows the sum, as it does without an adapter. The methods differ in
/// the branches that they choose, in what `h` is, in the scale `s` and in how they start: `Houlsby`, `Pfeiffer`,
/// `ParallelAdapter`, `AdaptFormer`, `AdapterPlus`. For `m` hidden units on a stream of width `d`, at the branch `NAME`:
///
/// | parameter                  | shape        | starts as                                       |
/// |----------------------------|--------------|-------------------------------------------------|
/// | `NAME.adapter.down.weight` | `[m, d]`, D  | see `Initialization`                            |
/// | `NAME.adapter.down.bias`   | `[m]`, a     | zeros                                           |
/// | `NAME.adapter.up.weight`   | `[d, m]`, U  | see `Initialization`                            |
/// | `NAME.adapter.up.bias`     | `[d]`, c     | zeros                                           |
/// | `NAME.adapter.scale`       | `[1]`, `[d]` | the fixed scale, or ones; only where `s` trains |
public struct Bottleneck: Hashable, Sendable {
  public enum Activation: String, Codable, CaseIterable, Hashable, Sendable {
    case relu
    /// `x · Φ(x)`
    case gelu
    /// `x · sigmoid(1.702 · x)`
    case quickGELU
    /// `x · sigmoid(x)`
    case swish
  }

  /// What the module reads at a branch `x ← x + y`, `y = f(LN(x))`, or in a post-norm block `x ← LN(x + y)`, `y = f(x)`.
  public enum Input: String, Codable, CaseIterable, Hashable, Sendable {
    /// `y`, what the branch computed.
    case output
    /// The stream after the branch: `x + y`, or `LN(x + y)`.
    case sum
    /// What the branch was given: `LN(x)`, or `x`.
    case branch
    /// `x`, the stream before the branch.
    case stream
  }

  /// How the matrices start. None of these leaves both at zero: with `σ(0) = 0` each would then multiply the other's gradient
  /// by zero for ever, and only `c` would learn (as happens in a released port of the Pfeiffer adapter).
  public enum Initialization: Codable, Hashable, Sendable {
    /// Both normal.
    case normal(deviation: Double)
    /// Both normal, drawn again beyond two standard deviations.
    case truncatedNormal(deviation: Double)
    /// Both Xavier uniform; the biases normal with standard deviation 10⁻⁶.
    case xavier
    /// `D` uniform on ±1/√d, `U` zeros: a new adapter changes nothing.
    case zeroUp
  }

  enum Scale: Hashable {
    case fixed(Double)
    /// One number that trains, from here.
    case learned(Double)
    /// One number for each channel, from 1.
    case channels
  }

  let method: String
  /// `m`; nil for a 16th of the stream's width.
  var width: Int?
  var kinds: [Branch.Kind] = [.mlp]
  /// nil for what the branch computed in a pre-norm block, and the stream after it in a post-norm one.
  var input: Input?
  var activation: Activation
  var scale: Scale
  /// The probability that a hidden unit is dropped.
  var dropout = 0.0
  /// The probability that a sample goes without the adapter.
  var dropPath = 0.0
  var initialization: Initialization

  static let obstacleToMerging = "its activation stands between its two maps, so no one weight gives the same outputs"

  func validate() throws(AdapterError) {
    // Bounded, because a file of settings is believed before any file of tensors has been seen.
    if let width, !(1...65_536).contains(width) { throw .outOfRange("width", Double(width), "1 to 65536") }
    try AdapterError.checkRate("dropout", dropout)
    try AdapterError.checkRate("dropPath", dropPath)
    switch scale {
    case .fixed(let scale), .learned(let scale):
      guard scale.isFinite, scale != 0 else { throw .outOfRange("scale", scale, "a finite number other than 0") }
    case .channels: break
    }
    switch initialization {
    case .normal(let deviation), .truncatedNormal(let deviation):
      guard deviation >= 1e-6, deviation.isFinite else {
        throw .outOfRange("deviation", deviation, "1e-06 or more: two matrices of zeros never learn")
      }
      // Beyond float32 a number is infinite however often it is drawn again.
      guard deviation <= 1e6 else { throw .outOfRange("deviation", deviation, "1e+06 or less") }
    case .xavier, .zeroUp: break
    }
  }

  func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    for block in sites.blocks {
      for kind in kinds {
        guard let branch = backbone.branches.first(where: { $0.block == block && $0.kind == kind }) else {
          throw AdapterError.noBranch(method: method, kind: kind.rawValue, block: block)
        }
        let layer = try BottleneckLayer(self, at: branch, device: backbone.device, generator: generator)
        parts.branches[branch.name] = layer
        parts.parameters += layer.parameters
      }
    }
    return parts
  }
}

extension Bottleneck.Initialization {
  /// Fresh `D`, `a`, `U`, `c`.
  func fresh(hidden: Int, width: Int, device: Device, generator: Generator) throws
    -> (down: Tensor, downBias: Tensor, up: Tensor, upBias: Tensor)
  {
    let (down, up) = ([hidden, width], [width, hidden])
    func zeros(_ shape: [Int]) throws -> Tensor { try .zeros(shape, device: device) }
    func uniform(_ shape: [Int], _ bound: Double) throws -> Tensor {
      try .uniform(shape, -bound, bound, device: device, from: generator)
    }
    func normal(_ shape: [Int], _ deviation: Double) throws -> Tensor {
      try .normal(shape, deviation: deviation, device: device, from: generator)
    }
    switch self {
    case .normal(let deviation):
      return (try normal(down, deviation), try zeros([hidden]), try normal(up, deviation), try zeros([width]))
    case .truncatedNormal(let deviation):
      func truncated(_ shape: [Int]) throws -> Tensor {
        var numbers = try normal(shape, deviation)
        while true {
          let outside = try numbers.abs().isAtLeast(2 * deviation)
          guard try outside.any().item() != 0 else { return numbers }
          numbers = try normal(shape, deviation).selected(where: outside, else: numbers)
        }
      }
      return (try truncated(down), try zeros([hidden]), try truncated(up), try zeros([width]))
    case .xavier:
      let bound = (6 / (Double(hidden) + Double(width))).squareRoot()
      return (
        try uniform(down, bound), try normal([hidden], 1e-6), try uniform(up, bound), try normal([width], 1e-6)
      )
    case .zeroUp:
      return (
        try .kaimingUniform(down, device: device, from: generator), try zeros([hidden]), try zeros(up),
        try zeros([width])
      )
    }
  }
}
