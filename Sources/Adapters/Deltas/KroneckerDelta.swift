import Tensors

/// `H = Σ_t (l_t ρ_tᵀ) ⊗ (U_t V_t)` acting on rows, so `ΔW = Hᵀ`: a sum of Kronecker products whose coarse factors are of
/// rank one and may be shared by many sites.
///
/// He et al. 2022, "Parameter-Efficient Model Adaptation for Vision Transformers" (KAdaptation), arXiv:2203.16329, with the
/// slow weights factorized as Lee et al. 2023 (Mixture-of-Adapters), arXiv:2310.11031, have them:
///
///     H[a·i + p, c·o + q] = Σ_t l[t,a] · ρ[t,c] · Σ_k U[t,p,k] · V[t,k,q]
///
/// with `P` the dimension, `i = inFeatures / P`, `o = outFeatures / P`. The rank of `H` is at most `P · r`.
public struct KroneckerDelta: WeightDelta {
  /// `l`, `[P, P]`
  public let coarseLeft: Tensor
  /// `ρ`, `[P, P]`
  public let coarseRight: Tensor
  /// `U`, `[P, i, r]`
  public let fineLeft: Tensor
  /// `V`, `[P, r, o]`
  public let fineRight: Tensor

  public init(coarseLeft: Tensor, coarseRight: Tensor, fineLeft: Tensor, fineRight: Tensor) {
    self.coarseLeft = coarseLeft
    self.coarseRight = coarseRight
    self.fineLeft = fineLeft
    self.fineRight = fineRight
  }

  public var dimension: Int { coarseLeft.shape[0] }
  public var inFeatures: Int { dimension * fineLeft.shape[1] }
  public var outFeatures: Int { dimension * fineRight.shape[2] }
  public var factors: [Tensor] { [coarseLeft, coarseRight, fineLeft, fineRight] }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> KroneckerDelta {
    KroneckerDelta(
      coarseLeft: try transform(coarseLeft), coarseRight: try transform(coarseRight),
      fineLeft: try transform(fineLeft), fineRight: try transform(fineRight))
  }

  public func apply(to input: Tensor) throws -> Tensor {
    let shape = input.shape
    let rows = try input.reshaped(-1, inFeatures)
    let output = try Self.apply(
      to: rows, coarseLeft: coarseLeft, coarseRight: coarseRight, fineLeft: fineLeft, fineRight: fineRight)
    return try output.reshaped(shape.dropLast() + [outFeatures])
  }

  /// The structured product: `s_t = Σ_a l[t,a]·x_a`, `w_t = (s_t U_t ∘ g) V_t`, `y_c = Σ_t ρ[t,c]·w_t`.
  ///
  /// - Parameters:
  ///   - rows: `[tokens, inFeatures]`
  ///   - gates: `[tokens, r]`, one factor for each column of `U`; nil for ones.
  /// - Returns: `[tokens, outFeatures]`
  static func apply(
    to rows: Tensor, coarseLeft: Tensor, coarseRight: Tensor, fineLeft: Tensor, fineRight: Tensor, gates: Tensor? = nil
  ) throws -> Tensor {
    let tokens = rows.shape[0]
    let (dimension, inner, outer) = (coarseLeft.shape[0], fineLeft.shape[1], fineRight.shape[2])
    let blocks = try rows.reshaped(tokens, dimension, inner).transposed(0, 1).reshaped(dimension, tokens * inner)
    let mixed = try coarseLeft.matmul(blocks).reshaped(dimension, tokens, inner)
    var hidden = try mixed.matmul(fineLeft)
    if let gates { hidden = try hidden * gates }
    let widened = try hidden.matmul(fineRight).reshaped(dimension, tokens * outer)
    return try coarseRight.transposed().matmul(widened).reshaped(dimension, tokens, outer).transposed(0, 1)
      .reshaped(tokens, dimension * outer)
  }

  public func materialized() throws -> Tensor { try rowForm().transposed() }

  /// `ΔW = Σ_tk (ρ_t ⊗ V_t[k]) (l_t ⊗ U_t[:,k])ᵀ`: of rank `P · r`.
  public var lowRank: LowRankDelta? {
    get throws {
      let rank = dimension * fineLeft.shape[2]
      guard LowRankDelta.isSmall(rank, outFeatures, inFeatures) else { return nil }
      func product(_ coarse: Tensor, _ fine: Tensor, _ width: Int) throws -> Tensor {
        try (coarse.reshaped(dimension, 1, dimension, 1) * fine.unsqueezed(2)).reshaped(rank, width)
      }
      return LowRankDelta(
        down: try product(coarseLeft, fineLeft.transposed(), inFeatures),
        up: try product(coarseRight, fineRight, outFeatures).transposed())
    }
  }

  public func scaled(by factor: Double) throws -> any WeightDelta {
    KroneckerDelta(
      coarseLeft: try coarseLeft * factor, coarseRight: coarseRight, fineLeft: fineLeft, fineRight: fineRight)
  }

  /// `Σ_tu ⟨l_t, l'_u⟩ · ⟨ρ_t, ρ'_u⟩ · ⟨U_t V_t, U'_u V'_u⟩` where the blocks are of one size, the last through the small
  /// `U_tᵀU'_u` and `V'_u V_tᵀ`.
  public func factorwiseInner(_ other: any WeightDelta) throws -> Double? {
    guard let other = other as? KroneckerDelta, dimension == other.dimension else { return nil }
    let coarse =
      try coarseLeft.matmul(other.coarseLeft.transposed()) * coarseRight.matmul(other.coarseRight.transposed())
    let left = try Tensor.einsum("tpk,upm->tukm", fineLeft, other.fineLeft)
    let right = try Tensor.einsum("tkq,umq->tukm", fineRight, other.fineRight)
    return try (coarse * (left * right).sum(2, 3)).sum().item()
  }

  /// `H`, `[inFeatures, outFeatures]`.
  ///
  /// Summing over `t` first needs one product `[P², P]·[P, i·o]` where the textbook form would hold `P` dense matrices.
  func rowForm() throws -> Tensor {
    let coarse = try Self.coarse(coarseLeft, coarseRight)
    return try Self.rowForm(coarse: coarse, fine: fineLeft.matmul(fineRight))
  }

  /// `l[t,a]·ρ[t,c]` as `[a·c, t]`: the same for every expert and every site that shares `l` and `ρ`.
  static func coarse(_ left: Tensor, _ right: Tensor) throws -> Tensor {
    let dimension = left.shape[0]
    return try (left.unsqueezed(2) * right.unsqueezed(1)).reshaped(dimension, -1).transposed()
  }

  /// - Parameters:
  ///   - coarse: `[P·P, P]`
  ///   - fine: `U_t V_t`, `[P, i, o]`
  static func rowForm(coarse: Tensor, fine: Tensor) throws -> Tensor {
    let (dimension, inner, outer) = (fine.shape[0], fine.shape[1], fine.shape[2])
    return try coarse.matmul(fine.reshaped(dimension, inner * outer)).reshaped(dimension, dimension, inner, outer)
      .permuted(0, 2, 1, 3).reshaped(dimension * inner, dimension * outer)
  }
}
