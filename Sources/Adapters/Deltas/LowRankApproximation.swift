import Tensors

/// The best approximation of a change of a weight by one of a given rank, in the Frobenius norm.
public struct LowRankApproximation: Sendable {
  /// Of exactly the rank asked for, with scale 1, in the dtype of the change: float32 or float64.
  public let delta: LowRankDelta
  /// `‖ΔW − delta‖ / ‖ΔW‖`, `0 ... 1`; 0 where ΔW is zero.
  public let relativeError: Double
}

extension WeightDelta {
  /// The truncated singular value decomposition `ΔW ≈ U_r S_r V_rᵀ` (Eckart and Young 1936), as
  /// `up = U_r √S_r`, `down = √S_r V_rᵀ`: column `k` of `up` and row `k` of `down` are equally long.
  ///
  /// What has a low-rank form `BA` is never made dense: with `B = Q₁R₁` and `Aᵀ = Q₂R₂` the decomposition is that of the
  /// small `R₁R₂ᵀ`, in float64, or for factors in float32 and values that are not small beside them that of their Gram
  /// matrices. Outside the graph. The same change gives the same numbers: in each row of `down` the entry of largest
  /// magnitude is positive, and where ΔW has a rank below `rank` the rest is zeros.
  ///
  /// - Parameter rank: `1 ... min(inFeatures, outFeatures)`
  /// - Throws: `WeightDeltaError.rank`, `.nonFinite`
  public func approximation(rank: Int) throws -> LowRankApproximation {
    let limit = min(outFeatures, inFeatures)
    guard (1...max(limit, 1)).contains(rank) else { throw WeightDeltaError.rank(rank, limit: limit) }
    let dtype: DType = factors.contains { $0.dtype == .float64 } ? .float64 : .float32
    return try withoutGradients {
      guard let factored = try withOneThread({ try to(.float64).lowRank }) else {
        let dense = try to(.float64).materialized()
        return try LowRankApproximation(of: dense, left: nil, right: nil, rank: rank, dtype: dtype)
      }
      return try factored.withThreadsForItsSize {
        if dtype == .float32,
          let through = try withFullPrecision(on: factored.up.device, { try factored.throughGrams(rank: rank) })
        {
          return through
        }
        let (left, right) = (try factored.up.qr(), try factored.down.transposed().qr())
        return try LowRankApproximation(
          of: left.r.matmul(right.r.transposed()) * factored.scale, left: left.q, right: right.q, rank: rank,
          dtype: dtype)
      }
    }
  }
}

extension LowRankApproximation {
  /// Of `left · core · rightᵀ`, where `left` and `right`, identities if nil, have orthonormal columns.
  fileprivate init(of core: Tensor, left: Tensor?, right: Tensor?, rank: Int, dtype: DType) throws {
    // LAPACK would not end, or would end with anything.
    guard try core.isAllFinite() else { throw WeightDeltaError.nonFinite }
    let (u, s, v) = try core.svd()
    let (outFeatures, inFeatures) = (left?.shape[0] ?? core.shape[0], right?.shape[0] ?? core.shape[1])
    let values = try s.doubles()
    // What is smaller is the rounding of zero: its directions mean nothing.
    let least = (values.first ?? 0) * Double(max(outFeatures, inFeatures)) * 0x1p-52
    let kept = min(rank, values.count(where: { $0 > least }))
    let total = values.reduce(0) { $0 + $1 * $1 }
    let lost = values.dropFirst(kept).reduce(0) { $0 + $1 * $1 }
    relativeError = total > 0 ? (lost / total).squareRoot() : 0

    let root = try s.narrowed(0, 0..<kept).sqrt()
    var up = try u.narrowed(1, 0..<kept) * root
    var down = try v.narrowed(0, 0..<kept) * root.unsqueezed(1)
    up = try left?.matmul(up) ?? up
    down = try right.map { try down.matmul($0.transposed()) } ?? down
    if kept > 0 {
      let signs = try down.signsOfRows()
      (up, down) = (try up * signs.transposed(), try down * signs)
    }
    if kept < rank {
      up = try .concatenated(
        [up, .zeros([outFeatures, rank - kept], dtype: .float64, device: up.device)], dimension: 1)
      down = try .concatenated([down, .zeros([rank - kept, inFeatures], dtype: .float64, device: down.device)])
    }
    delta = LowRankDelta(down: try down.to(dtype).contiguous(), up: try up.to(dtype).contiguous())
  }
}

extension LowRankDelta {
  /// The decomposition through the Gram matrices of the factors, in float64: with `AAᵀ = R Rᵀ`, the eigenvalues of `Rᵀ BᵀB R` are the
  /// squares of the singular values of `BA`. A fraction of the work of two QR decompositions, at the price of half of
  /// float64's digits: enough for factors that were rounded to float32, unless the values wanted are small beside the
  /// factors, as where they nearly cancel.
  ///
  /// - Returns: nil where they are, or where there are fewer than `rank`.
  fileprivate func throughGrams(rank: Int) throws -> LowRankApproximation? {
    guard down.shape[0] >= rank else { return nil }
    let (vectors, squares) = try down.matmul(down.transposed()).eigenvectors()
    let root = try vectors * squares.sqrt()
    let gram = try up.transposed().matmul(up)
    let (turns, energies) = try (root.transposed().matmul(gram).matmul(root) * (scale * scale)).eigenvectors()
    let values = try energies.doubles()
    let bound = try squares.sum().item() * up.squared().sum().item() * scale * scale
    guard bound > 0, values[rank - 1] >= 1e-4 * bound else { return nil }
    let singular = try energies.narrowed(0, 0..<rank).sqrt()
    let basis = try root.matmul(turns.narrowed(1, 0..<rank))
    let half = try singular.sqrt()
    let left = try basis / half * scale
    let right = try (gram.matmul(basis) / (singular * half) * (scale * scale)).transposed()
    let rows = try right.to(.float32).matmul(down.to(.float32))
    let signs = try rows.signsOfRows()
    let total = values.reduce(0, +)
    return LowRankApproximation(
      delta: LowRankDelta(
        down: try rows * signs, up: try up.to(.float32).matmul((left * signs.transposed()).to(.float32))),
      relativeError: (values.dropFirst(rank).reduce(0, +) / total).squareRoot())
  }

  /// Threads cost more than they save on thin factors.
  fileprivate func withThreadsForItsSize<Result>(_ body: () throws -> Result) rethrows -> Result {
    let rank = Double(down.shape[0])
    let operations = rank * rank * Double(outFeatures + inFeatures)
    return try operations < 0x1p27 ? withOneThread(body) : body()
  }
}

extension Tensor {
  /// The sign of each row's entry of largest magnitude, `[rows, 1]`.
  fileprivate func signsOfRows() throws -> Tensor { try gathered(1, abs().argmax(1, keep: true)).sign() }

  /// Of this symmetric matrix without negative eigenvalues, which come in descending order.
  fileprivate func eigenvectors() throws -> (vectors: Tensor, values: Tensor) {
    guard try isAllFinite() else { throw WeightDeltaError.nonFinite }
    let (u, s, _) = try svd()
    return (u, s)
  }
}
