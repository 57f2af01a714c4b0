import Crypto
import Foundation
import Testing

@testable import Datasets

@Suite struct DomainSplitTests {
  struct Oracle: Decodable {
    struct Seed: Decodable { var trial: Int, environment: Int, seed: UInt32 }
    struct Words: Decodable { var seed: UInt32, words: [UInt32] }
    struct Shuffle: Decodable { var seed: UInt32, count: Int, indices: [Int] }
    struct LongShuffle: Decodable { var seed: UInt32, count: Int, first: [Int], sha256: String }
    struct Painting: Decodable { var count: Int, heldOut: Int, heldOutIndices: [Int] }
    var seeds: [Seed]
    var generator: [Words]
    var shuffles: [Shuffle]
    var longShuffles: [LongShuffle]
    var pacsArtPainting: Painting
  }

  private func oracle() throws -> Oracle { try Fixtures.json(Oracle.self, "splits.json") }

  private func shuffled(_ count: Int, seed: UInt32) -> [Int] {
    var generator = MersenneTwister(seed: seed)
    var indices = Array(0..<count)
    generator.shuffle(&indices)
    return indices
  }

  @Test func `seeds are DomainBed's`() throws {
    let published: [UInt32] = [
      894_182_419, 1_514_274_641, 1_325_548_499, 1_796_103_049, 1_773_288_162, 1_833_038_383,
    ]
    #expect((0..<6).map { seedHash(0, $0) } == published)
    for entry in try oracle().seeds { #expect(seedHash(entry.trial, entry.environment) == entry.seed) }
  }

  @Test func `a tuple of one is written with a comma, as Python writes it`() {
    let digest = Insecure.MD5.hash(data: Array("(7,)".utf8))
    #expect(seedHash(7) == digest.suffix(4).reduce(0) { $0 << 8 | UInt32($1) } % (1 << 31))
  }

  @Test func `words and shuffles are NumPy's`() throws {
    for entry in try oracle().generator {
      var generator = MersenneTwister(seed: entry.seed)
      #expect(entry.words.map { _ in generator.next32() } == entry.words)
    }
    for entry in try oracle().shuffles { #expect(shuffled(entry.count, seed: entry.seed) == entry.indices) }
    for entry in try oracle().longShuffles {
      let indices = shuffled(entry.count, seed: entry.seed)
      #expect(Array(indices.prefix(20)) == entry.first)
      let words = indices.flatMap { index in withUnsafeBytes(of: UInt32(index).littleEndian) { Array($0) } }
      #expect(SHA256.hash(data: words).map { String(format: "%02x", $0) }.joined() == entry.sha256)
    }
  }

  @Test func `art painting of PACS is split as DomainBed splits it`() throws {
    let expected = try oracle().pacsArtPainting
    let split = DomainSplit(count: expected.count, domainIndex: 0, trialSeed: 0)
    #expect(split.out == expected.heldOutIndices)
    #expect(split.out.count == 409 && split.in.count == 2048 - 409)
    #expect(Set(split.out).union(split.in) == Set(0..<2048))
  }

  @Test func `an impossible fraction counts as the nearest possible one`() {
    #expect(DomainSplit(count: 5, domainIndex: 0, trialSeed: 0, holdout: 2).in.isEmpty)
    #expect(DomainSplit(count: 5, domainIndex: 0, trialSeed: 0, holdout: -1).out.isEmpty)
    #expect(DomainSplit(count: 5, domainIndex: 0, trialSeed: 0, holdout: .nan).out.isEmpty)
    #expect(DomainSplit(count: -5, domainIndex: 0, trialSeed: 0).in.isEmpty)
  }
}
