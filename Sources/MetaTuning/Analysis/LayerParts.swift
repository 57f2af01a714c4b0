import NeuralNetworks
import Tensors

/// What a network's weights do: the layer types of the paper's figures, and the block they are in.
struct LayerPart: Hashable, Sendable {
  let type: LayerType
  /// nil outside the blocks.
  let block: Int?
  /// Which of the backbone's tensors.
  let tensor: Int
  /// Rows of it, where the tensor holds several parts; nil for all.
  let rows: Range<Int>?
  /// Numbers.
  let count: Int

  /// Every number of the backbone, once.
  static func all(of backbone: any Backbone) -> [LayerPart] {
    let sites = Dictionary(backbone.sites.map { ($0.name, $0) }) { first, _ in first }
    let norms = Set(backbone.layerNorms)
    return backbone.tensors.enumerated().flatMap { index, tensor -> [LayerPart] in
      let module = tensor.name.lastIndex(of: ".").map { String(tensor.name[..<$0]) } ?? tensor.name
      func part(_ type: LayerType, _ block: Int?, _ rows: Range<Int>? = nil) -> LayerPart {
        let height = max(1, tensor.tensor.shape.first ?? 1)
        let count = rows.map { $0.count * (tensor.tensor.count / height) } ?? tensor.tensor.count
        return LayerPart(type: type, block: block, tensor: index, rows: rows, count: count)
      }
      if let site = sites[module] {
        guard site.parts.isEmpty else {
          return site.parts.compactMap { piece in
            piece.whole.map { part(LayerType(role: piece.role), site.block, $0.rows) }
          }
        }
        return [part(LayerType(role: site.role), site.block)]
      }
      let words = tensor.name.split(separator: ".")
      let block = words.count > 1 && words[0] == "blocks" ? Int(words[1]) : nil
      guard norms.contains(module) else { return [part(block == nil ? .embeddings : .other, block)] }
      guard block != nil else { return [part(.outerNorm, nil)] }
      return [part(module.hasSuffix("norm1") ? .attentionNorm : .mlpNorm, block)]
    }
  }
}

/// A row of the figure of densities by layer type.
public enum LayerType: String, Sendable, Hashable, Codable, CaseIterable {
  /// Patch or word embedding, positions, class token, and what else lies outside the blocks.
  case embeddings
  case query
  case key
  case value
  case attentionNorm = "attention norm"
  case attentionOutput = "attention output"
  case mlpIn = "MLP in"
  case mlpOut = "MLP out"
  case mlpNorm = "MLP norm"
  /// LayerNorms before the first block and after the last.
  case outerNorm = "outer norm"
  /// What of a block is none of these, as LayerScale.
  case other

  init(role: Site.Role) {
    self =
      switch role {
      case .query: .query
      case .key: .key
      case .value: .value
      case .proj: .attentionOutput
      case .fc1: .mlpIn
      case .fc2: .mlpOut
      default: .other
      }
  }
}
