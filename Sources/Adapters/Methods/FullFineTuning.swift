import NeuralNetworks
import Tensors

/// Everything trains: what adapters are compared with, at the price of a whole network for each task.
public struct FullFineTuning: AdapterConfiguration {
  public static let method = "FULL"
  public static let summary = "every tensor of the backbone trains"
  public static let placement = AdapterPlacement.backbone

  public init() {}
  public func validate(_ sites: [Site]) {}

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    try AdapterParts(tuning: backbone) { _ in true }
  }
}

extension AdapterConfiguration where Self == FullFineTuning {
  public static var full: FullFineTuning { FullFineTuning() }
}
