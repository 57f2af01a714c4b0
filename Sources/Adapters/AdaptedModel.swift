import NeuralNetworks
import Tensors

/// A frozen backbone, an adapter, and a classifier over the features.
public struct AdaptedModel: Sendable {
  public let backbone: any Backbone
  public let adapter: Adapter
  public var head: Head?

  public init(backbone: any Backbone, adapter: Adapter, head: Head? = nil) {
    self.backbone = backbone
    self.adapter = adapter
    self.head = head
  }

  /// Everything that trains: the adapter's parameters, then the head's.
  public var parameters: [Parameter] { adapter.parameters + (head?.parameters ?? []) }

  /// `[batch, …]` to `[batch, featureWidth]`.
  public func features(_ input: Tensor, pass: ForwardPass = ForwardPass()) throws -> Tensor {
    try backbone.features(input, adaptation: adapter, pass: pass)
  }

  /// `[batch, …]` to `[batch, classes]`.
  ///
  /// - Throws: `ModelError.noHead` before a classifier was given.
  public func logits(_ input: Tensor, pass: ForwardPass = ForwardPass()) throws -> Tensor {
    guard let head else { throw ModelError.noHead }
    return try head(features(input, pass: pass))
  }

  /// The most probable class of each input and its probability.
  public func predict(_ input: Tensor) throws -> [Prediction] {
    guard let head else { throw ModelError.noHead }
    return try withoutGradients {
      let probabilities = try logits(input).softmax()
      let best = try probabilities.topK(1)
      return zip(try best.indices.integers(), try best.values.floats()).map {
        Prediction(label: head.classes[$0], index: $0, probability: $1)
      }
    }
  }
}

public struct Prediction: Hashable, Sendable {
  public let label: String
  public let index: Int
  public let probability: Float
}

public enum ModelError: Error, Equatable, CustomStringConvertible {
  case noHead

  public var description: String {
    switch self {
    case .noHead: "The model has no classifier yet. Train one, or load one saved with the adapter."
    }
  }
}

extension Backbone {
  /// This backbone with a fresh adapter; the same seed gives the same adapter.
  ///
  /// - Parameters:
  ///   - targets: the linear maps; nil for the method's own choice. A method that has its own places takes none.
  ///   - blocks: nil for the method's own choice, for most of them all.
  /// - Throws: `PlacementError` where a target or block is not there, `AdapterError` where the method does not fit.
  public func adapted<Configuration: AdapterConfiguration>(
    by configuration: Configuration, at targets: Targets? = nil, blocks: Blocks? = nil, seed: UInt64 = 0
  ) throws -> AdaptedModel {
    let generator = try Generator(seed: seed).derived("adapter")
    let sites = try sites(for: Configuration.self, targets, blocks)
    return AdaptedModel(
      backbone: self, adapter: try Adapter(configuration, at: sites, of: self, generator: generator))
  }

  /// The sites that a method is given for these targets and blocks.
  func sites(for method: any AdapterConfiguration.Type, _ targets: Targets?, _ blocks: Blocks?) throws -> [Site] {
    switch method.placement {
    case .linearMaps(let usual, let usualBlocks):
      return try sites.selected(targets ?? usual, blocks ?? usualBlocks)
    case .blocks:
      guard targets == nil else { throw AdapterError.placement(method: method.method, takes: "targets") }
      let chosen = Set(try (blocks ?? .all).indices(of: (sites.blocks.last ?? -1) + 1))
      let sites = sites.filter { site in site.block.map(chosen.contains) ?? false }
      guard !sites.isEmpty else { throw PlacementError.nothing(targets: "blocks", blocks: "\(blocks ?? .all)") }
      return sites
    case .backbone:
      guard targets == nil else { throw AdapterError.placement(method: method.method, takes: "targets") }
      guard blocks == nil else { throw AdapterError.placement(method: method.method, takes: "blocks") }
      return sites
    }
  }
}
