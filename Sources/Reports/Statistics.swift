import Foundation

/// What a table says about repeated trials. Every function gives `nil` where its value is undefined.
public enum Statistics {
  /// Which denominator a variance has.
  public enum Spread: String, Codable, Sendable {
    /// Divide by `n`: NumPy's default, and what DomainBed's tables use.
    case population
    /// Divide by `n − 1`: unbiased, as error bars of a few trials should be. Undefined for one value.
    case sample
  }

  public static func mean(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    return values.reduce(0, +) / Double(values.count)
  }

  public static func standardDeviation(_ values: [Double], _ spread: Spread) -> Double? {
    guard let mean = mean(values) else { return nil }
    let count = spread == .sample ? values.count - 1 : values.count
    guard count > 0 else { return nil }
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (squares / Double(count)).squareRoot()
  }

  /// `standard deviation / √n`. DomainBed's tables take the population's deviation, which is 0 for a single trial.
  public static func standardError(_ values: [Double], _ spread: Spread = .population) -> Double? {
    standardDeviation(values, spread).map { $0 / Double(values.count).squareRoot() }
  }

  /// The middle value; of an even number of values, the mean of the two in the middle.
  public static func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
  }

  /// Student's 95 % interval of the mean: `mean ± t · s/√n`, with the sample deviation `s` and `n − 1` degrees of
  /// freedom. Undefined for fewer than two values.
  public static func confidenceInterval(_ values: [Double]) -> ClosedRange<Double>? {
    guard let mean = mean(values), let error = standardError(values, .sample), mean.isFinite, error.isFinite else {
      return nil
    }
    let half = studentQuantile(degreesOfFreedom: values.count - 1) * error
    return mean - half...mean + half
  }

  /// The difference between two methods measured on the same trials, `first[i] − second[i]`.
  ///
  /// Pairing removes what the trials share (splits, seeds), so a small steady gain shows that separate error bars hide.
  ///
  /// - Returns: `nil` unless both have the same number of values, at least one.
  public static func pairedDifference(_ first: [Double], _ second: [Double]) -> PairedDifference? {
    guard first.count == second.count else { return nil }
    let differences = zip(first, second).map { $0 - $1 }
    guard let mean = mean(differences) else { return nil }
    return PairedDifference(
      mean: mean, standardError: standardError(differences, .sample), interval: confidenceInterval(differences),
      count: differences.count)
  }

  public struct PairedDifference: Equatable, Sendable {
    public var mean: Double
    /// Of the sample; `nil` for a single pair.
    public var standardError: Double?
    /// 95 %; `nil` for a single pair.
    public var interval: ClosedRange<Double>?
    public var count: Int
  }

  /// The 0.975 quantile of Student's t.
  static func studentQuantile(degreesOfFreedom: Int) -> Double {
    let tabulated = [
      12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
      2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    ]
    guard degreesOfFreedom > 0 else { return .infinity }
    if degreesOfFreedom <= tabulated.count { return tabulated[degreesOfFreedom - 1] }
    // The normal quantile and its corrections in 1/ν: Abramowitz and Stegun 26.7.5, exact to four decimals here.
    let z = 1.959963984540054
    let v = Double(degreesOfFreedom)
    let first = (pow(z, 3) + z) / 4
    let second = (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / 96
    let third = (3 * pow(z, 7) + 19 * pow(z, 5) + 17 * pow(z, 3) - 15 * z) / 384
    return z + first / v + second / (v * v) + third / (v * v * v)
  }
}
