import NeuralNetworks
import Tensors
import Training

/// How far meta-tuning moved a network from its pretrained weights: `‖θ − θ_pre‖ / ‖θ_pre‖` of parts of it.
///
/// Of experts the even mixture is taken, `α = 1/M`.
public struct ChangeReport: Sendable, Hashable, Codable {
  public struct Change: Sendable, Hashable, Codable {
    public var name: String
    /// Of the network's weights.
    public var weights: Int
    /// `‖θ − θ_pre‖`
    public var norm: Double
    /// Of `‖θ_pre‖`; nil for what was 0.
    public var relative: Double?
  }

  public var types: [Change]
  /// By block, numbered from 0 as in the names of tensors; what is outside of blocks left out.
  public var blocks: [Change]
  public var total: Change

  /// - Parameter weights: of this backbone.
  @Compute
  public init(of weights: any MetaWeights, on backbone: any Backbone) throws {
    let count = weights.expertCount
    let task = try TaskWeights(of: backbone)
    let squares = try withoutGradients {
      try weights.merge([Double](repeating: 1 / Double(max(1, count)), count: count), into: task)
      return try LayerPart.all(of: backbone).map { part in
        func rows(_ tensor: Tensor) throws -> Tensor { try part.rows.map { try tensor.narrowed(0, $0) } ?? tensor }
        let pretrained = try rows(backbone.tensors[part.tensor].tensor)
        let moved = try rows(task.tensors[part.tensor]) - pretrained
        return (part, moved: try moved.norm().squared().item(), of: try pretrained.norm().squared().item())
      }
    }
    func change(_ name: String, where isMember: (LayerPart) -> Bool) -> Change {
      let members = squares.filter { isMember($0.0) }
      let norm = members.reduce(0) { $0 + $1.moved }.squareRoot()
      let pretrained = members.reduce(0) { $0 + $1.of }.squareRoot()
      return Change(
        name: name, weights: members.reduce(0) { $0 + $1.0.count }, norm: norm,
        relative: pretrained == 0 ? nil : norm / pretrained)
    }
    let there = Set(squares.map(\.0.type))
    types = LayerType.allCases.filter(there.contains).map { type in change(type.rawValue) { $0.type == type } }
    blocks = Set(squares.compactMap(\.0.block)).sorted().map { block in change("\(block)") { $0.block == block } }
    total = change("all") { _ in true }
  }
}
