import Foundation
import NeuralNetworks
import Tensors

/// A backbone with other values in its tensors: what a task's merged weights make of it, as a network that any adapter goes to.
///
/// An adapter on it sees the values as the frozen weights: it is `θ_i` that a fresh adapter leaves as it is, `θ_i` that a tensor
/// which trains itself starts from, and `θ_i` that LoRA's correction is added to. The memory is shared: the tensors must stay as
/// they are while it is used.
struct ReweightedBackbone: Backbone {
  private let base: any Backbone
  private let values: [String: Tensor]
  let tensors: [(name: String, tensor: Tensor)]
  /// Like no other's: an adapter on these values is of no use on any saved network.
  let fingerprint: String

  /// - Parameter values: of all the backbone's tensors, in their order.
  /// - Throws: `MetaWeightsError.tensors` for another number of them.
  init(_ base: any Backbone, with values: [Tensor]) throws {
    guard values.count == base.tensors.count else {
      throw MetaWeightsError.tensors(values.count, expected: base.tensors.count)
    }
    self.base = base
    fingerprint = "\(base.fingerprint) reweighted \(UUID().uuidString)"
    tensors = try zip(base.tensors, values).map { ($0.name, try $1.detached()) }
    self.values = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor) })
  }

  var sites: [Site] { base.sites }
  var branches: [Branch] { base.branches }
  var layerNorms: [String] { base.layerNorms }
  var stem: String? { base.stem }
  var featureWidth: Int { base.featureWidth }
  var device: Device { base.device }
  func modules(at site: Site) -> [String] { base.modules(at: site) }

  func linear(at site: Site) throws -> Linear {
    guard let whole = site.whole else { return try reweighted(base.linear(at: site)) }
    guard let map = base.sites.first(where: { $0.name == whole.name }) else { throw BackboneError.site(site.name) }
    return try reweighted(base.linear(at: map)).part(whole.rows, at: site)
  }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    try base.features(input, adaptation: Over(backbone: self, adaptation: adaptation), pass: pass)
  }

  private func reweighted(_ linear: Linear) -> Linear {
    let name = linear.site.name
    return Linear(
      site: linear.site, weight: values["\(name).weight"] ?? linear.weight,
      bias: linear.bias.map { values["\(name).bias"] ?? $0 })
  }

  /// An adaptation that is asked with the new values in place of the base's.
  private struct Over: Adaptation {
    let backbone: ReweightedBackbone
    let adaptation: any Adaptation

    func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
      try adaptation.output(of: backbone.reweighted(linear), input: input, pass: pass)
    }

    func value(of name: String, original: Tensor) throws -> Tensor {
      try adaptation.value(of: name, original: backbone.values[name] ?? original)
    }

    func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor {
      try adaptation.output(of: branch, state, pass: pass)
    }

    func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor {
      try adaptation.sequence(tokens, entering: block, prefix: prefix, pass: pass)
    }
  }
}
