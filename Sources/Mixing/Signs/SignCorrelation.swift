import Foundation

/// Whether one number goes with another, as set-FSD with the accuracy of the mixture.
public struct SignCorrelation: Codable, Hashable, Sendable {
  /// Pairs of numbers.
  public let count: Int
  /// Pearson's r; nil where one side does not vary, or for fewer than two pairs.
  public let pearson: Double?
  /// Spearman's ρ: Pearson's r of the ranks, equals sharing the mean of their ranks. nil as above.
  public let spearman: Double?

  /// Pairs are taken up to the shorter side; those with a number that is not finite make both undefined.
  public init(_ first: [Double], _ second: [Double]) {
    let count = min(first.count, second.count)
    let (first, second) = (Array(first.prefix(count)), Array(second.prefix(count)))
    self.count = count
    pearson = Self.pearson(first, second)
    spearman = pearson == nil ? nil : Self.pearson(Self.ranks(first), Self.ranks(second))
  }

  static func pearson(_ first: [Double], _ second: [Double]) -> Double? {
    guard first.count > 1, let low = first.min(), let high = first.max(), let bottom = second.min(),
      let top = second.max(), low < high, bottom < top
    else { return nil }
    let count = Double(first.count)
    let (mean, otherMean) = (first.reduce(0, +) / count, second.reduce(0, +) / count)
    var (product, square, otherSquare) = (0.0, 0.0, 0.0)
    for (one, other) in zip(first, second) {
      product += (one - mean) * (other - otherMean)
      square += (one - mean) * (one - mean)
      otherSquare += (other - otherMean) * (other - otherMean)
    }
    let value = product / (square.squareRoot() * otherSquare.squareRoot())
    return value.isFinite ? min(1, max(-1, value)) : nil
  }

  /// The rank of each number, from 1; equals share the mean of theirs.
  static func ranks(_ numbers: [Double]) -> [Double] {
    let order = numbers.indices.sorted { (numbers[$0], $0) < (numbers[$1], $1) }
    var ranks = [Double](repeating: 0, count: numbers.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count, numbers[order[end]] == numbers[order[start]] { end += 1 }
      for place in start..<end { ranks[order[place]] = Double(start + end + 1) / 2 }
      start = end
    }
    return ranks
  }
}

/// The correlation of set-FSD with the accuracy of mixtures, over all sets and within sets of one size. Some reducers grow with
/// the size by themselves and accuracy falls with it, so the value over all sets says little without the others.
public struct SignAccuracyCorrelation: Codable, Hashable, Sendable {
  /// One mixture.
  public struct Observation: Codable, Hashable, Sendable {
    /// How many adapters were mixed.
    public var size: Int
    public var signs: Double
    public var accuracy: Double

    public init(size: Int, signs: Double, accuracy: Double) {
      (self.size, self.signs, self.accuracy) = (size, signs, accuracy)
    }
  }

  public struct Within: Codable, Hashable, Sendable {
    public let size: Int
    public let correlation: SignCorrelation
  }

  public let overall: SignCorrelation
  /// By size, ascending.
  public let within: [Within]

  public init(_ observations: [Observation]) {
    overall = SignCorrelation(observations.map(\.signs), observations.map(\.accuracy))
    within = Dictionary(grouping: observations, by: \.size).sorted { $0.key < $1.key }.map { size, group in
      Within(size: size, correlation: SignCorrelation(group.map(\.signs), group.map(\.accuracy)))
    }
  }
}
