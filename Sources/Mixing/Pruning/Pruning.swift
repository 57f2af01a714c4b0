import Formats
import Foundation
import Tensors

/// Zeroes an adapter's weights down to a density: unstructured, at once, without training after.
///
/// Of `N` weights `round(density · N)` are kept, at least one; among equals those that come first. Only matrices are pruned:
/// biases, LayerNorms and scales stay.
public struct Pruning: Codable, Hashable, Sendable {
  /// Which weights go first.
  public enum Criterion: String, Codable, CaseIterable, Hashable, Sendable {
    /// The smallest `|w|`.
    case magnitude
    /// Those whose sign is opposite to that of any of the other adapters, the smallest first; then the smallest of the rest. Our
    /// reading of the magnitude pruning by sign difference of Nguyen & Le 2024, arXiv:2402.10639.
    case conflicts = "conflicts-first"
    /// Those whose sign is opposite to that of the sum of all the adapters' weights, the smallest first; then the smallest of the
    /// rest: the trimming and the election of TIES (arXiv:2306.01708) in one order.
    case minority = "minority-first"
    /// Any, drawn by the seed and by the adapter's own numbers, so that two adapters lose different weights: what the others are
    /// measured against.
    case random

    /// Whether it looks at other adapters.
    public var comparesAdapters: Bool { self == .conflicts || self == .minority }
  }

  /// Among which weights the density is reached.
  public enum Scope: String, Codable, CaseIterable, Hashable, Sendable {
    /// In each matrix.
    case tensor
    /// In all the matrices together.
    case global
  }

  /// The fraction of the weights that is kept, above 0 and at most 1.
  public var density: Double
  public var criterion = Criterion.magnitude
  public var scope = Scope.tensor
  /// Of the random criterion.
  public var seed: UInt64 = 0

  public init(density: Double, criterion: Criterion = .magnitude, scope: Scope = .tensor, seed: UInt64 = 0) {
    self.density = density
    self.criterion = criterion
    self.scope = scope
    self.seed = seed
  }

  /// How many of `count` numbers are kept at a density.
  public static func keptCount(_ density: Double, of count: Int) -> Int {
    min(count, max(1, Int((density * Double(count)).rounded())))
  }

  /// Which weights of `vector` are kept.
  ///
  /// - Parameter others: the adapters that it is to be mixed with, itself not among them; they matter to the criteria that compare.
  /// - Throws: `MixingError.density`, `.layout`, `.notFinite`; `.nothingToCompare` where the criterion compares and there are no
  ///   others.
  public func mask(of vector: AdapterVector, among others: [AdapterVector] = []) throws -> PruningMask {
    guard density > 0, density <= 1 else { throw MixingError.density(density) }
    for other in others { try vector.layout.check(against: other.layout) }
    if criterion.comparesAdapters, others.isEmpty { throw MixingError.nothingToCompare(criterion.rawValue) }
    let weights = vector.layout.entries.filter(\.isWeight)
    for (index, checked) in ([vector] + (criterion.comparesAdapters ? others : [])).enumerated() {
      for entry in weights where !checked.values[entry.range].allSatisfy(\.isFinite) {
        throw MixingError.notFinite(entry.name, adapter: index == 0 ? "to be pruned" : "number \(index) beside it")
      }
    }
    var keeps = [Bool](repeating: true, count: vector.layout.count)
    // One mask for all adapters would leave ρ/2 of the weights in conflict, where independent ones leave ρ²/2.
    let own = criterion == .random ? vector.digest : ""
    switch scope {
    case .tensor:
      for entry in weights where !entry.range.isEmpty {
        let ranks = try ranks(vector, others, over: [entry.range], stream: "\(entry.name) \(own)")
        for (place, keep) in zip(entry.range, Self.largest(Self.keptCount(density, of: ranks.count), of: ranks)) {
          keeps[place] = keep
        }
      }
    case .global where !weights.isEmpty:
      let ranks = try ranks(vector, others, over: weights.map(\.range), stream: "all \(own)")
      let kept = Self.largest(Self.keptCount(density, of: ranks.count), of: ranks)
      for (place, keep) in zip(weights.lazy.flatMap(\.range), kept) { keeps[place] = keep }
    case .global: break
    }
    return try PruningMask(vector.layout, keeps)
  }

  /// The pruned vector and what was kept of it.
  ///
  /// - Throws: as `mask(of:among:)`.
  public func callAsFunction(_ vector: AdapterVector, among others: [AdapterVector] = []) throws -> (
    vector: AdapterVector, mask: PruningMask
  ) {
    let mask = try mask(of: vector, among: others)
    return (try mask.applied(to: vector), mask)
  }

  /// The order of the weights: the largest are kept. The bits of a float that is not negative grow with it, which leaves the
  /// topmost bit for those that go first.
  private func ranks(_ vector: AdapterVector, _ others: [AdapterVector], over ranges: [Range<Int>], stream: String)
    throws
    -> [UInt32]
  {
    let count = ranges.reduce(0) { $0 + $1.count }
    if criterion == .random {
      let generator = try Generator(seed: seed).derived("prune \(stream)")
      return try generator.permutation(count).integers().map { UInt32(truncatingIfNeeded: $0) }
    }
    var ranks: [UInt32] = []
    ranks.reserveCapacity(count)
    for place in ranges.lazy.joined() {
      let value = vector.values[place]
      let goesFirst =
        switch criterion {
        case .magnitude, .random: false
        case .conflicts: others.contains { $0.values[place] * value.signum < 0 }
        case .minority:
          others.reduce(Double(value)) { $0 + Double($1.values[place]) } * Double(value.signum) < 0
        }
      ranks.append(value.magnitude.bitPattern | (goesFirst ? 0 : 1 << 31))
    }
    return ranks
  }

  /// Where the `kept` largest are; of equals the first.
  static func largest(_ kept: Int, of ranks: [UInt32]) -> [Bool] {
    guard kept < ranks.count else { return [Bool](repeating: true, count: ranks.count) }
    // Two counts of 16 bits find the smallest rank that is kept, and how many of it.
    var (left, threshold) = (kept, UInt32(0))
    var isNarrowed = false
    for shift in [UInt32(16), 0] {
      var counts = [Int](repeating: 0, count: 1 << 16)
      for rank in ranks where !isNarrowed || rank >> 16 == threshold >> 16 {
        counts[Int(rank >> shift & 0xffff)] += 1
      }
      var digit = counts.count - 1
      while counts[digit] < left {
        left -= counts[digit]
        digit -= 1
      }
      threshold |= UInt32(digit) << shift
      isNarrowed = true
    }
    return ranks.map { rank in
      if rank == threshold, left > 0 {
        left -= 1
        return true
      }
      return rank > threshold
    }
  }
}

extension AdapterVector {
  /// SHA-256 of the numbers.
  fileprivate var digest: String { values.withUnsafeBytes { FileDigest.sha256(of: Data($0)) } }
}

extension Float {
  /// −1, 0 or 1.
  fileprivate var signum: Float { self > 0 ? 1 : self < 0 ? -1 : 0 }
}
