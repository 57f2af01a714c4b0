import Adapters
import Tensors

/// The best approximation of a dense matrix of a rank far below its sides, without its whole decomposition.
///
/// Block Lanczos with full reorthogonalization (Golub & Van Loan, "Matrix Computations", 10.3): the Krylov space of `M·Mᵀ` from a
/// seeded block grows until the leading singular vectors have residuals below `tolerance`. Sums are in float64. A matrix
/// whose spectrum is too flat for that is decomposed as a whole.
struct LeadingSingularVectors {
  /// `[count, inFeatures]` and `[outFeatures, count]`: row and column `k` are equally long.
  let down: Tensor
  let up: Tensor
  /// `‖M − up·down‖ / ‖M‖`; 0 where `M` is zero.
  let relativeError: Double

  /// Of a residual `‖M vₖ − σₖ uₖ‖`, as a fraction of the largest singular value.
  static let tolerance = 1e-6
  /// Above this fraction of the shorter side the whole decomposition is cheaper.
  private static let largestSpace = 0.6

  /// - Parameter count: `1 ... min(rows, columns)`
  /// - Throws: `WeightDeltaError.rank`, `.nonFinite`
  init(of matrix: Tensor, count: Int) throws {
    let side = min(matrix.shape[0], matrix.shape[1])
    guard (1...max(1, side)).contains(count) else { throw WeightDeltaError.rank(count, limit: side) }
    guard try matrix.isAllFinite() else { throw WeightDeltaError.nonFinite }
    let wide = try matrix.to(.float64)
    let energy = try wide.squared().sum().item()
    let leading = try Self.lanczos(wide, count: count, energy: energy) ?? Self.whole(wide, count: count)
    let root = try leading.values.sqrt()
    let signs = try leading.right.gathered(1, leading.right.abs().argmax(1, keep: true)).sign()
    up = try (leading.left * root * signs.transposed()).to(.float32).contiguous()
    down = try (leading.right * root.unsqueezed(1) * signs).to(.float32).contiguous()
    let kept = try leading.values.squared().sum().item()
    relativeError = energy > 0 ? (max(0, energy - kept) / energy).squareRoot() : 0
  }

  private typealias Leading = (left: Tensor, values: Tensor, right: Tensor)

  private static func whole(_ matrix: Tensor, count: Int) throws -> Leading {
    let (u, s, v) = try matrix.svd()
    return try (u.narrowed(1, 0..<count), s.narrowed(0, 0..<count), v.narrowed(0, 0..<count))
  }

  /// nil where the space would grow too large.
  private static func lanczos(_ matrix: Tensor, count: Int, energy: Double) throws -> Leading? {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let block = count + 8
    let limit = Int(Double(min(rows, columns)) * largestSpace)
    guard energy > 0, 4 * block <= limit else { return nil }
    let transposed = try matrix.transposed().contiguous()
    let start = try Tensor.normal([columns, block], dtype: .float64, from: Generator(seed: 0))
    var basis = try orthonormal(matrix.matmul(start), beside: nil)
    var images = try transposed.matmul(basis)
    var newest = images
    var checked = basis.shape[1]
    while basis.shape[1] + block <= limit {
      let next = try orthonormal(matrix.matmul(newest), beside: basis)
      newest = try transposed.matmul(next)
      basis = try .concatenated([basis, next], dimension: 1)
      images = try .concatenated([images, newest], dimension: 1)
      // Looking costs as much as a few steps, so it is done as the space has grown by a half.
      guard 2 * basis.shape[1] >= 3 * checked || basis.shape[1] + block > limit else { continue }
      checked = basis.shape[1]
      if let found = try converged(matrix, basis, images, count) { return found }
    }
    return nil
  }

  /// The leading triplets of `basis · imagesᵀ`, where their residuals are small: `Mᵀu = σv` holds in the space, `Mv = σu` is left.
  private static func converged(_ matrix: Tensor, _ basis: Tensor, _ images: Tensor, _ count: Int) throws -> Leading? {
    let (turns, squares, _) = try images.transposed().matmul(images).svd()
    let values = try squares.narrowed(0, 0..<count).sqrt()
    let numbers = try values.doubles()
    guard let largest = numbers.first, let least = numbers.last, least > largest * 1e-7 else { return nil }
    let leading = try turns.narrowed(1, 0..<count)
    let left = try basis.matmul(leading)
    let right = try images.matmul(leading) / values
    let residual = try (matrix.matmul(right) - left * values).squared().sum(0).max().item().squareRoot()
    guard residual <= tolerance * largest else { return nil }
    return (left, values, try right.transposed())
  }

  /// The columns made orthonormal, to those of `basis` too; twice, because once is not enough where little is left of them.
  private static func orthonormal(_ block: Tensor, beside basis: Tensor?) throws -> Tensor {
    var block = block
    if let basis {
      for _ in 0..<2 { block = try block - basis.matmul(basis.transposed().matmul(block)) }
    }
    let q = try block.qr().q
    guard let basis else { return q }
    return try (q - basis.matmul(basis.transposed().matmul(q))).qr().q
  }
}
