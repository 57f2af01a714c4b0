import Adapters
import NeuralNetworks
import Tensors

/// A mask over a backbone's weights that is chosen by hand and stays: what learned masks are compared with.
public enum MaskPattern: Sendable, Hashable, CustomStringConvertible {
  /// Each weight by itself with this probability, above 0 and at most 1; other weights for each expert.
  case random(density: Double)
  /// All biases and LayerNorms.
  case biasesAndNorms
  /// The maps to queries, keys and values and the projection after attention.
  case attention
  /// Every tensor of the last blocks.
  case lastBlocks(Int)

  public var description: String {
    switch self {
    case .random(let density): "random \(density)"
    case .biasesAndNorms: "biases and norms"
    case .attention: "attention"
    case .lastBlocks(let count): "last \(count) blocks"
    }
  }

  /// Logits of gates that are exactly 0 and 1, `[experts, …]` for each of the backbone's tensors.
  ///
  /// - Throws: `MetaWeightsError.density`, `.emptyPattern`; `PlacementError.last`
  func logits(for backbone: any Backbone, experts: Int, generator: Generator) throws -> [Tensor] {
    if case .random(let density) = self {
      guard density > 0, density <= 1 else { throw MetaWeightsError.density(density) }
      return try backbone.tensors.map { name, tensor in
        let mask = try Tensor.bernoulli(
          [experts] + tensor.shape, probability: density, dtype: tensor.dtype, from: generator.derived(name))
        // 0 and 1 to −limit and limit, in place: this is the largest tensor there is.
        try mask.scaleInPlace(2 * HardConcrete.limit)
        try mask.addInPlace(.full(-HardConcrete.limit, [], dtype: tensor.dtype))
        return try mask.to(tensor.device)
      }
    }
    let keeps = try chosen(backbone)
    let names = backbone.tensors.map(\.name)
    guard names.contains(where: keeps) else { throw MetaWeightsError.emptyPattern(description, known: names) }
    return try backbone.tensors.map { name, tensor in
      let logit = keeps(name) ? HardConcrete.limit : -HardConcrete.limit
      return try .full(logit, [experts] + tensor.shape, dtype: tensor.dtype, device: tensor.device)
    }
  }

  private func chosen(_ backbone: any Backbone) throws -> (String) -> Bool {
    switch self {
    case .random: return { _ in true }
    case .biasesAndNorms:
      let norms = backbone.layerNorms.map { "\($0)." }
      return { name in name.hasSuffix(".bias") || norms.contains { name.hasPrefix($0) } }
    case .attention:
      let maps = backbone.sites.filter { $0.role == .qkv || $0.role == .proj }.map { "\($0.name)." }
      return { name in maps.contains { name.hasPrefix($0) } }
    case .lastBlocks(let count):
      let blocks = try Blocks.last(count).indices(of: backbone.sites.blocks.count).map { "blocks.\($0)." }
      return { name in blocks.contains { name.hasPrefix($0) } }
    }
  }
}
