import Testing

@testable import Mixing

@Suite struct WeightedTests {
  @Test func `a weight of zero leaves a member out, whatever it holds`() throws {
    let first = try AdapterVector.random(100, seed: 3)
    let second = try AdapterVector.row([Float](repeating: .nan, count: 100))
    #expect(try Weighted().mix([first, second], weights: [1, 0]).values == first.values)
  }

  @Test func `weights are divided by their sum`() throws {
    let vectors = [try AdapterVector.row([4]), try AdapterVector.row([8])]
    #expect(try Weighted().mix(vectors, weights: [0.25, 0.75]).values == [7])
    #expect(try Weighted().mix(vectors, weights: [2, 2]).values == Uniform().mix(vectors).values)
    #expect(try Weighted(normalize: false).mix(vectors, weights: [2, 2]).values == [24])
  }

  @Test func `a mean does not depend on where the members started`() throws {
    let vectors = [try AdapterVector.row([4]), try AdapterVector.row([8])]
    #expect(try Weighted().mix(vectors, weights: [1, 3], initial: .row([1e6])).values == [7])
  }
}
