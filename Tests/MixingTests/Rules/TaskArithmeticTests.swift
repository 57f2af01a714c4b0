import Testing

@testable import Mixing

@Suite struct TaskArithmeticTests {
  @Test func `differences from the start are summed with their weights and added back`() throws {
    let vectors = [try AdapterVector.row([3, 5]), try AdapterVector.row([2, 9])]
    let mixed = try TaskArithmetic(lambda: 0.5).mix(vectors, weights: [2, -1], initial: .row([1, 1]))
    // 1 + (2·2 − 1)/2 and 1 + (2·4 − 8)/2.
    #expect(mixed.values == [2.5, 1])
  }
}
