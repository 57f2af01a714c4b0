import Testing

@testable import Mixing

@Suite struct ConsensusTests {
  @Test func `nothing is left where members disagree everywhere`() throws {
    #expect(try Consensus().mix(TIESTests.vectors.map { try .row($0) }).values == [0, 0, 0, 0, 0])
  }

  @Test func `a zero disagrees with nothing`() throws {
    let vectors = [try AdapterVector.row([1, -2, 3]), try AdapterVector.row([3, 0, -1])]
    #expect(try Consensus().mix(vectors).values == [2, -1, 0])
  }
}
