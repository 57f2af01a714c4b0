import Testing

@testable import Reports

@Suite struct StatisticsTests {
  let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]  // mean 5, squared deviations sum to 32

  @Test func `mean, deviations and standard errors`() throws {
    #expect(Statistics.mean(values) == 5)
    #expect(Statistics.standardDeviation(values, .population) == 2)
    #expect(Statistics.standardDeviation(values, .sample) == (32.0 / 7).squareRoot())
    // 2/√8, what DomainBed's table prints; and √(32/7)/√8.
    #expect(try #require(Statistics.standardError(values)).isClose(to: 0.7071067811865475))
    #expect(try #require(Statistics.standardError(values, .sample)).isClose(to: 0.7559289460184544))
  }

  @Test func `the median of odd and even counts`() {
    #expect(Statistics.median([3, 1, 2]) == 2)
    #expect(Statistics.median([4, 1, 3, 2]) == 2.5)
  }

  @Test func `the 95 % interval of three trials is wide`() throws {
    // s = 1, so half the interval is 4.3027/√3.
    let interval = try #require(Statistics.confidenceInterval([1, 2, 3]))
    #expect(interval.lowerBound.isClose(to: 2 - 2.48416, within: 1e-4))
    #expect(interval.upperBound.isClose(to: 2 + 2.48416, within: 1e-4))
  }

  @Test(arguments: [
    (1, 12.706), (2, 4.303), (9, 2.262), (20, 2.086), (21, 2.080), (30, 2.042), (60, 2.000), (100, 1.984),
  ])
  func `Student's quantiles are those of the printed tables`(degrees: Int, quantile: Double) {
    #expect(Statistics.studentQuantile(degreesOfFreedom: degrees).isClose(to: quantile, within: 6e-4))
  }

  @Test func `a steady gain shows in the paired difference only`() throws {
    let (first, second) = ([0.9, 0.6, 0.3], [0.89, 0.58, 0.28])
    let difference = try #require(Statistics.pairedDifference(first, second))
    #expect(difference.mean.isClose(to: 0.05 / 3))
    // Differences 0.01, 0.02, 0.02: s² = 1/3 · 1e-4, standard error s/√3 = 1/300.
    #expect(try #require(difference.standardError).isClose(to: 1.0 / 300))
    #expect(try #require(difference.interval).lowerBound > 0)
    #expect(difference.count == 3)
    #expect(Statistics.pairedDifference([1], [1, 2]) == nil)
  }

  @Test func `what is undefined is nil`() {
    #expect(Statistics.mean([]) == nil)
    #expect(Statistics.median([]) == nil)
    #expect(Statistics.standardError([]) == nil)
    #expect(Statistics.standardError([3]) == 0)
    #expect(Statistics.standardError([3], .sample) == nil)
    #expect(Statistics.confidenceInterval([3]) == nil)
    #expect(Statistics.confidenceInterval([3, .nan]) == nil)
    #expect(Statistics.pairedDifference([], []) == nil)
    #expect(Statistics.pairedDifference([2], [1])?.interval == nil)
  }
}

extension Double {
  func isClose(to other: Double, within tolerance: Double = 1e-12) -> Bool { (self - other).magnitude <= tolerance }
}
