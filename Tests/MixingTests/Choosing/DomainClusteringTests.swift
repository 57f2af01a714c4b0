import Tensors
import Testing

@testable import Mixing

@Suite struct DomainClusteringTests {
  func cloud(_ centre: [Double], _ count: Int, seed: UInt64, spread: Double = 0.5) throws -> Tensor {
    try Tensor.normal([count, centre.count], deviation: spread, from: Generator(seed: seed))
      + Tensor(centre).to(.float32)
  }

  func domains() throws -> [(name: String, embeddings: Tensor)] {
    [
      ("books", try cloud([5, 0, 0, 0], 60, seed: 1)), ("dvd", try cloud([0, 5, 0, 0], 60, seed: 2)),
      ("kitchen", try cloud([0, 0, 5, 0], 60, seed: 3)),
    ]
  }

  @Test func `of hits 40 25 20 9 6 the first three, as in the oracle`() throws {
    let chosen = try DomainClustering().choose(["a", "b", "c", "d", "e"], hits: [40, 25, 20, 9, 6], of: 100)
    #expect(chosen.names == ["a", "b", "c"])
    #expect(chosen.candidates.map(\.score) == [0.4, 0.25, 0.2, 0.09, 0.06])
    #expect(chosen.candidates[3].reason == .below(0.1))
    // A tenth is enough.
    #expect(try DomainClustering().choose(["a", "b", "c"], hits: [9, 10, 81], of: 100).names == ["c", "b"])
  }

  @Test func `novel texts fall to the domains that they are like`() throws {
    let novel = try Tensor.concatenated([
      cloud([5, 0, 0, 0], 30, seed: 7), cloud([0, 0, 5, 0], 69, seed: 8), cloud([0, 5, 0, 0], 1, seed: 9),
    ])
    #expect(try DomainClustering().hits(domains(), of: novel) == [30, 1, 69])
    let chosen = try DomainClustering().choose(domains(), for: novel)
    #expect(chosen.names == ["kitchen", "books"] && chosen.candidates[2].reason == .below(0.1))
  }

  @Test func `a domain of two clusters owns both components where there are enough`() throws {
    var rule = DomainClustering()
    rule.components = 3
    let pool = [
      (name: "two", embeddings: try Tensor.concatenated([cloud([9, 0], 50, seed: 1), cloud([-9, 0], 50, seed: 2)])),
      (name: "one", embeddings: try cloud([0, 9], 50, seed: 3)),
    ]
    let novel = try Tensor.concatenated([
      cloud([9, 0], 10, seed: 4), cloud([-9, 0], 20, seed: 5), cloud([0, 9], 5, seed: 6),
    ])
    #expect(try rule.hits(pool, of: novel) == [30, 5])
  }

  @Test func `the same data and seed give the same hits`() throws {
    var rule = DomainClustering()
    rule.components = 6
    let novel = try cloud([2, 2, 2, 0], 40, seed: 3, spread: 2)
    let once = try rule.hits(domains(), of: novel)
    #expect(try rule.hits(domains(), of: novel) == once && once.reduce(0, +) == 40)
  }

  @Test func `one domain, one text each and equal texts are no trouble`() throws {
    let novel = try cloud([5, 0, 0, 0], 10, seed: 7)
    #expect(try DomainClustering().hits([domains()[0]], of: novel) == [10])
    let same = try Tensor.ones([4, 3])
    #expect(try DomainClustering().hits([("a", same), ("b", same)], of: same) == [4, 0])
    let single = try domains().map { (name: $0.name, embeddings: try $0.embeddings.narrowed(0, 0..<1)) }
    #expect(try DomainClustering().hits(single, of: novel).reduce(0, +) == 10)
    #expect(try DomainClustering().choose(single, for: novel).names == ["books"])
  }

  @Test func `what does not fit is refused`() throws {
    let novel = try Tensor.ones([2, 3])
    #expect(throws: ChoosingError.widths("the novel domain", 3, expected: 4)) {
      try DomainClustering().hits(domains(), of: novel)
    }
    #expect(throws: ChoosingError.noCandidates) { try DomainClustering().hits([], of: novel) }
    var rule = DomainClustering()
    rule.minimumShare = 1.5
    #expect(throws: ChoosingError.outOfRange("minimumShare", 1.5, "0 to 1")) {
      try rule.choose(["a"], hits: [1], of: 1)
    }
  }
}
