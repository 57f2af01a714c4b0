import NeuralNetworks
import Tensors

/// BitFit: every bias of the backbone trains, or only those of the linear maps.
///
/// Ben Zaken et al. 2021, "BitFit", arXiv:2106.10199, eq. 1: the weights of every map and LayerNorm stay, `b` moves. There
/// is nothing to merge: the biases trained are the merged ones.
public struct BiasTuning: AdapterConfiguration {
  public static let method = "BIAS"
  public static let summary = "the backbone's own biases train (BitFit)"
  public static let paper: String? = "arXiv:2106.10199"
  public static let placement = AdapterPlacement.backbone

  public var scope = Scope.all

  public enum Scope: String, Codable, Hashable, Sendable {
    /// Linear maps, LayerNorm shifts and the patch embedding.
    case all
    /// Linear maps in the blocks only.
    case linear
  }

  public init() {}
  public init(_ scope: Scope) { self.scope = scope }
  public func validate(_ sites: [Site]) {}

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let linear = Set(backbone.sites.map { "\($0.name).bias" })
    return try AdapterParts(tuning: backbone) { $0.hasSuffix(".bias") && (scope == .all || linear.contains($0)) }
  }
}

extension AdapterConfiguration where Self == BiasTuning { public static var bias: BiasTuning { BiasTuning() } }
