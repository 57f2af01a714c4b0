import Testing

@testable import Mixing

@Suite struct SelectionTests {
  @Test func `equal scores keep the order of the list, and weights of those chosen are equal`() throws {
    let chosen = try Selection.highest(2, ["a", "b", "c"], [0.5, 0.7, 0.5], minimum: 0.1) { $0 > 0.1 }
    #expect(chosen.names == ["b", "a"] && chosen.indices == [1, 0])
    #expect(chosen.weights == [0.5, 0.5])
    #expect(chosen.candidates.map(\.name) == ["b", "a", "c"])
    #expect(chosen.candidates[2].reason == .beyond(2))
    #expect(!chosen.isFallback)
  }

  @Test func `where none qualifies the best stands in, and says so`() throws {
    let chosen = try Selection.highest(5, ["a", "b"], [-0.3, -0.2], minimum: 0) { $0 > 0 }
    #expect(chosen.names == ["b"] && chosen.isFallback && chosen.weights == [1])
    #expect(chosen.candidates[1].reason == .below(0))
  }

  @Test func `what cannot be ranked is refused`() {
    func choose(_ names: [String], _ scores: [Double], _ maximum: Int = 5) throws {
      _ = try Selection.highest(maximum, names, scores, minimum: 0) { $0 > 0 }
    }
    #expect(throws: ChoosingError.noCandidates) { try choose([], []) }
    #expect(throws: ChoosingError.twice("a")) { try choose(["a", "a"], [1, 1]) }
    #expect(throws: ChoosingError.count("scores", 1, expected: 2)) { try choose(["a", "b"], [1]) }
    #expect(throws: ChoosingError.notFinite("The score of 'b'")) { try choose(["a", "b"], [1, .nan]) }
    #expect(throws: ChoosingError.outOfRange("maximum", 0, "1 or more")) { try choose(["a"], [1], 0) }
  }

  @Test func `reasons read as reasons`() {
    let reasons: [Selection.Reason] = [
      .below(0.15), .beyond(5), .noBetter(0.5, than: 0.75), .conflict(0.5, limit: 0.25), .drop(0.5, limit: 0.25),
      .afterEnd,
    ]
    #expect(
      reasons.map(\.description) == [
        "below 0.15", "beyond the first 5", "with it 0.5, without it 0.75", "with it the FSD is 0.5, above 0.25",
        "with it validation loses 0.5, more than 0.25", "after the end of the choice",
      ])
  }
}
