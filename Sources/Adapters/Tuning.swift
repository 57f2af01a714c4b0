import NeuralNetworks
import Tensors

/// The backbone as it is: only the classifier trains. The floor that every adapter is compared with.
public struct LinearProbe: AdapterConfiguration {
  public static let method = "LINEAR_PROBE"
  public static let summary = "no change of the backbone; only the head trains"

  public init() {}
  public func validate(_ sites: [Site]) {}
  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) -> AdapterParts {
    AdapterParts()
  }
}

/// Every bias of the backbone trains, or only those of the linear maps.
///
/// Ben Zaken et al. 2021, "BitFit", arXiv:2106.10199. The targets do not restrict it.
public struct BiasTuning: AdapterConfiguration {
  public static let method = "BIAS"
  public static let summary = "the backbone's own biases train (BitFit)"

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

/// Attention's own weights and biases train, everything else is frozen: the paper's "attention only" row.
///
/// Touvron et al. 2022, "Three Things Everyone Should Know About Vision Transformers", arXiv:2203.09795.
public struct AttentionTuning: AdapterConfiguration {
  public static let method = "ATTENTION"
  public static let summary = "the attention's own weights train"

  public init() {}
  public func validate(_ sites: [Site]) {}

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let names = backbone.sites.filter { $0.role == .qkv || $0.role == .proj }.map(\.name)
    let tuned = Set(names.flatMap { ["\($0).weight", "\($0).bias"] })
    return try AdapterParts(tuning: backbone, where: tuned.contains)
  }
}

/// Everything trains.
public struct FullFineTuning: AdapterConfiguration {
  public static let method = "FULL"
  public static let summary = "every tensor of the backbone trains"

  public init() {}
  public func validate(_ sites: [Site]) {}

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    try AdapterParts(tuning: backbone) { _ in true }
  }
}

extension AdapterConfiguration where Self == LinearProbe {
  public static var linearProbe: LinearProbe { LinearProbe() }
}
extension AdapterConfiguration where Self == BiasTuning { public static var bias: BiasTuning { BiasTuning() } }
extension AdapterConfiguration where Self == AttentionTuning {
  public static var attention: AttentionTuning { AttentionTuning() }
}
extension AdapterConfiguration where Self == FullFineTuning {
  public static var full: FullFineTuning { FullFineTuning() }
}

extension AdapterParts {
  /// Trainable copies of the backbone's tensors whose names are asked for; the backbone itself stays as it is.
  init(tuning backbone: any Backbone, where wanted: (String) -> Bool) throws {
    self.init()
    for (name, tensor) in backbone.tensors where wanted(name) {
      let parameter = try Parameter(name, tensor)
      replacements[name] = parameter
      parameters.append(parameter)
    }
  }
}
