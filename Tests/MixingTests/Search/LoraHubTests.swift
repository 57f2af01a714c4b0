import Testing

@testable import Mixing

@Suite struct LoraHubTests {
  func vector(_ values: [Float]) throws -> AdapterVector {
    try AdapterVector(AdapterLayout([(name: "x", shape: [values.count], block: nil, isWeight: false)]), values)
  }

  @Test func `weights that undo one adapter and keep another are found`() throws {
    // The target is 1·a − 0.5·b.
    let vectors = try [vector([1, 0, 1]), vector([0, 1, 1]), vector([1, 1, 0])]
    var hub = LoraHub()
    (hub.evaluations, hub.penalty) = (600, 0)
    let target: [Float] = [1, -0.5, 0.5]
    let found = try hub.search(3) { weights in
      let mixed = try LoraHub.mixture(vectors, weights: weights).values
      return zip(mixed, target).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
    }
    #expect(zip(found.weights, [1, -0.5, 0]).allSatisfy { abs($0 - $1) < 0.02 })
    #expect(found.loss < 1e-3 && found.penalty == 0)
  }

  @Test func `forty evaluations from the frozen model, within the bound, the penalty beside the loss`() throws {
    var calls: [[Double]] = []
    let found = try LoraHub().search(4) {
      calls.append($0)
      return -$0[0]
    }
    #expect(calls.count == 40 && calls[0] == [0, 0, 0, 0])
    #expect(calls.allSatisfy { $0.allSatisfy { abs($0) <= 1.5 } })
    #expect(found.history[0] == 0)
    #expect(abs(found.penalty - 0.05 * found.weights.reduce(0) { $0 + abs($1) } / 4) < 1e-15)
    #expect(abs(found.loss + found.weights[0]) < 1e-12 && found.weights[0] > 0.8)
    #expect(abs(found.loss + found.penalty - (found.history.min() ?? 0)) < 1e-12)
  }

  @Test func `where nothing helps the weights stay zeros`() throws {
    let found = try LoraHub().search(3) { _ in 1 }
    #expect(found.weights == [0, 0, 0] && found.loss == 1 && found.penalty == 0)
  }

  @Test func `a mixture passes over what has no weight, and is refused where layouts differ`() throws {
    let mixed = try LoraHub.mixture([vector([1, 2]), vector([.nan, .infinity])], weights: [-0.5, 0])
    #expect(mixed.values == [-0.5, -1])
    #expect(throws: MixingError.self) { try LoraHub.mixture([vector([1, 2]), vector([1])], weights: [1, 1]) }
    #expect(throws: MixingError.count(1, expected: 2)) {
      try LoraHub.mixture([vector([1]), vector([2])], weights: [1])
    }
  }
}
