import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

/// A network without tokens: `fc1(LN(tanh(qkv(x))))`, `[batch, 4]` to `[batch, 5]`, of 77 weights.
struct FlatBackbone: Backbone {
  let sites = [
    Site(name: "blocks.0.attn.qkv", block: 0, role: .qkv, inFeatures: 4, outFeatures: 6),
    Site(name: "blocks.1.mlp.fc1", block: 1, role: .fc1, inFeatures: 6, outFeatures: 5),
  ]
  let branches: [Branch] = []
  let layerNorms = ["blocks.0.norm1"]
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)]
  let featureWidth = 5
  let device = Device.cpu
  let fingerprint = "flat"

  init(dtype: DType = .float64, seed: UInt64 = 4) throws {
    let generator = try Generator(seed: seed)
    func normal(_ shape: [Int]) throws -> Tensor {
      try .normal(shape, deviation: 0.7, dtype: .float64, from: generator)
    }
    var tensors: [(name: String, tensor: Tensor)] = []
    for site in sites {
      tensors.append(("\(site.name).weight", try normal([site.outFeatures, site.inFeatures])))
      tensors.append(("\(site.name).bias", try normal([site.outFeatures])))
    }
    tensors.append(("blocks.0.norm1.weight", try normal([6]) + 1))
    tensors.append(("blocks.0.norm1.bias", try normal([6])))
    self.tensors = try tensors.map { ($0.name, try $0.tensor.to(dtype)) }
  }

  func tensor(_ name: String) throws -> Tensor { try #require(tensors.first { $0.name == name }).tensor }
  func modules(at site: Site) -> [String] { [site.name] }

  func linear(at site: Site) throws -> Linear {
    Linear(site: site, weight: try tensor("\(site.name).weight"), bias: try tensor("\(site.name).bias"))
  }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    func value(_ name: String) throws -> Tensor { try adaptation.value(of: name, original: tensor(name)) }
    let hidden = try adaptation.output(of: linear(at: sites[0]), input: input, pass: pass).tanh()
    let normed = try hidden.layerNorm(
      width: 6, weight: value("blocks.0.norm1.weight"), bias: value("blocks.0.norm1.bias"), epsilon: 1e-5)
    return try adaptation.output(of: linear(at: sites[1]), input: normed, pass: pass)
  }
}

/// Weights that are no network: what masks do does not depend on what weights are for.
struct LoneTensor: Backbone {
  let sites: [Site] = []
  let branches: [Branch] = []
  let layerNorms: [String] = []
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)]
  let featureWidth = 1
  let device = Device.cpu
  let fingerprint = "lone"

  init(_ count: Int, dtype: DType = .float64) throws { tensors = [("w", try .ones([count], dtype: dtype))] }

  func modules(at site: Site) -> [String] { [] }
  func linear(at site: Site) throws -> Linear { throw PlacementError.nothing(targets: site.name, blocks: "all") }
  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor { input }
}

/// Two tasks over a `FlatBackbone`, each `[7, 4]`, whose loss is the mean square distance of the features from a target.
struct FlatTasks {
  let inputs: [Tensor]
  let targets: [Tensor]

  init(dtype: DType = .float64) throws {
    let generator = try Generator(seed: 6)
    inputs = try (0..<2).map { _ in try Tensor.normal([7, 4], dtype: .float64, from: generator).to(dtype) }
    targets = try (0..<2).map { _ in try Tensor.normal([7, 5], dtype: .float64, from: generator).to(dtype) }
  }

  @Compute
  func loss(_ index: Int, of task: TaskWeights) throws -> Tensor {
    try (task.features(inputs[index]) - targets[index]).squared().mean()
  }

  /// The mean loss over the tasks, and what `backward` takes.
  @Compute
  func gradients(_ weights: any MetaWeights, mixing: [[Double]], into task: TaskWeights) throws
    -> (loss: Double, tasks: [TaskGradient])
  {
    var total = 0.0
    var tasks: [TaskGradient] = []
    for (index, mixing) in mixing.enumerated() {
      try weights.merge(mixing, into: task)
      let loss = try loss(index, of: task)
      total += try loss.item() / Double(inputs.count)
      try loss.backward()
      tasks.append(TaskGradient(mixing: mixing, gradients: try task.takeGradients()))
    }
    return (total, tasks)
  }
}

extension MetaWeights {
  /// One of the tensors that training changes.
  @Compute
  func tensor(_ name: String) throws -> Tensor { try #require(state.first { $0.name == name }).tensor }

  /// Moves δ away from zero.
  @Compute
  func perturb(_ prefix: String = "offset", deviation: Double = 0.3, seed: UInt64 = 11) throws {
    let generator = try Generator(seed: seed)
    for (name, tensor) in state where name.hasPrefix("\(prefix).") {
      try tensor.copyInPlace(.normal(tensor.shape, deviation: deviation, dtype: tensor.dtype, from: generator))
    }
    try stateChanged()
  }
}
