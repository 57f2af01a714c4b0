import Tensors

/// A structured change `ΔW` of a weight `[outFeatures, inFeatures]`, as a value: train, merge, mix and serve never need
/// to know which method made it.
///
/// Every structure has the same algebra: `norm`, `inner`, `scaled`, sums (`SumDelta`), its exact low-rank form where it
/// has one, and its best approximation of a given rank. Norms and inner products are formed in float64.
public protocol WeightDelta: Sendable {
  var outFeatures: Int { get }
  var inFeatures: Int { get }

  /// The tensors it is made of. Gradients flow to them through `apply`, `materialized`, `merged` and `lowRank`.
  var factors: [Tensor] { get }

  /// The same structure over other factors of the same shapes: in another dtype, on another device, detached. The closure
  /// is given them in the order of `factors`.
  func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> Self

  /// `x · ΔWᵀ` without forming ΔW: `[…, inFeatures]` to `[…, outFeatures]`.
  func apply(to input: Tensor) throws -> Tensor

  /// ΔW itself, `[outFeatures, inFeatures]`.
  func materialized() throws -> Tensor

  /// `weight + scale · ΔW`, formed in float32 or better and rounded once to the weight's dtype.
  func merged(into weight: Tensor, scale: Double) throws -> Tensor

  /// ΔW as one product of two factors, exactly; nil where that would hold no fewer numbers than ΔW itself.
  var lowRank: LowRankDelta? { get throws }

  /// `factor · ΔW`.
  func scaled(by factor: Double) throws -> any WeightDelta

  /// The Frobenius inner product with `other`, of the same shape, from the factors of both; nil where these two have no
  /// such form.
  func factorwiseInner(_ other: any WeightDelta) throws -> Double?
}

extension WeightDelta {
  public var lowRank: LowRankDelta? { get throws { nil } }

  public func scaled(by factor: Double) throws -> any WeightDelta { try SumDelta([(factor, self)]) }

  public func factorwiseInner(_ other: any WeightDelta) throws -> Double? { nil }

  /// The same change with its factors in another dtype.
  public func to(_ dtype: DType) throws -> Self { try mapFactors { try $0.to(dtype) } }

  /// `weight + ΔW`, formed in float32 or better and rounded once to the weight's dtype.
  public func merged(into weight: Tensor) throws -> Tensor { try merged(into: weight, scale: 1) }

  public func merged(into weight: Tensor, scale: Double) throws -> Tensor {
    let wide: DType = (factors + [weight]).contains { $0.dtype == .float64 } ? .float64 : .float32
    return try withFullPrecision(on: weight.device) {
      let delta = try to(wide).materialized()
      return try (weight.to(wide) + delta * scale).to(weight.dtype)
    }
  }

  /// The Frobenius norm `‖ΔW‖`.
  ///
  /// - Throws: `WeightDeltaError.nonFinite`
  public func norm() throws -> Double { try max(0, inner(self)).squareRoot() }

  /// The Frobenius inner product `⟨ΔW, ΔW'⟩ = Σ ΔW[i,j] · ΔW'[i,j]`, by the cheapest exact way the two have: from the
  /// factors of both; for a low rank and anything else through `apply`, `⟨BA, X⟩ = ⟨B, XAᵀ⟩`; else from the dense
  /// matrices.
  ///
  /// - Throws: `WeightDeltaError.shapes`, `.nonFinite`
  public func inner(_ other: any WeightDelta) throws -> Double {
    try WeightDeltaError.checkShapes(self, other)
    let (first, second) = (try to(.float64), try other.to(.float64))
    let value = try withoutGradients { try preciseInner(first, second) }
    guard value.isFinite else { throw WeightDeltaError.nonFinite }
    return value
  }
}

/// `inner` of two changes whose factors are in float64 already.
func preciseInner(_ first: any WeightDelta, _ second: any WeightDelta) throws -> Double {
  if let value = try first.factorwiseInner(second) ?? second.factorwiseInner(first) { return value }
  switch (try first.lowRank, try second.lowRank) {
  case (let first?, let second?):
    let (up, down) = (try first.up.transposed().matmul(second.up), try first.down.matmul(second.down.transposed()))
    return try (up * down).sum().item() * first.scale * second.scale
  case (let factored?, nil): return try inner(factored, second)
  case (nil, let factored?): return try inner(factored, first)
  case (nil, nil): return try (first.materialized() * second.materialized()).sum().item()
  }
}

private func inner(_ factored: LowRankDelta, _ other: any WeightDelta) throws -> Double {
  try (other.apply(to: factored.down) * factored.up.transposed()).sum().item() * factored.scale
}
