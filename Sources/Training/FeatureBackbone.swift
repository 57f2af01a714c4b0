import NeuralNetworks
import Tensors

/// Stands for a backbone where its features are the inputs already.
struct FeatureBackbone: Backbone {
  let featureWidth: Int
  let device: Device
  let fingerprint: String

  init(of backbone: any Backbone) {
    featureWidth = backbone.featureWidth
    device = backbone.device
    fingerprint = backbone.fingerprint
  }

  var sites: [Site] { [] }
  var branches: [Branch] { [] }
  var layerNorms: [String] { [] }
  var stem: String? { nil }
  var tensors: [(name: String, tensor: Tensor)] { [] }

  func linear(at site: Site) throws -> Linear {
    throw PlacementError.nothing(targets: site.name, blocks: "all")
  }

  func modules(at site: Site) -> [String] { [] }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor { input }
}
