import NeuralNetworks
import Tensors

/// What an adapter changes of its backbone and by how much, place by place.
public struct AdapterInspection: Sendable {
  /// One place that is changed.
  public struct Change: Sendable {
    /// A map or a part of one, a tensor of the backbone, a residual branch, or the sequence of tokens.
    public let place: String
    public let kind: Kind
    /// Of the weight or the tensor; empty where it is neither.
    public let shape: [Int]
    /// Trained numbers that are named after the place.
    public let parameters: Int
    /// Of the change as one product of two factors; nil where it is no such product.
    public let rank: Int?
    /// `‖ΔW‖`, Frobenius; nil where the change depends on the input.
    public let norm: Double?
    /// `‖ΔW‖ / ‖W‖`
    public let relative: Double?

    public enum Kind: String, Sendable {
      case map, tensor, branch, sequence
    }
  }

  /// In the backbone's order: maps, its own tensors, branches, the sequence.
  public let changes: [Change]

  /// `‖ΔW‖` over all places where there is one number for it.
  public var norm: Double { changes.reduce(0) { $0 + ($1.norm ?? 0) * ($1.norm ?? 0) }.squareRoot() }

  /// The norms are formed from the factors: ΔW itself is made only for structures that have no cheaper way.
  ///
  /// - Throws: `WeightDeltaError.nonFinite`
  public init(of model: AdaptedModel) throws {
    let adapter = model.adapter
    func parameters(_ place: String) -> Int {
      adapter.parameters.filter { $0.name == place || $0.name.hasPrefix(place + ".") }.reduce(0) { $0 + $1.count }
    }
    var changes: [Change] = []
    try withoutGradients {
      for site in adapter.sites {
        guard let correction = adapter.corrections[site.name] else { continue }
        let linear = try model.backbone.linear(at: site)
        let delta = try correction.delta(of: linear)?.weight
        changes.append(
          try Change(
            site.name, .map, linear.weight, parameters: parameters(site.name),
            rank: delta.flatMap { try $0.lowRank?.down.shape[0] }, norm: delta?.norm()))
      }
      for (name, tensor) in model.backbone.tensors {
        guard let tuned = try adapter.tensors[name]?.value(of: tensor) else { continue }
        let difference: Double = try (tuned.detached().to(.float64) - tensor.to(.float64)).norm().item()
        changes.append(
          try Change(name, .tensor, tensor, parameters: parameters(name), rank: nil, norm: difference))
      }
      for branch in model.backbone.branches where adapter.branches[branch.name] != nil {
        changes.append(Change(branch.name, .branch, parameters: parameters(branch.name)))
      }
      if adapter.sequence != nil {
        let named = changes.reduce(0) { $0 + $1.parameters }
        changes.append(Change("tokens", .sequence, parameters: adapter.parameterCount - named))
      }
    }
    self.changes = changes
  }
}

extension AdapterInspection.Change {
  fileprivate init(
    _ place: String, _ kind: Kind, _ weight: Tensor, parameters: Int, rank: Int?, norm: Double?
  ) throws {
    let size: Double = try weight.to(.float64).norm().item()
    self.init(
      place: place, kind: kind, shape: weight.shape, parameters: parameters, rank: rank, norm: norm,
      relative: norm.flatMap { size > 0 ? $0 / size : nil })
  }

  fileprivate init(_ place: String, _ kind: Kind, parameters: Int) {
    self.init(place: place, kind: kind, shape: [], parameters: parameters, rank: nil, norm: nil, relative: nil)
  }
}
