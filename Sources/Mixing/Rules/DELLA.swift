/// DELLA: drop numbers at random, the small ones of each row more often, then elect signs, or sum.
///
/// Deep et al. 2024, "DELLA-Merging", arXiv:2406.11617: within a row of `n` numbers that of rank `r = 0 ... n − 1` by
/// magnitude is kept with probability `ρ − ε + 2ε · r/(n − 1)`, and divided by it. Of equal magnitudes the first ranks
/// highest; in a row of one number it is kept with probability `ρ`.
public struct DELLA: ElectingRule {
  public static let name = "della"
  public static let summary = "random drop by rank of magnitude and rescale, then elect signs or sum"
  public static let paper: String? = "arXiv:2406.11617"

  /// The mean probability with which a number is kept; `density ± epsilon` lies within `0 ... 1`.
  public var density: MemberValues = 0.5
  /// Half the difference between the probabilities of a row's largest and smallest number.
  public var epsilon: MemberValues = 0.15
  public var rescale = Rescaling.expectation
  /// Whether signs are elected, or all members summed.
  public var elect = true
  public var sign = SignElection.Vote.total
  public var agreement = SignElection.Agreement.weights
  public var lambda = 1.0
  /// Whether the result is divided by the sum of the weights, with `elect` of those that agree.
  public var normalize = true

  public init() {}

  public init(density: MemberValues, epsilon: MemberValues, elect: Bool = true) {
    self.density = density
    self.epsilon = epsilon
    self.elect = elect
  }

  public func validate(weights: [Double]) throws(MixtureError) {
    try checkDensity(weights: weights)
    try check(epsilon, named: "epsilon", in: 0...0.5, members: weights.count)
    for member in weights.indices where density[member] < 1 {
      let (density, epsilon) = (density[member], epsilon[member])
      try check(
        density - epsilon > 0 && density + epsilon < 1, "epsilon", epsilon,
        "so small that density ± epsilon is in 0 to 1"
      )
    }
  }

  public func mix(_ entry: MixingEntry) throws {
    for (place, index) in entry.members.enumerated() where density[index] < 1 {
      let probabilities = Self.probabilities(
        of: entry.member(place), rows: entry.rows, density: density[index], epsilon: epsilon[index])
      try entry.drop(place, rescaling: rescale) { probabilities[$0] }
    }
    try combine(entry)
  }

  /// The probability with which each number is kept.
  static func probabilities(
    of numbers: UnsafeMutableBufferPointer<Float>, rows: Int, density: Double, epsilon: Double
  ) -> [Double] {
    var probabilities = [Double](repeating: density, count: numbers.count)
    let width = numbers.count / max(1, rows)
    guard width > 1 else { return probabilities }
    var order: [Int] = []
    for row in 0..<rows {
      let start = row * width
      order = Array(start..<start + width)
      order.sort { first, second in
        let (one, other) = (numbers[first].magnitude, numbers[second].magnitude)
        return one == other ? first > second : one < other
      }
      for (rank, index) in order.enumerated() {
        probabilities[index] = density - epsilon + 2 * epsilon * Double(rank) / Double(width - 1)
      }
    }
    return probabilities
  }
}
