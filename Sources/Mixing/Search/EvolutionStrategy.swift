import Foundation
import Tensors

/// A search for the least value of a function of a few numbers, without its gradient, in as many evaluations as are
/// allowed.
///
/// The elitist (1+1)-CMA-ES of Igel, Hansen and Roth 2007, "Covariance Matrix Adaptation for Multi-objective
/// Optimization", Evolutionary Computation 15(1), with the constants given there: one normal step from the
/// best point at a time, its length adapted by the rate of successes, its covariance by the successful steps. It uses
/// every evaluation at once, where the usual CMA-ES needs a whole population (10 points for 10 numbers) before it
/// learns anything: 40 evaluations are 4 of its generations. Steps are mirrored at the bounds, and adaptation sees the
/// step that was really made. Where steps have become too short to matter, the search starts again at a random point
/// and remembers the best of all.
public struct EvolutionStrategy: Sendable {
  /// Every number stays within.
  public var bounds: ClosedRange<Double>
  /// The standard deviation of the first steps; nil for a 15th of the bounds' width. On quadratics of 5 to 20 numbers,
  /// what 40 evaluations from the middle leave of the value is then 0.4 to 0.7 of what they leave with the usual 0.3 of
  /// the width.
  public var initialDeviation: Double?
  public var evaluations: Int
  public var seed: UInt64

  public init(bounds: ClosedRange<Double>, evaluations: Int, seed: UInt64 = 0) {
    self.bounds = bounds
    self.evaluations = evaluations
    self.seed = seed
  }

  public struct Result: Hashable, Sendable {
    public let point: [Double]
    public let value: Double
    /// The value of each evaluation, in order; the first is that of the start.
    public let history: [Double]
    public let restarts: Int
  }

  /// - Parameters:
  ///   - start: the first point that is evaluated. The result is never worse.
  ///   - function: NaN and infinity count as worse than anything.
  /// - Throws: `SearchError`, and what `function` throws.
  public func minimize(from start: [Double], _ function: ([Double]) throws -> Double) throws -> Result {
    let width = bounds.upperBound - bounds.lowerBound
    guard !start.isEmpty else { throw SearchError.noWeights }
    guard evaluations >= 1 else { throw SearchError.evaluations(evaluations) }
    guard width > 0, width.isFinite else { throw SearchError.outOfRange("The bounds' width", width, "above 0") }
    let deviation = initialDeviation ?? width / 15
    guard deviation > 0, deviation <= width else {
      throw SearchError.outOfRange("The first deviation", deviation, "above 0, and at most the bounds' width, \(width)")
    }
    for number in start where !bounds.contains(number) {
      throw SearchError.outOfRange("The start", number, "\(bounds.lowerBound) to \(bounds.upperBound)")
    }

    let generator = try Generator(seed: seed)
    var history: [Double] = []
    func value(_ point: [Double]) throws -> Double {
      let value = try function(point)
      history.append(value)
      return value.isFinite ? value : .infinity
    }
    var parent = (point: start, value: try value(start))
    var best = parent
    var restarts = 0
    var steps = StepDistribution(dimensions: start.count, deviation: deviation)
    while history.count < evaluations {
      if steps.deviation * steps.longestAxis < 1e-6 * width {
        restarts += 1
        let point = try Tensor.uniform(
          [start.count], bounds.lowerBound, bounds.upperBound, dtype: .float64, from: generator
        ).doubles().map(within)
        parent = (point, try value(point))
        steps = StepDistribution(dimensions: start.count, deviation: deviation)
      } else {
        let drawn = try Tensor.normal([start.count], dtype: .float64, from: generator).doubles()
        let point = zip(parent.point, steps.step(drawn)).map { within($0 + $1) }
        let found = try value(point)
        let isSuccess = found <= parent.value
        steps.adapt(to: zip(point, parent.point).map { ($0 - $1) / steps.deviation }, isSuccess: isSuccess)
        // A long row of successes must not make steps so long that mirroring is all that is left of them.
        steps.deviation = min(steps.deviation, width)
        if isSuccess { parent = (point, found) }
      }
      if parent.value < best.value { best = parent }
    }
    guard best.value.isFinite else { throw SearchError.nothingFinite(history.count) }
    return Result(point: best.point, value: best.value, history: history, restarts: restarts)
  }

  /// Mirrored at the bounds as often as it takes.
  private func within(_ number: Double) -> Double {
    let width = bounds.upperBound - bounds.lowerBound
    let offset = (number - bounds.lowerBound).truncatingRemainder(dividingBy: 2 * width)
    let positive = offset < 0 ? offset + 2 * width : offset
    let mirrored = bounds.lowerBound + (positive > width ? 2 * width - positive : positive)
    return min(max(mirrored, bounds.lowerBound), bounds.upperBound)
  }
}

/// `σ · N(0, C)` and how it learns. The names in comments are the paper's.
private struct StepDistribution {
  let dimensions: Int
  /// `σ`
  var deviation: Double
  /// `p̄_succ`
  private var successRate: Double
  /// `p_c`
  private var path: [Double]
  /// `C`, row-major.
  private var covariance: [Double]
  /// `A`, `A·Aᵀ = C`, lower.
  private var factor: [Double]

  private static let targetRate = 2.0 / 11  // p_succ^target
  private static let rateOfRate = 1.0 / 12  // c_p
  private static let stallRate = 0.44  // p_thresh

  init(dimensions: Int, deviation: Double) {
    self.dimensions = dimensions
    self.deviation = deviation
    successRate = Self.targetRate
    path = [Double](repeating: 0, count: dimensions)
    covariance = (0..<dimensions * dimensions).map { $0 % (dimensions + 1) == 0 ? 1 : 0 }
    factor = covariance
  }

  var longestAxis: Double {
    (0..<dimensions).reduce(0) { max($0, covariance[$1 * (dimensions + 1)]) }.squareRoot()
  }

  func step(_ drawn: [Double]) -> [Double] {
    (0..<dimensions).map { row in
      deviation * (0...row).reduce(0) { $0 + factor[row * dimensions + $1] * drawn[$1] }
    }
  }

  /// - Parameter step: in units of the deviation.
  mutating func adapt(to step: [Double], isSuccess: Bool) {
    let count = Double(dimensions)
    successRate = (1 - Self.rateOfRate) * successRate + (isSuccess ? Self.rateOfRate : 0)
    let damping = 1 + count / 2
    deviation *= exp((successRate - Self.targetRate) / (damping * (1 - Self.targetRate)))
    guard isSuccess else { return }
    let (pathRate, covarianceRate) = (2 / (count + 2), 2 / (count * count + 6))  // c_c, c_cov
    let variance = pathRate * (2 - pathRate)
    let isStalled = successRate >= Self.stallRate
    for index in path.indices {
      path[index] = (1 - pathRate) * path[index] + (isStalled ? 0 : variance.squareRoot() * step[index])
    }
    for row in 0..<dimensions {
      for column in 0..<dimensions {
        let old = covariance[row * dimensions + column]
        covariance[row * dimensions + column] =
          (1 - covarianceRate) * old + covarianceRate * (path[row] * path[column] + (isStalled ? variance * old : 0))
      }
    }
    refactor()
  }

  private mutating func refactor() {
    for row in 0..<dimensions {
      for column in 0...row {
        var value = covariance[row * dimensions + column]
        for inner in 0..<column { value -= factor[row * dimensions + inner] * factor[column * dimensions + inner] }
        factor[row * dimensions + column] =
          row == column ? max(value, 1e-300).squareRoot() : value / factor[column * (dimensions + 1)]
      }
    }
  }
}
