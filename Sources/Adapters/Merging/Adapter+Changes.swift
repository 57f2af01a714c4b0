import NeuralNetworks
import Tensors

// What mixing needs to know of an adapter beside its changes of linear maps.

extension Adapter {
  /// An adapter whose parameters are going to be written by its maker: it has no start of its own, so no initial seed.
  public convenience init(
    unseeded configuration: any AdapterConfiguration, at sites: [Site], of backbone: any Backbone
  ) throws {
    try self.init(configuration, at: sites, of: backbone, generator: Generator(seed: 0), initialSeed: nil)
  }

  /// The names of the backbone's tensors that train themselves, sorted.
  public var tunedTensors: [String] { tensors.keys.sorted() }

  /// The first place at which it is no change of a linear map or of a tensor: a branch, or the sequence of tokens.
  public var placeBesideMaps: String? { branches.keys.min() ?? (sequence == nil ? nil : "the sequence of tokens") }

  /// Whether it corrects a map as a whole.
  public func corrects(whole site: Site) -> Bool { corrections[site.name] != nil }
}
