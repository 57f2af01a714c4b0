import Testing

@testable import Mixing

@Suite struct EvolutionStrategyTests {
  func quadratic(_ x: [Double]) -> Double {
    x.enumerated().reduce(0) { $0 + Double($1.offset + 1) * ($1.element - 0.7) * ($1.element - 0.7) }
  }

  /// An ellipsoid of axes 1 to 1000 along `x + y` and `x − y`, least at (0.5, −0.25).
  func tilted(_ x: [Double]) -> Double {
    let (sum, difference) = (x[0] + x[1] - 0.25, x[0] - x[1] - 0.75)
    return sum * sum + 1000 * difference * difference
  }

  @Test func `the least value of a quadratic is found`() throws {
    let search = EvolutionStrategy(bounds: -1.5...1.5, evaluations: 600, seed: 1)
    let found = try search.minimize(from: [0, 0, 0, 0, 0], quadratic)
    #expect(found.value < 1e-4)
    #expect(found.point.allSatisfy { abs($0 - 0.7) < 0.01 })
    #expect(found.value == quadratic(found.point))
  }

  @Test func `a long narrow valley across the axes is followed`() throws {
    for seed in 0..<5 {
      let search = EvolutionStrategy(bounds: -1.5...1.5, evaluations: 500, seed: UInt64(seed))
      let found = try search.minimize(from: [-1, 1], tilted)
      #expect(found.value < 1e-3 && abs(found.point[0] - 0.5) < 0.05 && abs(found.point[1] + 0.25) < 0.05)
    }
  }

  @Test(arguments: [1, 2, 40, 333])
  func `exactly as many evaluations as allowed, the first at the start, none out of bounds`(_ evaluations: Int) throws {
    var points: [[Double]] = []
    let search = EvolutionStrategy(bounds: -0.5...1, evaluations: evaluations, seed: 3)
    let found = try search.minimize(from: [0.25, 0, 0]) {
      points.append($0)
      return quadratic($0.map { $0 * 4 })
    }
    #expect(points.count == evaluations && found.history.count == evaluations && points[0] == [0.25, 0, 0])
    #expect(points.allSatisfy { $0.allSatisfy { (-0.5...1).contains($0) } })
    #expect(found.value == found.history.min() && points.contains(found.point))
  }

  @Test func `40 evaluations already help with ten numbers, whatever the seed`() throws {
    for seed in 0..<10 {
      let search = EvolutionStrategy(bounds: -1.5...1.5, evaluations: 40, seed: UInt64(seed))
      let start = [Double](repeating: 0, count: 10)
      #expect(try search.minimize(from: start, quadratic).value < 0.6 * quadratic(start))
    }
  }

  @Test func `a seed gives the same search, another seed another`() throws {
    func search(_ seed: UInt64) throws -> EvolutionStrategy.Result {
      try EvolutionStrategy(bounds: -1...1, evaluations: 30, seed: seed).minimize(from: [0, 0], quadratic)
    }
    #expect(try search(4) == search(4))
    #expect(try search(4).history != search(5).history)
  }

  @Test func `the least value at a bound is reached, and in a corner it starts again`() throws {
    let search = EvolutionStrategy(bounds: -1...1, evaluations: 800, seed: 2)
    let found = try search.minimize(from: [0, 0]) { $0[0] + $0[1] }
    #expect(found.value < -1.99 && found.restarts >= 1)
  }

  @Test func `a restart leaves a poor minimum for a better one`() throws {
    // A broad bowl of value 1 around −0.8 and a narrower one of value 0 around 0.8.
    func bowls(_ x: [Double]) -> Double { min(1 + (x[0] + 0.8) * (x[0] + 0.8), 40 * (x[0] - 0.8) * (x[0] - 0.8)) }
    var search = EvolutionStrategy(bounds: -1...1, evaluations: 600, seed: 1)
    search.initialDeviation = 0.01
    let found = try search.minimize(from: [-0.8], bowls)
    #expect(found.restarts >= 1 && found.value < 1e-3)
  }

  @Test func `NaN is worse than anything, and nothing else is an error`() throws {
    let search = EvolutionStrategy(bounds: -1...1, evaluations: 60, seed: 2)
    let found = try search.minimize(from: [0]) { $0[0] < 0.1 ? .nan : $0[0] }
    #expect(found.value >= 0.1 && found.value < 0.3)
    #expect(throws: SearchError.nothingFinite(60)) { try search.minimize(from: [0]) { _ in .nan } }
  }

  @Test func `what cannot be searched is refused`() {
    func minimize(_ bounds: ClosedRange<Double>, _ evaluations: Int, _ start: [Double]) throws {
      _ = try EvolutionStrategy(bounds: bounds, evaluations: evaluations).minimize(from: start, quadratic)
    }
    #expect(throws: SearchError.noWeights) { try minimize(-1...1, 3, []) }
    #expect(throws: SearchError.evaluations(0)) { try minimize(-1...1, 0, [0]) }
    #expect(throws: SearchError.outOfRange("The bounds' width", 0, "above 0")) { try minimize(1...1, 3, [1]) }
    #expect(throws: SearchError.outOfRange("The start", 2, "-1.0 to 1.0")) { try minimize(-1...1, 3, [2]) }
  }
}
