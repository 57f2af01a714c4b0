import NeuralNetworks
import Tensors

/// A tensor of the backbone of which some rows train: the bias of the queries within a map of queries, keys and values.
struct TunedRows: TensorAdapter {
  /// In the order of the rows, apart from each other.
  let parts: [(rows: Range<Int>, parameter: Parameter)]

  func value(of original: Tensor) throws -> Tensor {
    var pieces: [Tensor] = []
    var next = 0
    for (rows, parameter) in parts {
      if rows.lowerBound > next { pieces.append(try original.narrowed(0, next..<rows.lowerBound)) }
      pieces.append(parameter.value)
      next = rows.upperBound
    }
    if next < original.shape[0] { pieces.append(try original.narrowed(0, next..<original.shape[0])) }
    return try .concatenated(pieces)
  }
}

extension AdapterParts {
  /// Trains tensors of the backbone beside what is here, by their names; those of a part of a map by the part's.
  ///
  /// - Throws: `AdapterError.unknown` for a name that the backbone does not have, `.twice` for a tensor named twice.
  mutating func tune(_ names: [String], of backbone: any Backbone) throws {
    guard !names.isEmpty else { return }
    let originals = Dictionary(backbone.tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
    var rows: [String: (tensor: String, rows: Range<Int>)] = [:]
    for part in backbone.sites.flatMap(\.parts) {
      guard let whole = part.whole else { continue }
      for kind in ["weight", "bias"] where originals["\(whole.name).\(kind)"] != nil {
        rows["\(part.name).\(kind)"] = ("\(whole.name).\(kind)", whole.rows)
      }
    }
    var cut: [String: [(rows: Range<Int>, parameter: Parameter)]] = [:]
    for name in names {
      let parameter: Parameter
      if let original = originals[name] {
        guard tensors[name] == nil else { throw AdapterError.twice(name) }
        parameter = try Parameter(name, original, isWeight: false)
        tensors[name] = TunedTensor(parameter)
      } else if let part = rows[name], let original = originals[part.tensor] {
        parameter = try Parameter(name, original.narrowed(0, part.rows), isWeight: false)
        cut[part.tensor, default: []].append((part.rows, parameter))
      } else {
        throw AdapterError.unknown("tensor", name, known: originals.keys.sorted() + rows.keys.sorted())
      }
      parameters.append(parameter)
    }
    for (name, parts) in cut {
      let parts = parts.sorted { $0.rows.lowerBound < $1.rows.lowerBound }
      let overlaps = zip(parts, parts.dropFirst()).contains { $0.rows.upperBound > $1.rows.lowerBound }
      guard tensors[name] == nil, !overlaps else { throw AdapterError.twice(name) }
      tensors[name] = TunedRows(parts: parts)
    }
  }
}
