import Tensors

/// `ΔW = Σ wᵢ · ΔWᵢ`, of changes of any structures, ranks and dtypes.
///
/// Sums of sums are flattened. Factors of different dtypes are brought to float64 where one is in it, else to float32.
public struct SumDelta: WeightDelta {
  public struct Term: Sendable {
    public let weight: Double
    public let delta: any WeightDelta
  }

  /// At least one; none is a sum itself.
  public let terms: [Term]
  public let outFeatures: Int
  public let inFeatures: Int

  /// - Throws: `WeightDeltaError.emptySum`; `.shapes` where two differ.
  public init(_ terms: [(weight: Double, delta: any WeightDelta)]) throws {
    guard let first = terms.first?.delta else { throw WeightDeltaError.emptySum }
    let flat = terms.flatMap { term in
      guard let sum = term.delta as? SumDelta else { return [Term(weight: term.weight, delta: term.delta)] }
      return sum.terms.map { Term(weight: term.weight * $0.weight, delta: $0.delta) }
    }
    for term in flat { try WeightDeltaError.checkShapes(first, term.delta) }
    let dtypes = Set(flat.flatMap { $0.delta.factors.map(\.dtype) })
    let common: DType? = dtypes.count < 2 ? nil : dtypes.contains(.float64) ? .float64 : .float32
    self.terms = try flat.map { term in
      guard let common else { return term }
      return Term(weight: term.weight, delta: try term.delta.to(common))
    }
    (outFeatures, inFeatures) = (first.outFeatures, first.inFeatures)
  }

  private init(terms: [Term], like sum: SumDelta) {
    self.terms = terms
    (outFeatures, inFeatures) = (sum.outFeatures, sum.inFeatures)
  }

  public var factors: [Tensor] { terms.flatMap(\.delta.factors) }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> SumDelta {
    SumDelta(
      terms: try terms.map { Term(weight: $0.weight, delta: try $0.delta.mapFactors(transform)) }, like: self)
  }

  public func apply(to input: Tensor) throws -> Tensor { try sum { try $0.apply(to: input) } }

  public func materialized() throws -> Tensor { try sum { try $0.materialized() } }

  private func sum(_ value: (any WeightDelta) throws -> Tensor) throws -> Tensor {
    let first = try value(terms[0].delta) * terms[0].weight
    return try terms.dropFirst().reduce(first) { try $0 + value($1.delta) * $1.weight }
  }

  /// The factors of all terms side by side: ranks add.
  public var lowRank: LowRankDelta? {
    get throws {
      var parts: [LowRankDelta] = []
      for term in terms {
        guard let part = try term.delta.lowRank else { return nil }
        parts.append(LowRankDelta(down: part.down, up: part.up, scale: part.scale * term.weight))
      }
      if parts.count == 1 { return parts[0] }
      guard LowRankDelta.isSmall(parts.reduce(0) { $0 + $1.down.shape[0] }, outFeatures, inFeatures) else { return nil }
      return LowRankDelta(
        down: try .concatenated(parts.map(\.down)),
        up: try .concatenated(parts.map { try $0.up * $0.scale }, dimension: 1))
    }
  }

  public func scaled(by factor: Double) -> any WeightDelta {
    SumDelta(terms: terms.map { Term(weight: $0.weight * factor, delta: $0.delta) }, like: self)
  }

  /// Term by term, unless all of them have a low rank together.
  public func factorwiseInner(_ other: any WeightDelta) throws -> Double? {
    guard try lowRank == nil else { return nil }
    return try terms.reduce(0) { try $0 + $1.weight * preciseInner($1.delta, other) }
  }
}
