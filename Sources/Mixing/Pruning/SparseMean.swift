/// The mean of adapters that are mostly zeros, and what it divides by:
///
///     θ̄_p = Σ_i w_i,p / max(1, c_p)
///
/// Biases, LayerNorms and scales are averaged plainly.
public enum SparseMean: String, Codable, CaseIterable, Hashable, Sendable {
  /// `c_p` is the number of adapters: a weight that is alive in one of `k` shrinks to `1/k`.
  case all
  /// Those that are not 0 at `p`.
  case nonzero
  /// Those that have the sign of the sum at `p`, and only they are summed, as TIES does (arXiv:2306.01708); a sum of 0 elects `+`.
  case agreeing

  /// - Throws: `MixingError.noAdapters`, `.layout`
  public func callAsFunction(_ vectors: [AdapterVector]) throws(MixingError) -> AdapterVector {
    guard let layout = vectors.first?.layout else { throw .noAdapters }
    for vector in vectors { try layout.check(against: vector.layout) }
    var values: [Float] = []
    values.reserveCapacity(layout.count)
    for entry in layout.entries {
      let divisor = entry.isWeight ? self : .all
      for place in entry.range { values.append(divisor.mean(vectors, at: place)) }
    }
    return try AdapterVector(layout, values)
  }

  private func mean(_ vectors: [AdapterVector], at place: Int) -> Float {
    var total = 0.0
    for vector in vectors { total += Double(vector.values[place]) }
    if self == .all { return Float(total / Double(vectors.count)) }
    let isPositive = total >= 0
    var (sum, count) = (0.0, 0.0)
    for vector in vectors {
      let value = vector.values[place]
      guard self == .nonzero ? value != 0 : isPositive ? value > 0 : value < 0 else { continue }
      sum += Double(value)
      count += 1
    }
    return Float(sum / max(1, count))
  }
}
