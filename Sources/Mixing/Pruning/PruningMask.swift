/// Which of an adapter's numbers are kept. Biases, LayerNorms and scales always are.
public struct PruningMask: Hashable, Sendable {
  public let layout: AdapterLayout
  /// By place in the vector.
  public let keeps: [Bool]

  /// - Throws: `MixingError.count`
  public init(_ layout: AdapterLayout, _ keeps: [Bool]) throws(MixingError) {
    guard keeps.count == layout.count else { throw .count(keeps.count, expected: layout.count) }
    self.layout = layout
    self.keeps = keeps
  }

  /// How many weights are kept.
  public var keptCount: Int {
    layout.entries.reduce(0) { sum, entry in
      entry.isWeight ? sum + keeps[entry.range].count { $0 } : sum
    }
  }

  /// The fraction of the weights that is kept, `0 ... 1`.
  public var density: Double { layout.weightCount == 0 ? 1 : Double(keptCount) / Double(layout.weightCount) }

  /// The vector with zeros where the mask keeps nothing.
  ///
  /// - Throws: `MixingError.layout`
  public func applied(to vector: AdapterVector) throws(MixingError) -> AdapterVector {
    try layout.check(against: vector.layout)
    var vector = vector
    for (index, keep) in keeps.enumerated() where !keep { vector.values[index] = 0 }
    return vector
  }
}
