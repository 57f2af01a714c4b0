import Adapters
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

@Suite struct AdapterCosinesTests {
  @Test func `cosines of weights, and of what training changed of them`() throws {
    let vectors = [try AdapterVector.row([3, 4]), try .row([4, -3]), try .row([-6, -8]), try .row([0, 0])]
    let cosines = try AdapterCosines.between(vectors)
    #expect(cosines == [[1, 0, -1, nil], [0, 1, 0, nil], [-1, 0, 1, nil], [nil, nil, nil, nil]])
    let initial = [AdapterVector](repeating: try .row([3, 0]), count: 2)
    let changed = try AdapterCosines.between(Array(vectors.prefix(2)), initial: initial)
    // (0, 4) and (1, −3).
    #expect(try abs(#require(changed[0][1]) + 3 / 10.0.squareRoot()) < 1e-12)
  }

  @Test func `vectors of one dimension have no say`() throws {
    let layout = AdapterLayout([("weight", [2, 2], 0, true), ("bias", [2], 0, false)])
    let vectors = [
      try AdapterVector(layout, [1, 0, 0, 0, 9, 9]), try AdapterVector(layout, [1, 0, 0, 0, -9, -9]),
    ]
    #expect(try AdapterCosines.between(vectors)[0][1] == 1)
  }

  @Test func `cosines of changes are those of the dense matrices`() throws {
    let backbone = try MixingBackbone()
    let one = try backbone.adapted(by: LoRA.small, at: .fc1, seed: 1)
    let two = try backbone.adapted(by: LoRA(rank: 3), at: [.fc1, .fc2], seed: 2)
    for (index, model) in [one, two].enumerated() { try model.adapter.perturb(seed: UInt64(index)) }
    let cosine = try AdapterCosines.between(changesOf: [one, two], names: ["one", "two"])[1][0]
    let rows = try [one, two].map { model in
      try backbone.sites.flatMap { site in
        try model.adapter.delta(of: backbone.linear(at: site))?.weight?.materialized().doubles()
          ?? [Double](repeating: 0, count: site.inFeatures * site.outFeatures)
      }
    }
    func product(_ first: [Double], _ second: [Double]) -> Double { zip(first, second).reduce(0) { $0 + $1.0 * $1.1 } }
    let expected =
      product(rows[0], rows[1]) / (product(rows[0], rows[0]) * product(rows[1], rows[1])).squareRoot()
    #expect(try abs(#require(cosine) - expected) < 1e-5)
    #expect(abs(expected) > 1e-3)
  }
}
