import Testing

@testable import Mixing

@Suite struct DARETests {
  private let vector: [Float] = [1, -2, 3, -4]

  private func mixed(_ rule: DARE, draws: [Float]) throws -> [Float] {
    let rules = [(rule: rule as any MixingRule, weights: [1.0])]
    return try VectorMixer([.row(vector)], names: ["a"], rules: rules, initial: nil)
      .mixed(seed: 0) { _, _ in draws }.values
  }

  @Test func `what is kept is divided by the probability`() throws {
    #expect(try mixed(DARE(density: 0.5), draws: [0.1, 0.9, 0.4, 0.5]) == [2, 0, 6, 0])
  }

  @Test func `or scaled to the sum of magnitudes that there was, as in MergeKit`() throws {
    var rule = DARE(density: 0.5)
    rule.rescale = .norm
    #expect(try mixed(rule, draws: [0.1, 0.9, 0.4, 0.5]) == [2.5, 0, 7.5, 0])
    rule.rescale = .none
    #expect(try mixed(rule, draws: [0.1, 0.9, 0.4, 0.5]) == [1, 0, 3, 0])
  }

  @Test func `the mean over many seeds is the vector`() throws {
    var mean = RunningMean(try AdapterVector.row(vector).layout)
    for seed in 0..<4000 { try mean.add(DARE(density: 0.5).mix([.row(vector)], seed: UInt64(seed))) }
    // The standard error of the largest is 4 / √4000 = 0.063.
    for (found, expected) in zip(try mean.mean.values, vector) { #expect(abs(found - expected) < 0.25) }
  }

  @Test func `a density of one draws nothing`() throws {
    struct Drawn: Error {}
    let rules = [(rule: DARE(density: 1.0) as any MixingRule, weights: [1.0])]
    let mixed = try VectorMixer([.row(vector)], names: ["a"], rules: rules, initial: nil)
      .mixed(seed: 0) { _, _ in throw Drawn() }
    #expect(mixed.values == vector)
  }
}
