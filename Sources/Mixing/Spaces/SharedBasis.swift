import Adapters
import Tensors

/// The basis that the columns of several changes share: `[ΔW₁ … ΔWₖ] = U S [V₁ᵀ … Vₖᵀ]`.
enum SharedBasis {
  /// - Returns: `U`, `[width, rank]`, with the singular values and the right factors `Vᵢᵀ`, `[rank, inFeatures]`; float64.
  static func of(_ deltas: [any WeightDelta], width: Int) throws -> (
    basis: Tensor, coordinates: (values: Tensor, right: [Tensor])
  ) {
    let factored = try deltas.map { try $0.lowRank }
    var blocks: [Tensor] = []
    var frame: Tensor?
    if factored.allSatisfy({ $0 != nil }) {
      // All columns lie in those of the ups side by side: their coordinates there are a small matrix.
      let ups = try factored.compactMap { $0 }.map { try $0.up * $0.scale }
      let columns = ups.reduce(0) { $0 + $1.shape[1] }
      if columns < width {
        let (q, r) = try Tensor.concatenated(ups, dimension: 1).qr()
        var start = 0
        for (up, delta) in zip(ups, factored.compactMap({ $0 })) {
          blocks.append(try r.narrowed(1, start..<start + up.shape[1]).matmul(delta.down))
          start += up.shape[1]
        }
        frame = q
      }
    }
    if frame == nil { blocks = try deltas.map { try $0.materialized() } }
    let gram = try blocks.dropFirst().reduce(blocks[0].matmul(blocks[0].transposed())) {
      try $0 + $1.matmul($1.transposed())
    }
    let (u, squares, _) = try gram.svd()
    let values = try squares.doubles()
    let rank = max(1, values.count { $0 > (values.first ?? 0) * 1e-13 })
    let turns = try u.narrowed(1, 0..<rank)
    let singular = try squares.narrowed(0, 0..<rank).sqrt()
    let right = try blocks.map { try turns.transposed().matmul($0) / (singular.unsqueezed(1) + 1e-300) }
    return (try frame?.matmul(turns) ?? turns, (singular, right))
  }
}
