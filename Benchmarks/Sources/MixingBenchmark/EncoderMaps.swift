import NeuralNetworks
import Tensors

/// The linear maps of BERT-base with random weights, and nothing that computes with them: mixing looks at no input. All blocks
/// share one set of weights, so that what is measured is the mixing.
struct EncoderMaps: Backbone {
  let sites: [Site]
  let tensors: [(name: String, tensor: Tensor)]
  private let weights: [String: Tensor]
  let branches: [Branch] = []
  let layerNorms: [String] = []
  let stem: String? = nil
  let featureWidth = 768
  let device = Device.cpu
  let fingerprint = "the maps of BERT-base"

  init() throws {
    let maps: [(String, Site.Role, Int, Int)] = [
      ("attn.qkv", .qkv, 768, 2304), ("attn.proj", .proj, 768, 768), ("mlp.fc1", .fc1, 768, 3072),
      ("mlp.fc2", .fc2, 3072, 768),
    ]
    sites = (0..<12).flatMap { (block: Int) in
      maps.map { name, role, inFeatures, outFeatures in
        Site(
          name: "blocks.\(block).\(name)", block: block, role: role, inFeatures: inFeatures, outFeatures: outFeatures)
      }
    }
    let generator = try Generator(seed: 1)
    let shared = try Dictionary(
      uniqueKeysWithValues: maps.map { _, role, inFeatures, outFeatures in
        (role, try Tensor.normal([outFeatures, inFeatures], deviation: 0.02, from: generator))
      })
    tensors = sites.compactMap { site in shared[site.role].map { ("\(site.name).weight", $0) } }
    weights = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor) })
  }

  func linear(at site: Site) throws -> Linear {
    let name = "\(site.whole?.name ?? site.name).weight"
    guard let weight = weights[name] else { throw PlacementError.role(site.name, known: weights.keys.sorted()) }
    return Linear(site: site, weight: try site.whole.map { try weight.narrowed(0, $0.rows) } ?? weight, bias: nil)
  }

  func modules(at site: Site) -> [String] { [site.name] }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor { input }
}
