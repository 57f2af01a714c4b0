import Testing

@testable import Mixing

@Suite struct DELLATests {
  private func probabilities(_ numbers: [Float], rows: Int) -> [Double] {
    var numbers = numbers
    return numbers.withUnsafeMutableBufferPointer {
      DELLA.probabilities(of: $0, rows: rows, density: 0.5, epsilon: 0.25)
    }
  }

  @Test func `probabilities rise with the rank within a row`() {
    #expect(probabilities([0.1, -3, 2, 1, -9], rows: 1) == [0.25, 0.625, 0.5, 0.375, 0.75])
    #expect(probabilities([1, 2, 9, -8], rows: 2) == [0.25, 0.75, 0.75, 0.25])
  }

  @Test func `of equal magnitudes the first is kept more often`() {
    #expect(probabilities([1, -1], rows: 1) == [0.75, 0.25])
  }

  @Test func `a row of one number is kept with the density`() {
    #expect(probabilities([1, 2], rows: 2) == [0.5, 0.5])
  }

  @Test func `an epsilon that reaches beyond 0 or 1 is refused`() throws {
    #expect(throws: MixtureError.self) { try DELLA(density: 0.2, epsilon: 0.3).validate(weights: [1]) }
    #expect(throws: Never.self) { try DELLA(density: 0.2, epsilon: 0.1).validate(weights: [1]) }
  }
}
