import MetaTuning
import NeuralNetworks
import Tensors
import Training

/// Sparse experts as one would write them down: a graph from logits, masks and mixing weights to each task's weights, and its
/// backward pass. The same numbers as `SparseExperts`, which needs no such graph.
@Compute
final class GraphExperts {
  private let base: [Tensor]
  private let offsets: [Tensor]
  private let logits: [Tensor]
  private let momenta: [Tensor]
  private let experts: Int
  private let count: Int
  private var multipliers: [Double]
  /// Of the task merged last.
  private var merged: [Tensor] = []
  private var mixing: [Tensor] = []

  init(of backbone: any Backbone, experts: Int, seed: UInt64) throws {
    self.experts = experts
    base = backbone.tensors.map(\.tensor)
    count = backbone.parameterCount
    multipliers = [Double](repeating: 0, count: experts)
    let generator = try Generator(seed: seed)
    offsets = try base.map { try $0.zerosLike().requiringGradient() }
    logits = try base.map {
      try Tensor.normal([experts] + $0.shape, deviation: 0.5, from: generator).requiringGradient()
    }
    momenta = try base.map { try $0.zerosLike() }
  }

  func merge(_ mixing: [Double], into task: TaskWeights) throws {
    let alpha = try Tensor(mixing.map { Float($0) }).requiringGradient()
    merged = try base.indices.map { index in
      let gates = try ((logits[index] * 1.5).sigmoid() * 1.2 - 0.1).clamped(0...1)
      let weights = try alpha.reshaped([experts] + base[index].shape.map { _ in 1 })
      return try base[index] + (gates * weights).sum(0) * offsets[index]
    }
    self.mixing.append(alpha)
    try withoutGradients {
      for (to, from) in zip(task.tensors, merged) { try to.copyInPlace(from) }
    }
  }

  func backward(_ gradients: [Tensor], share: Double) throws {
    for (tensor, gradient) in zip(merged, gradients) { try tensor.backward(gradient * share, retain: true) }
    merged = []
  }

  /// Adds the constraint's gradients.
  func finishBackward() throws -> [[Double]] {
    defer { mixing = [] }
    let found = try mixing.map { try $0.gradient()?.doubles() ?? [] }
    let mean = try mixing.reduce([Double](repeating: 0, count: experts)) { sum, alpha in
      try zip(sum, alpha.detached().doubles()).map { $0 + $1 / Double(mixing.count) }
    }
    let weights = try Tensor(zip(multipliers, mean).map { Float($0 * $1 / Double(count)) })
    for logits in logits {
      let open = try (logits + HardConcrete.bound).sigmoid()
      try (open.reshaped(experts, open.count / experts).sum(1) * weights).sum().backward()
    }
    let hard = try sparsity()
    for expert in 0..<experts {
      multipliers[expert] = max(0, multipliers[expert] + 2e-3 * mean[expert] * (0.9 - hard[expert]))
    }
    return found
  }

  private func sparsity() throws -> [Double] {
    try withoutGradients {
      let zeros = try logits.map { logits in
        try logits.isLess(than: -HardConcrete.bound).reshaped(experts, logits.count / experts).sum(1).doubles()
      }
      return (0..<experts).map { expert in zeros.reduce(0) { $0 + $1[expert] } / Double(count) }
    }
  }

  func step() throws {
    try withoutGradients {
      let gradients = try logits.map { try $0.gradient() ?? $0.detached().zerosLike() }
      let norm = try gradients.reduce(0) { try $0 + $1.squared().sum().item() }.squareRoot()
      let rate = 0.046 * Double(count) * min(1, 5 / (norm + 1e-6))
      for (logits, gradient) in zip(logits, gradients) {
        try logits.addInPlace(gradient, scale: -rate)
        try logits.copyInPlace(logits.clamped(-HardConcrete.limit...HardConcrete.limit))
        try logits.setGradient(nil)
      }
      for (index, offset) in offsets.enumerated() {
        let gradient = try offset.gradient() ?? offset.detached().zerosLike()
        try gradient.addInPlace(offset, scale: 1e-4)
        try momenta[index].scaleInPlace(0.9)
        try momenta[index].addInPlace(gradient)
        try offset.addInPlace(momenta[index], scale: -1e-4)
        try offset.setGradient(nil)
      }
    }
  }
}
