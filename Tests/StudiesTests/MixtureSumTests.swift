import Mixing
import Testing

@testable import Studies

@Suite struct MixtureSumTests {
  @Test func `every mean of a walk is that of the members`() throws {
    let layout = AdapterLayout([(name: "a", shape: [1, 2], block: nil, isWeight: true)])
    let vectors = try (0..<9).map { try AdapterVector(layout, [Float($0) * 0.1, 1e7 / Float($0 + 1)]) }
    var sum = MixtureSum(of: vectors)
    // 511 sets: past a rebuild.
    let wrong = try MixtureSets.all.sets(of: 9).filter { set in
      let mean = try sum.mean(of: set)
      return mean.values.indices.contains { place in
        let exact = set.members.reduce(0) { $0 + Double(vectors[$1].values[place]) } / Double(set.count)
        return mean.values[place] != Float(exact)
      }
    }
    #expect(wrong.isEmpty)
  }

  @Test func `one member's mean is the member`() throws {
    let layout = AdapterLayout([(name: "a", shape: [3], block: nil, isWeight: false)])
    let vectors = [try AdapterVector(layout, [0.1, -0.2, 0.3]), try AdapterVector(layout, [7, 8, 9])]
    var sum = MixtureSum(of: vectors)
    _ = try sum.mean(of: MixtureSet([0, 1]))
    #expect(try sum.mean(of: MixtureSet([0])).values == vectors[0].values)
  }
}
