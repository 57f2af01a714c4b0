import Tensors

/// What one forward pass carries through a model: whether it trains, where its randomness comes from, and what the
/// adapters on the way want to be known of it. One pass belongs to one task and is used once.
public final class ForwardPass {
  public enum Mode {
    case evaluation
    /// Dropout and router noise draw from the generator.
    case training(Generator)
  }

  public let mode: Mode
  /// Terms that adapters add to the loss, as scalars.
  public private(set) var auxiliaryLosses: [Tensor] = []
  /// Called by every router with the tokens' choices; nil costs nothing.
  public var onRouting: ((Routing) throws -> Void)?

  public init(_ mode: Mode = .evaluation) { self.mode = mode }

  public var generator: Generator? { if case .training(let generator) = mode { generator } else { nil } }
  public var isTraining: Bool { generator != nil }

  public func add(auxiliaryLoss: Tensor) { auxiliaryLosses.append(auxiliaryLoss) }

  /// What one router decided in one pass.
  public struct Routing {
    public let site: Site
    /// `[batch, tokens, experts]`: the gates, zero for an expert not chosen.
    public let gates: Tensor
    /// `[batch, tokens, experts]`: probabilities without noise.
    public let probabilities: Tensor

    public init(site: Site, gates: Tensor, probabilities: Tensor) {
      self.site = site
      self.gates = gates
      self.probabilities = probabilities
    }
  }
}
