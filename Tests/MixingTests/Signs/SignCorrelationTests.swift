import Testing

@testable import Mixing

@Suite struct SignCorrelationTests {
  @Test func `numbers on a line have a correlation of one, on a curve only their ranks have`() throws {
    let line = SignCorrelation([1, 2, 3, 4], [-1, -3, -5, -7])
    #expect(try abs(#require(line.pearson) + 1) < 1e-12)
    #expect(try abs(#require(line.spearman) + 1) < 1e-12)
    let curve = SignCorrelation([0, 1, 2, 3], [0, 1, 8, 27])
    // 9 products of deviations: Σxy − n·mean·mean = 98 − 54 = 44, squares 5 and 470.
    #expect(try abs(#require(curve.pearson) - 44 / (5.0 * 470).squareRoot()) < 1e-12)
    #expect(try abs(#require(curve.spearman) - 1) < 1e-12)
  }

  @Test func `equal numbers share the mean of their ranks`() {
    #expect(SignCorrelation.ranks([5, 1, 5, 3, 5]) == [4, 1, 4, 2, 4])
    // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / √(4.5 · 5).
    #expect(SignCorrelation([1, 2, 2, 3], [1, 2, 3, 4]).spearman.map { abs($0 - 0.9.squareRoot()) < 1e-12 } == true)
  }

  @Test func `what does not vary, a single pair and NaN have no correlation`() {
    let pairs: [([Double], [Double])] = [
      ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [2, 2, 2]), ([1], [2]), ([], []), ([1, .nan], [1, 2]),
    ]
    for (first, second) in pairs {
      let correlation = SignCorrelation(first, second)
      #expect(correlation.pearson == nil)
      #expect(correlation.spearman == nil)
    }
  }

  @Test func `sizes can make all of the correlation over all sets`() throws {
    typealias Observation = SignAccuracyCorrelation.Observation
    let correlation = SignAccuracyCorrelation([
      Observation(size: 3, signs: 0.7, accuracy: 0.71), Observation(size: 2, signs: 0.5, accuracy: 0.8),
      Observation(size: 3, signs: 0.8, accuracy: 0.72), Observation(size: 2, signs: 0.6, accuracy: 0.81),
    ])
    #expect(try #require(correlation.overall.pearson) < -0.7)
    #expect(correlation.within.map(\.size) == [2, 3])
    #expect(correlation.within.map(\.correlation.count) == [2, 2])
    for within in correlation.within { #expect(try abs(#require(within.correlation.spearman) - 1) < 1e-12) }
  }
}
