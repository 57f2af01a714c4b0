import Adapters
import Foundation
import NeuralNetworks
import Tensors

/// The weights that a sparse run holds at zero.
@Compute
struct WeightMasks {
  /// For each matrix, where it is held at zero; bool.
  private var removed: [(weight: Parameter, places: Tensor)] = []

  /// Scores the weights and zeroes those that do not train.
  ///
  /// - Throws: `SparsityError`
  init(_ settings: SparsitySettings, _ scores: WeightScores, _ generator: Generator) throws {
    guard !scores.weights.isEmpty else { throw SparsityError.noWeights }
    for round in 1...max(1, settings.rounds) {
      let density = pow(settings.density, Double(round) / Double(settings.rounds))
      var values = try scores(settings.score, generator, mayBeZero: round > 1)
      for index in removed.indices {
        values[index] = try values[index].filled(-.infinity, where: removed[index].places)
      }
      let places = try Self.places(values, density, settings.scope)
      removed = zip(scores.weights, places).map { ($0, $1) }
      try zeroValues()
    }
  }

  /// Of `N` scores all but the `round(density · N)` largest, at least one; of equals the first stay.
  private static func places(_ scores: [Tensor], _ density: Double, _ scope: SparsitySettings.Scope) throws -> [Tensor]
  {
    switch scope {
    case .tensor: return try scores.map { try lowest($0, density) }
    case .global:
      let all = try lowest(.concatenated(scores.map { try $0.reshaped([$0.count]) }), density)
      var start = 0
      return try scores.map { score in
        defer { start += score.count }
        return try all.narrowed(0, start..<start + score.count).reshaped(score.shape)
      }
    }
  }

  private static func lowest(_ scores: Tensor, _ density: Double) throws -> Tensor {
    let kept = min(scores.count, max(1, Int((density * Double(scores.count)).rounded())))
    let order = try scores.to(.cpu).reshaped([scores.count]).sorted(descending: true).indices
    let places = try Tensor.ones([scores.count], dtype: .uint8)
    try places.copyInPlace(.zeros([kept], dtype: .uint8), at: order.narrowed(0, 0..<kept))
    return try places.reshaped(scores.shape).to(.bool).to(scores.device)
  }

  /// The fraction of the weights that trains.
  var density: Double {
    get throws {
      let count = removed.reduce(0) { $0 + $1.places.count }
      let zeroed = try removed.reduce(0.0) { try $0 + $1.places.to(.float64).sum().item() }
      return count == 0 ? 1 : 1 - zeroed / Double(count)
    }
  }

  // MARK: Holding

  func zeroValues() throws {
    try withoutGradients {
      for (weight, places) in removed { try weight.value.copyInPlace(weight.value.filled(0, where: places)) }
    }
  }

  /// With them at zero, Adam's moments and so its steps are zero too, and the weights stay where they are.
  func zeroGradients() throws {
    for (weight, places) in removed {
      guard let gradient = try weight.value.gradient() else { continue }
      try gradient.copyInPlace(gradient.filled(0, where: places))
    }
  }

  // MARK: Checkpoints

  /// By the parameters' names, uint8: 1 where a weight trains.
  func state() throws -> [(name: String, tensor: Tensor)] {
    try removed.map { ($0.weight.name, try (1 - $0.places.to(.uint8)).to(.cpu)) }
  }

  /// - Throws: `CheckpointError.missing` for a matrix without a mask of its shape.
  init(restoring state: [(name: String, tensor: Tensor)], of model: AdaptedModel, from path: String) throws {
    let saved = Dictionary(state.map { ($0.name, $0.tensor) }) { first, _ in first }
    removed = try WeightScores.weights(of: model.adapter).map { weight in
      guard let mask = saved[weight.name], mask.shape == weight.value.shape else {
        throw CheckpointError.missing("the mask of \(weight.name)", path)
      }
      return (weight, try (1 - mask).to(.bool).to(weight.value.device))
    }
  }
}
