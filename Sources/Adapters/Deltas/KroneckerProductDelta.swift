import Tensors

/// `ΔW = scale · W₁ ⊗ W₂`: block `(i, j)` of ΔW is `W₁[i,j] · W₂`.
///
/// With `W₁` of shape `[a, c]` and `W₂` of shape `[b, e]`, `outFeatures = a·b` and `inFeatures = c·e`. Yeh et al. 2023,
/// "LyCORIS", arXiv:2309.14859 (LoKr). `KroneckerDelta` is the sum of many such products with a coarse factor of rank 1.
public struct KroneckerProductDelta: WeightDelta {
  /// `W₁` or `W₂`: a matrix, or the product of two thin ones.
  public enum Factor: Sendable {
    case dense(Tensor)
    /// `up · down`, `[rows, r]` by `[r, columns]`
    case product(up: Tensor, down: Tensor)

    public var rows: Int {
      switch self {
      case .dense(let matrix), .product(up: let matrix, down: _): matrix.shape[0]
      }
    }

    public var columns: Int {
      switch self {
      case .dense(let matrix), .product(up: _, down: let matrix): matrix.shape[1]
      }
    }

    public var tensors: [Tensor] {
      switch self {
      case .dense(let matrix): [matrix]
      case .product(let up, let down): [up, down]
      }
    }

    func mapped(_ transform: (Tensor) throws -> Tensor) rethrows -> Factor {
      switch self {
      case .dense(let matrix): .dense(try transform(matrix))
      case .product(let up, let down): .product(up: try transform(up), down: try transform(down))
      }
    }

    func materialized() throws -> Tensor {
      switch self {
      case .dense(let matrix): matrix
      case .product(let up, let down): try up.matmul(down)
      }
    }

    /// `x · Wᵀ`
    func apply(to input: Tensor) throws -> Tensor {
      switch self {
      case .dense(let matrix): try input.linear(matrix)
      case .product(let up, let down): try input.linear(down).linear(up)
      }
    }

    /// As a product; a dense one has the identity on its shorter side.
    var asProduct: (up: Tensor, down: Tensor) {
      get throws {
        switch self {
        case .product(let up, let down): return (up, down)
        case .dense(let matrix):
          let identity = try Tensor.identity(min(rows, columns), dtype: matrix.dtype).to(matrix.device)
          return rows < columns ? (identity, matrix) : (matrix, identity)
        }
      }
    }
  }

  public let left: Factor
  public let right: Factor
  public let scale: Double

  public init(left: Factor, right: Factor, scale: Double = 1) {
    self.left = left
    self.right = right
    self.scale = scale
  }

  public var outFeatures: Int { left.rows * right.rows }
  public var inFeatures: Int { left.columns * right.columns }
  public var factors: [Tensor] { left.tensors + right.tensors }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> KroneckerProductDelta {
    KroneckerProductDelta(left: try left.mapped(transform), right: try right.mapped(transform), scale: scale)
  }

  /// Each input as a row-major matrix `X` of shape `[c, e]` becomes `W₁ · X · W₂ᵀ`.
  public func apply(to input: Tensor) throws -> Tensor {
    let outer = input.shape.dropLast()
    let rows = try right.apply(to: input.reshaped(-1, left.columns, right.columns))
    let mixed = try left.apply(to: rows.transposed()).transposed()
    return try mixed.reshaped(outer + [outFeatures]) * scale
  }

  public func materialized() throws -> Tensor {
    try Self.kronecker(left.materialized(), right.materialized()) * scale
  }

  /// `(P₁Q₁) ⊗ (P₂Q₂) = (P₁ ⊗ P₂)(Q₁ ⊗ Q₂)`: ranks multiply.
  public var lowRank: LowRankDelta? {
    get throws {
      let (first, second) = (try left.asProduct, try right.asProduct)
      let rank = first.down.shape[0] * second.down.shape[0]
      guard LowRankDelta.isSmall(rank, outFeatures, inFeatures) else { return nil }
      return LowRankDelta(
        down: try Self.kronecker(first.down, second.down), up: try Self.kronecker(first.up, second.up), scale: scale)
    }
  }

  public func scaled(by factor: Double) -> any WeightDelta {
    KroneckerProductDelta(left: left, right: right, scale: scale * factor)
  }

  /// `⟨A ⊗ B, C ⊗ D⟩ = ⟨A, C⟩ · ⟨B, D⟩` where the sizes agree.
  public func factorwiseInner(_ other: any WeightDelta) throws -> Double? {
    guard let other = other as? KroneckerProductDelta, left.rows == other.left.rows, left.columns == other.left.columns
    else { return nil }
    let first = try (left.materialized() * other.left.materialized()).sum().item()
    let second = try (right.materialized() * other.right.materialized()).sum().item()
    return first * second * scale * other.scale
  }

  private static func kronecker(_ first: Tensor, _ second: Tensor) throws -> Tensor {
    let (rows, columns) = (first.shape[0] * second.shape[0], first.shape[1] * second.shape[1])
    return try (first.unsqueezed(1).unsqueezed(3) * second.unsqueezed(1)).reshaped(rows, columns)
  }
}

extension KroneckerProductDelta: RidingDelta {
  func added(to weight: Tensor) throws -> Tensor {
    try weight + Self.kronecker(left.materialized() * scale, right.materialized())
  }

  /// With each row of `x` as a matrix `X` of shape `[c, e]`, each row of the gradient as `G` of shape `[a, b]` and
  /// `W₂ = PQ` (`Q` the identity where `W₂` is dense), summed over the rows:
  /// `∂W₁ = (GP)(XQᵀ)ᵀ`, `∂P = Gᵀ(W₁XQᵀ)`, `∂Q = (W₁ᵀGP)ᵀX`, all times the scale. The gradient of the dense ΔW, which would
  /// cost a product as large as the base's, is never formed.
  func factorGradients(_ gradient: Tensor, _ rows: Tensor, needed: [Bool]) throws -> [Tensor?] {
    let tokens = rows.shape[0]
    let (g, x) = (try gradient.reshaped(-1, right.rows), try rows.reshaped(-1, right.columns))
    let weight = try left.materialized()
    let (up, down): (Tensor, Tensor?) =
      switch right {
      case .dense(let matrix): (matrix, nil)
      case .product(let up, let down): (up, down)
      }
    let rank = up.shape[1]
    /// `[tokens · k, rank]` to `[k, tokens · rank]`, and back.
    func leading(_ tensor: Tensor, _ k: Int) throws -> Tensor {
      try tensor.reshaped(tokens, k, rank).transposed(0, 1).reshaped(k, tokens * rank)
    }
    func trailing(_ tensor: Tensor, _ k: Int) throws -> Tensor {
      try tensor.reshaped(k, tokens, rank).transposed(0, 1).reshaped(tokens * k, rank)
    }
    let narrowed = try leading(g.matmul(up), left.rows)  // GP
    let projected = try leading(down.map { try x.linear($0) } ?? x, left.columns)  // XQᵀ
    let coarse = try narrowed.matmul(projected.transposed()) * scale

    var results: [Tensor?]
    switch left {
    case .dense: results = [coarse]
    case .product(let up, let down): results = [try coarse.linear(down), try up.transposed().matmul(coarse)]
    }
    results.append(try g.transposed().matmul(trailing(weight.matmul(projected), left.rows)) * scale)
    if down != nil {
      let mixed = try trailing(weight.transposed().matmul(narrowed), left.columns)
      results.append(try mixed.transposed().matmul(x) * scale)
    }
    return zip(results, needed).map { $1 ? $0 : nil }
  }
}
