import NeuralNetworks
import Tensors

/// How a method is set up: turns sites into trainable parameters. One file for each method, one line in
/// `adapterMethods`.
public protocol AdapterConfiguration: Codable, Hashable, Sendable {
  /// The method's name in files, as in PEFT's `peft_type`.
  static var method: String { get }
  /// One line for `--help` and the documentation.
  static var summary: String { get }

  /// Settings that may be absent, because nil is one of their values.
  static var optionalSettings: Set<String> { get }

  /// The defaults.
  init()

  /// Checks everything that can be checked before any weight is touched.
  ///
  /// - Throws: `AdapterError` naming the site and the setting that does not fit.
  func validate(_ sites: [Site]) throws

  /// The trainable parts for `sites`.
  func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts
}

extension AdapterConfiguration {
  public static var optionalSettings: Set<String> { [] }
}

/// What a method makes: corrections at sites, tuned tensors of the backbone itself, and everything that trains.
public struct AdapterParts: Sendable {
  /// By the site's name.
  public var corrections: [String: any SiteAdapter] = [:]
  /// By the backbone tensor's name.
  public var replacements: [String: Parameter] = [:]
  /// Everything that trains, each once, in a fixed order: the order in files and in the optimizer.
  public var parameters: [Parameter] = []

  public init() {}
}

/// What stands at one site.
public protocol SiteAdapter: Sendable {
  /// The site's output with the adapter in place, `[…, inFeatures]` to `[…, outFeatures]`.
  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor

  /// The change as a change of the weight and of the bias; nil where it depends on the input.
  func delta() throws -> SiteDelta?
}

/// A change of a linear map: `weight + ΔW`, `bias + Δb`.
public struct SiteDelta: Sendable {
  public var weight: (any WeightDelta)?
  /// `[outFeatures]`
  public var bias: Tensor?

  public init(weight: (any WeightDelta)?, bias: Tensor? = nil) {
    self.weight = weight
    self.bias = bias
  }
}
