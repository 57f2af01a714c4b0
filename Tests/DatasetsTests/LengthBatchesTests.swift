import Testing

@testable import Datasets

@Suite struct LengthBatchesTests {
  @Test func `every sample of a domain comes once in a pass`() throws {
    // 24 samples are three windows of 4 steps of 2: passes and windows end together.
    let batches = try LengthBatches(
      pools: [Array(10..<34), Array(50..<74)], lengths: Array(0..<100), perDomain: 2, seed: 3, window: 4)
    #expect(batches.batchSize == 4)
    for pass in 0..<3 {
      let drawn = try (pass * 12..<pass * 12 + 12).map { try #require(batches.samples(atStep: $0)) }
      #expect(drawn.flatMap { $0[..<2] }.sorted() == Array(10..<34))
      #expect(drawn.flatMap { $0[2...] }.sorted() == Array(50..<74))
    }
  }

  @Test func `passes that end inside a window, or many times in one, lose and repeat nothing`() throws {
    for count in [1, 3, 7] {
      let batches = try LengthBatches(
        pools: [Array(0..<count), Array(7..<99)], lengths: [5, 1, 4, 1, 3, 9, 2], perDomain: 2, seed: 1, window: 5)
      let drawn = (0..<5 * count).flatMap { batches.samples(atStep: $0)?.prefix(2) ?? [] }
      #expect(drawn.count == 10 * count)
      for sample in 0..<count { #expect(drawn.count { $0 == sample } == 10) }
    }
  }

  @Test func `batches of a window are runs of its samples sorted by length, in all domains alike`() throws {
    let lengths = (0..<64).map { ($0 * 37) % 64 }
    let batches = try LengthBatches(
      pools: [Array(0..<32), Array(32..<64)], lengths: lengths, perDomain: 4, seed: 9, window: 8)
    var seen: [[[Int]]] = []
    for step in 0..<8 {
      let batch = try #require(batches.samples(atStep: step))
      seen.append([batch[..<4], batch[4...]].map { $0.map { lengths[$0] } })
    }
    // One window is the whole pool: its batches are the quarters of the sorted lengths, for each domain.
    for domain in 0..<2 {
      let sorted = lengths[domain * 32..<domain * 32 + 32].sorted()
      let runs = stride(from: 0, to: 32, by: 4).map { Array(sorted[$0..<$0 + 4]) }
      #expect(seen.map { $0[domain] }.sorted { $0[0] < $1[0] } == runs)
    }
    // The shortest of both domains come together, and not in the order of their length.
    let shortest = seen.map { [$0[0][0], $0[1][0]] }
    let orders = (0..<2).map { domain in seen.indices.sorted { shortest[$0][domain] < shortest[$1][domain] } }
    #expect(orders[0] == orders[1])
    #expect(shortest.map { $0[0] } != shortest.map { $0[0] }.sorted())
  }

  @Test func `a step depends on nothing that came before, and on the seed`() throws {
    func make(_ seed: UInt64, _ pools: [[Int]] = [Array(0..<40)]) throws -> LengthBatches {
      try LengthBatches(pools: pools, lengths: Array(0..<80), perDomain: 3, seed: seed, window: 4)
    }
    let first = try make(1)
    let forward = (0..<30).map { first.samples(atStep: $0) }
    #expect((0..<30).reversed().map { first.samples(atStep: $0) } == forward.reversed())
    #expect((0..<30).map { try? make(2).samples(atStep: $0) } != forward)
    // A domain that is added leaves the draws of the others as they were.
    let both = try make(1, [Array(0..<40), Array(40..<80)])
    #expect((0..<30).map { both.samples(atStep: $0).map { Array($0[..<3]) } } == forward)
    #expect(first.samples(atStep: -1) == nil && first.samples(atStep: .max)?.count == 3)
  }

  @Test func `a window is no longer than a pass of the largest domain`() throws {
    let batches = try LengthBatches(
      pools: [[0], Array(1..<31)], lengths: Array(0..<31), perDomain: 4, seed: 0, window: 50)
    #expect(batches.window == 7)
    #expect(try LengthBatches(pools: [[0]], lengths: [1], perDomain: 4, seed: 0).window == 1)
    let drawn = (0..<7).flatMap { batches.samples(atStep: $0)?.dropFirst(4) ?? [] }
    #expect(Set(drawn).count == 28)
  }

  @Test func `what makes no batch is refused`() {
    #expect(throws: BatchSamplerError.noDomains) { try LengthBatches(pools: [], lengths: [], perDomain: 1, seed: 0) }
    #expect(throws: BatchSamplerError.emptyDomain(position: 1)) {
      try LengthBatches(pools: [[0], []], lengths: [1], perDomain: 1, seed: 0)
    }
    #expect(throws: BatchSamplerError.perDomain(0)) {
      try LengthBatches(pools: [[0]], lengths: [1], perDomain: 0, seed: 0)
    }
  }
}
