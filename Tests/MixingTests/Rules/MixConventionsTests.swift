import Testing

@testable import Mixing

@Suite struct MixConventionsTests {
  @Test(arguments: [(MixConventions.ours, 6, 1), (.mergeKit, 5, 1), (.peft, 5, 0)])
  func `ours rounds, the others round down, and PEFT may keep nothing`(
    _ conventions: MixConventions, _ ofEleven: Int, _ ofTen: Int
  ) {
    #expect(conventions.kept(0.5, of: 11) == ofEleven)
    #expect(conventions.kept(0.05, of: 10) == ofTen)
    #expect(conventions.kept(0.04, of: 10) == ofTen)
    #expect(conventions.kept(0, of: 10) == 0)
    #expect(conventions.kept(1, of: 10) == 10)
  }

  @Test func `a recipe of MergeKit keeps as MergeKit does, and says so`() throws {
    let vector = try AdapterVector.row([5, 4, 3, 2, 1])
    let rules: [(rule: any MixingRule, weights: [Double])] = [(MagnitudePrune(density: 0.5), [1])]
    let ours = try VectorMixer([vector], names: ["a"], rules: rules, initial: nil).mixed(seed: 0)
    let theirs = try VectorMixer([vector], names: ["a"], rules: rules, initial: nil, conventions: .mergeKit)
      .mixed(seed: 0)
    #expect(ours.values == [5, 4, 3, 0, 0])
    #expect(theirs.values == [5, 4, 0, 0, 0])
  }
}
