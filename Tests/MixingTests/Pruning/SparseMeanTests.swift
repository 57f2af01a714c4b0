import Testing

@testable import Mixing

@Suite struct SparseMeanTests {
  private let rows: [[Float]] = [[3, -1, 4, 0], [0, -5, -2, 0], [0, 3, 1, 0]]

  private func mean(_ divisor: SparseMean) throws -> [Float] { try divisor(rows.map { try .row($0) }).values }

  @Test func `divided by all, by those alive, by those of the elected sign`() throws {
    #expect(try mean(.all) == [1, -1, 1, 0])
    #expect(try mean(.nonzero) == [3, -1, 1, 0])
    #expect(try mean(.agreeing) == [3, -3, 2.5, 0])
  }

  @Test func `a sum of zero elects plus`() throws {
    #expect(try SparseMean.agreeing([.row([1, 1]), .row([-1, 3])]).values == [1, 2])
  }

  @Test(arguments: SparseMean.allCases) func `the mean of equals is each of them, bit for bit`(divisor: SparseMean)
    throws
  {
    let vector = try AdapterVector.random(999, seed: 1)
    #expect(try divisor([vector, vector, vector]).values == vector.values)
    #expect(try divisor([vector]).values == vector.values)
  }

  @Test func `biases are averaged plainly`() throws {
    let layout = AdapterLayout([("bias", [2], 0, false)])
    let vectors = [try AdapterVector(layout, [4, 0]), try AdapterVector(layout, [0, 0])]
    #expect(try SparseMean.nonzero(vectors).values == [2, 0])
  }
}
