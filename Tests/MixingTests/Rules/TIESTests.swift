import Testing

@testable import Mixing

@Suite struct TIESTests {
  static let vectors: [[Float]] = [[3, -1, 2, 0.5, 0], [-2, -4, 2.5, -0.2, 1], [1, 5, -0.1, 0.4, -3]]

  private func mixed(_ rule: TIES, weights: [Double]? = nil) throws -> [Float] {
    try rule.mix(Self.vectors.map { try .row($0) }, weights: weights).values
  }

  private func expect(_ found: [Float], _ expected: [Float]) {
    for (one, other) in zip(found, expected) { #expect(abs(one - other) < 1e-6, "\(found)") }
  }

  @Test func `without trimming, by total and by count`() throws {
    expect(try mixed(TIES(density: 1.0)), [2, 5, 2.25, 0.45, -3])
    expect(try mixed(TIES(density: 1.0, sign: .count)), [2, -2.5, 2.25, 0.45, 1])
  }

  @Test func `trimmed to three of five, by total and by count`() throws {
    expect(try mixed(TIES(density: 0.6)), [2, 5, 2.25, 0, -3])
    expect(try mixed(TIES(density: 0.6, sign: .count)), [2, -2.5, 2.25, 0, -3])
  }

  @Test func `weights in PEFT's way and in MergeKit's`() throws {
    expect(try mixed(TIES(density: 0.6, agreement: .count), weights: [2, 1, 1]), [3.5, 5, 3.25, 0, -3])
    expect(try mixed(TIES(density: 0.6), weights: [2, 1, 1]), [7.0 / 3, -2, 13.0 / 6, 0, -3])
  }

  @Test func `over all tensors together, the largest are looked for among all of them`() throws {
    let layout = AdapterLayout([("first", [1, 3], 0, true), ("second", [1, 3], 1, true)])
    let vectors = try [[9, 8, 1, 0.5, -2, 0.1], [1, 0.2, -7, 3, -6, 3]].map {
      try AdapterVector(layout, $0.map { Float($0) })
    }
    // Of six numbers three: 9, 8, −2 of the first member; −7, −6 and the first 3 of the second.
    let mixed = try TIES(density: 0.5, scope: .global).mix(vectors)
    #expect(mixed.values == [9, 8, -7, 3, -4, 0])
    let byTensor = try TIES(density: [1.0 / 3]).mix(vectors)
    #expect(byTensor.values == [9, 0, -7, 0, -4, 0])
  }

  @Test func `a threshold that falls among equal numbers of several tensors keeps the first`() throws {
    let layout = AdapterLayout([("first", [1, 2], 0, true), ("second", [1, 2], 1, true)])
    let vector = try AdapterVector(layout, [1, 5, 1, 1])
    #expect(try TIES(density: 0.75, scope: .global).mix([vector]).values == [1, 5, 1, 0])
    #expect(try TIES(density: 0.5, scope: .global).mix([vector]).values == [1, 5, 0, 0])
  }

  @Test func `biases are scaled, and summed or averaged, as the matrices are`() throws {
    let layout = AdapterLayout([("weight", [1, 1], 0, true), ("bias", [1], 0, false)])
    let vectors = try [[2, 2], [4, 4]].map { try AdapterVector(layout, $0.map { Float($0) }) }
    var rule = TIES(density: 1.0)
    rule.lambda = 0.5
    #expect(try rule.mix(vectors).values == [1.5, 1.5])
    rule.normalize = false
    #expect(try rule.mix(vectors).values == [3, 3])
  }

  @Test func `a rule for one tensor beside one over all is refused`() throws {
    let layout = AdapterLayout([("first", [1, 2], 0, true), ("second", [1, 2], 1, true)])
    let vector = try AdapterVector(layout, [1, 5, 1, 1])
    // In a set of the two densities either may come first, and which does changes with the density.
    for density in 1...20 {
      let rules: [(rule: any MixingRule, weights: [Double])] = [
        (TIES(density: [Double(density) / 20], scope: .global), [1]), (TIES(density: 0.5), [1]),
      ]
      #expect(throws: MixtureError.globalSchedule) {
        try VectorMixer([vector], names: ["a"], rules: rules, initial: nil).mixed(seed: 0)
      }
    }
  }
}
