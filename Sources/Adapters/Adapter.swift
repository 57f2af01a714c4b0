import NeuralNetworks
import Tensors

/// A method's trainable change of one backbone. It belongs to no copy of the backbone: the same frozen weights serve any
/// number of adapters at once.
public final class Adapter: Adaptation {
  public let configuration: any AdapterConfiguration
  /// Where it sits, in the backbone's order.
  public let sites: [Site]
  /// Everything that trains, each once.
  public let parameters: [Parameter]
  let corrections: [String: any SiteAdapter]
  let replacements: [String: Parameter]

  /// - Throws: `AdapterError` where the configuration does not fit a site.
  public init(
    _ configuration: any AdapterConfiguration, at sites: [Site], of backbone: any Backbone, generator: Generator
  ) throws {
    try configuration.validate(sites)
    let parts = try configuration.parts(for: sites, of: backbone, generator: generator)
    self.configuration = configuration
    self.sites = sites
    parameters = parts.parameters
    corrections = parts.corrections
    replacements = parts.replacements
  }

  /// Trainable numbers, the head's not among them.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

  public func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let tuned = replacements.isEmpty ? linear : tuned(linear)
    guard let correction = corrections[linear.site.name] else { return try tuned(input) }
    return try correction.output(of: tuned, input: input, pass: pass)
  }

  public func value(of name: String, original: Tensor) -> Tensor { replacements[name]?.value ?? original }

  /// The correction at a site; nil where there is none or where it depends on the input. Tensors that are tuned
  /// themselves are no correction: `value(of:original:)` has them.
  public func delta(at site: Site) throws -> SiteDelta? { try corrections[site.name]?.delta() }

  private func tuned(_ linear: Linear) -> Linear {
    Linear(
      site: linear.site, weight: value(of: "\(linear.site.name).weight", original: linear.weight),
      bias: linear.bias.map { value(of: "\(linear.site.name).bias", original: $0) })
  }
}
