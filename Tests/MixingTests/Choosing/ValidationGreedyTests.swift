import Testing

@testable import Mixing

@Suite struct ValidationGreedyTests {
  let metrics: [Set<Int>: Double] = [
    [0]: 5, [1]: 4, [2]: 1, [0, 1]: 5.5, [0, 2]: 7, [0, 1, 2]: 6,
  ]

  @Test func `the best addition joins, until none is better`() throws {
    let selection = try ValidationGreedy.choose(["a", "b", "c"], maximum: 3) { metrics[Set($0)] ?? 0 }
    #expect(selection.names == ["a", "c"])
    #expect(selection.candidates.map(\.score) == [5, 7, 6])
    #expect(selection.candidates[2].reason == .noBetter(6, than: 7))
  }

  @Test func `an addition that is as good as none does not join`() throws {
    let selection = try ValidationGreedy.choose(["a", "b"], maximum: 2) { _ in 0.7 }
    #expect(selection.names == ["a"] && selection.candidates[1].reason == .noBetter(0.7, than: 0.7))
  }

  @Test func `the maximum ends it`() throws {
    let selection = try ValidationGreedy.choose(["a", "b", "c"], maximum: 1) { metrics[Set($0)] ?? 0 }
    #expect(selection.names == ["a"])
    #expect(selection.candidates.map(\.name) == ["a", "b", "c"])
    #expect(selection.candidates[2].reason == .beyond(1))
  }

  @Test func `of equal additions the first joins`() throws {
    let selection = try ValidationGreedy.choose(["a", "b", "c"], maximum: 2) { Double($0.count) }
    #expect(selection.names == ["a", "b"])
  }
}
