import Adapters
import NeuralNetworks
import Tensors

/// How alike the directions of adapters are: `⟨w_i, w_j⟩ / (‖w_i‖ ‖w_j‖)` over all their weights together. Sums are in float64.
public enum AdapterCosines {
  /// Of the weights of vectors of one layout, or of what training changed of them.
  ///
  /// - Parameter initial: each vector before training; nil to compare the weights themselves.
  /// - Returns: symmetric; nil where a vector is zero.
  /// - Throws: `MixingError.layout`, `.count`
  public static func between(_ vectors: [AdapterVector], initial: [AdapterVector]? = nil) throws -> [[Double?]] {
    guard let layout = vectors.first?.layout else { return [] }
    for vector in vectors + (initial ?? []) { try layout.check(against: vector.layout) }
    if let initial, initial.count != vectors.count {
      throw MixingError.count(initial.count, expected: vectors.count)
    }
    var products = try Tensor.zeros([vectors.count, vectors.count], dtype: .float64)
    for entry in layout.entries where entry.isWeight {
      func rows(_ vectors: [AdapterVector]) throws -> Tensor {
        try .stacked(vectors.map { try Tensor(Array($0.values[entry.range])).to(.float64) })
      }
      let weights = try initial.map { try rows(vectors) - rows($0) } ?? rows(vectors)
      products = try products + weights.matmul(weights.transposed())
    }
    return cosines(try products.doubles(), count: vectors.count)
  }

  /// Of the changes `ΔW` of adapters of one backbone, from their factors where they have some.
  ///
  /// - Throws: `MixingError.noChange`, `.layout`; `WeightDeltaError.nonFinite`
  public static func between(changesOf models: [AdaptedModel], names: [String]) throws -> [[Double?]] {
    let changes = try LinearChanges(models, names: names)
    var products = [Double](repeating: 0, count: models.count * models.count)
    try withoutGradients {
      for site in changes.sites {
        let deltas = try changes.at(site)
        for (row, first) in deltas.enumerated() {
          for (column, second) in deltas.enumerated().prefix(row + 1) {
            guard let first, let second else { continue }
            let product = try first.inner(second)
            products[row * models.count + column] += product
            if row != column { products[column * models.count + row] += product }
          }
        }
      }
    }
    return cosines(products, count: models.count)
  }

  private static func cosines(_ products: [Double], count: Int) -> [[Double?]] {
    (0..<count).map { row in
      (0..<count).map { column in
        let squares = products[row * count + row] * products[column * count + column]
        guard squares > 0, squares.isFinite else { return nil }
        return row == column ? 1 : min(1, max(-1, products[row * count + column] / squares.squareRoot()))
      }
    }
  }
}
