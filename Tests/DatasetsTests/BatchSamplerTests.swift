import Testing

@testable import Datasets

@Suite struct BatchSamplerTests {
  private let pools = [Array(0..<5), Array(100..<103), Array(200..<240)]

  @Test func `a batch has the same number of each domain, domain after domain`() throws {
    let sampler = try BatchSampler(pools: pools, perDomain: 4, seed: 1)
    #expect(sampler.batchSize == 12)
    for step in 0..<20 {
      let batch = try #require(sampler.samples(atStep: step))
      #expect(batch.count == 12)
      for domain in 0..<3 { #expect(Set(batch[domain * 4..<domain * 4 + 4]).isSubset(of: pools[domain])) }
    }
  }

  @Test func `drawing is uniform and with replacement`() throws {
    let sampler = try BatchSampler(pools: [Array(0..<5)], perDomain: 10, seed: 1)
    var counts = Array(repeating: 0, count: 5)
    for step in 0..<1_000 {
      for index in try #require(sampler.samples(atStep: step)) { counts[index] += 1 }
    }
    #expect(counts.allSatisfy { abs($0 - 2_000) < 160 })  // four standard deviations
  }

  @Test func `a step's batch does not depend on what was asked before, nor on later domains`() throws {
    let sampler = try BatchSampler(pools: pools, perDomain: 4, seed: 1)
    let inOrder = (0..<5).map { sampler.samples(atStep: $0) }
    let backwards = (0..<5).reversed().map { sampler.samples(atStep: $0) }
    #expect(inOrder == backwards.reversed())
    let fewer = try BatchSampler(pools: Array(pools[..<2]), perDomain: 4, seed: 1)
    let batch = try #require(sampler.samples(atStep: 3))
    #expect(try #require(fewer.samples(atStep: 3)) == Array(batch[..<8]))
    let other = try BatchSampler(pools: pools, perDomain: 4, seed: 2)
    #expect(other.samples(atStep: 3) != batch && sampler.samples(atStep: 4) != batch)
  }

  @Test func `what cannot be drawn from is refused`() {
    #expect(throws: BatchSamplerError.noDomains) { try BatchSampler(pools: [], perDomain: 1, seed: 0) }
    #expect(throws: BatchSamplerError.emptyDomain(position: 1)) {
      try BatchSampler(pools: [[1], []], perDomain: 1, seed: 0)
    }
    #expect(throws: BatchSamplerError.perDomain(0)) { try BatchSampler(pools: [[1]], perDomain: 0, seed: 0) }
  }

  @Test func `sequential batches have everything once, the last one smaller`() {
    let plan = SequentialBatches([7, 8, 9, 10, 11], batchSize: 2)
    #expect((0..<4).map { plan.samples(atStep: $0) } == [[7, 8], [9, 10], [11], nil])
    #expect(plan.samples(atStep: -1) == nil && plan.samples(atStep: .max) == nil)
    #expect(SequentialBatches([1, 2], batchSize: 0).samples(atStep: 1) == [2])
  }
}
