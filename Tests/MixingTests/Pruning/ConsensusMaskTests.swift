import Testing

@testable import Mixing

@Suite struct ConsensusMaskTests {
  @Test func `what two adapters disagree in goes, and the rest is the fraction without conflict`() throws {
    let vectors = [
      try AdapterVector.row([1, -2, 3, -4]), try .row([1, 2, -3, -4]), try .row([-1, 2, 3, 0]),
    ]
    let mask = try PruningMask.consensus(of: vectors)
    #expect(mask.keeps == [false, false, false, true])
    #expect(try 1 - mask.density == SignStatistics(vectors).set([0, 1, 2], .any))
    #expect(try mask.applied(to: SparseMean.all(vectors)).values == [0, 0, 0, -8 / 3])
  }

  @Test func `three task vectors that disagree everywhere leave nothing`() throws {
    let vectors = [
      try AdapterVector.row([3, -1, 2, 0.5, 0]), try .row([-2, -4, 2.5, -0.2, 1]), try .row([1, 5, -0.1, 0.4, -3]),
    ]
    let signs = try SignStatistics(vectors)
    #expect(abs(signs.set([0, 1, 2]) - 0.6) < 1e-12)
    #expect(signs.set([0, 1, 2], .any) == 1)
    let mask = try PruningMask.consensus(of: vectors)
    #expect(mask.keptCount == 0)
    #expect(try mask.applied(to: SparseMean.all(vectors)).values == [0, 0, 0, 0, 0])
  }

  @Test func `five unrelated adapters leave a sixteenth`() throws {
    let vectors = try (UInt64(0)..<5).map { try AdapterVector.random(100_000, seed: $0) }
    #expect(try abs(PruningMask.consensus(of: vectors).density - 0.0625) < 0.003)
  }

  @Test func `NaN and different layouts are refused`() throws {
    #expect(throws: MixingError.noAdapters) { try PruningMask.consensus(of: []) }
    #expect(throws: MixingError.notFinite("weight", adapter: "number 2")) {
      try PruningMask.consensus(of: [.row([1, 2]), .row([.nan, 1])])
    }
    #expect(throws: MixingError.self) { try PruningMask.consensus(of: [.row([1, 2]), .row([1])]) }
  }
}
