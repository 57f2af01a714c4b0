import NeuralNetworks
import Tensors

/// The backbone as it is: only the classifier trains. The floor that every adapter is compared with.
public struct LinearProbe: AdapterConfiguration {
  public static let method = "LINEAR_PROBE"
  public static let summary = "no change of the backbone; only the head trains"
  public static let placement = AdapterPlacement.backbone

  public init() {}
  public func validate(_ sites: [Site]) {}
  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) -> AdapterParts {
    AdapterParts()
  }
}

extension AdapterConfiguration where Self == LinearProbe {
  public static var linearProbe: LinearProbe { LinearProbe() }
}
