/// The mean of vectors that come one by one, and may be taken out again: `θ̄ₖ₊₁ = θ̄ₖ · k/(k + 1) + θ/(k + 1)`.
///
/// Kept as a sum in float64: after any number of steps the mean is that of its members, rounded once.
public struct RunningMean: Sendable {
  public let layout: AdapterLayout
  public private(set) var count = 0
  private var sums: [Double]

  public init(_ layout: AdapterLayout) {
    self.layout = layout
    sums = [Double](repeating: 0, count: layout.count)
  }

  /// - Throws: `MixingError.layout`
  public mutating func add(_ vector: AdapterVector) throws { try accumulate(vector, 1) }

  /// Takes out a vector that was added.
  ///
  /// - Throws: `MixingError.layout`; `MixtureError.empty` where nothing is left to take out.
  public mutating func remove(_ vector: AdapterVector) throws {
    guard count > 0 else { throw MixtureError.empty }
    try accumulate(vector, -1)
  }

  private mutating func accumulate(_ vector: AdapterVector, _ sign: Double) throws {
    try layout.check(against: vector.layout)
    sums.withUnsafeMutableBufferPointer { sums in
      vector.values.withUnsafeBufferPointer { values in
        for index in 0..<values.count { sums[index] += sign * Double(values[index]) }
      }
    }
    count += sign > 0 ? 1 : -1
  }

  /// - Throws: `MixtureError.empty` before anything was added.
  public var mean: AdapterVector {
    get throws {
      guard count > 0 else { throw MixtureError.empty }
      let share = 1 / Double(count)
      return try AdapterVector(layout, sums.map { Float($0 * share) })
    }
  }
}
