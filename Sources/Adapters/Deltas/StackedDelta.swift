import Tensors

/// Changes of row ranges of one map, the rows between them unchanged: of the queries and the values of a fused
/// `[3 · width, width]` projection, say.
public struct StackedDelta: WeightDelta {
  public struct Part: Sendable {
    public let rows: Range<Int>
    public let delta: any WeightDelta
  }

  /// At least one, in the order of the rows.
  public let parts: [Part]
  public let outFeatures: Int
  public let inFeatures: Int

  /// - Parameter outFeatures: of the whole map.
  /// - Throws: `WeightDeltaError.emptySum`; `.rows` for rows outside the map; `.overlap`; `.rowCount` for a change that has
  ///   not as many rows as its range; `.shapes` where the widths of the input differ.
  public init(_ parts: [(rows: Range<Int>, delta: any WeightDelta)], outFeatures: Int) throws {
    let sorted = parts.sorted { $0.rows.lowerBound < $1.rows.lowerBound }
    guard let first = sorted.first?.delta else { throw WeightDeltaError.emptySum }
    for (rows, delta) in sorted {
      guard rows.lowerBound >= 0, rows.upperBound <= outFeatures else {
        throw WeightDeltaError.rows(rows, outFeatures: outFeatures)
      }
      guard rows.count == delta.outFeatures else {
        throw WeightDeltaError.rowCount(rows, outFeatures: delta.outFeatures)
      }
      guard delta.inFeatures == first.inFeatures else {
        throw WeightDeltaError.shapes([first.outFeatures, first.inFeatures], [delta.outFeatures, delta.inFeatures])
      }
    }
    for (part, next) in zip(sorted, sorted.dropFirst()) where part.rows.upperBound > next.rows.lowerBound {
      throw WeightDeltaError.overlap(part.rows, next.rows)
    }
    self.parts = sorted.map { Part(rows: $0.rows, delta: $0.delta) }
    self.outFeatures = outFeatures
    inFeatures = first.inFeatures
  }

  private init(parts: [Part], like stack: StackedDelta) {
    self.parts = parts
    (outFeatures, inFeatures) = (stack.outFeatures, stack.inFeatures)
  }

  public var factors: [Tensor] { parts.flatMap(\.delta.factors) }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> StackedDelta {
    StackedDelta(
      parts: try parts.map { Part(rows: $0.rows, delta: try $0.delta.mapFactors(transform)) }, like: self)
  }

  public func apply(to input: Tensor) throws -> Tensor {
    let outputs = try parts.map { try $0.delta.apply(to: input) }
    return try stacked(outputs, dimension: -1) { rows in
      try .zeros(input.shape.dropLast() + [rows], dtype: outputs[0].dtype, device: input.device)
    }
  }

  public func materialized() throws -> Tensor {
    let matrices = try parts.map { try $0.delta.materialized() }
    return try stacked(matrices, dimension: 0) { rows in
      try .zeros([rows, inFeatures], dtype: matrices[0].dtype, device: matrices[0].device)
    }
  }

  /// `values` in their rows along `dimension`, with zeros in the rows of no part.
  private func stacked(_ values: [Tensor], dimension: Int, zeros: (Int) throws -> Tensor) throws -> Tensor {
    var pieces: [Tensor] = []
    var row = 0
    for (part, value) in zip(parts, values) {
      if part.rows.lowerBound > row { pieces.append(try zeros(part.rows.lowerBound - row)) }
      pieces.append(value)
      row = part.rows.upperBound
    }
    if row < outFeatures { pieces.append(try zeros(outFeatures - row)) }
    return try .concatenated(pieces, dimension: dimension)
  }

  /// Ranks add: the ups stand on a block diagonal.
  public var lowRank: LowRankDelta? {
    get throws {
      var parts: [LowRankDelta] = []
      for part in self.parts {
        guard let factored = try part.delta.lowRank else { return nil }
        parts.append(factored)
      }
      let ranks = parts.map { $0.down.shape[0] }
      let rank = ranks.reduce(0, +)
      guard LowRankDelta.isSmall(rank, outFeatures, inFeatures) else { return nil }
      var column = 0
      let ups = try parts.map { part in
        let (up, own) = (try part.up * part.scale, part.down.shape[0])
        defer { column += own }
        let (left, right) = (column, rank - column - own)
        func zeros(_ columns: Int) throws -> Tensor {
          try .zeros([up.shape[0], columns], dtype: up.dtype, device: up.device)
        }
        return try Tensor.concatenated([zeros(left), up, zeros(right)], dimension: 1)
      }
      let up = try stacked(ups, dimension: 0) { rows in
        try .zeros([rows, rank], dtype: ups[0].dtype, device: ups[0].device)
      }
      return LowRankDelta(down: try .concatenated(parts.map(\.down)), up: up)
    }
  }

  public func scaled(by factor: Double) throws -> any WeightDelta {
    StackedDelta(
      parts: try parts.map { Part(rows: $0.rows, delta: try $0.delta.scaled(by: factor)) }, like: self)
  }

  /// Part by part where the other is stacked alike: rows that only one of them changes add nothing.
  public func factorwiseInner(_ other: any WeightDelta) throws -> Double? {
    guard let other = other as? StackedDelta else { return nil }
    var total = 0.0
    for part in parts {
      for counterpart in other.parts where part.rows.overlaps(counterpart.rows) {
        guard part.rows == counterpart.rows else { return nil }
        total += try preciseInner(part.delta, counterpart.delta)
      }
    }
    return total
  }
}
