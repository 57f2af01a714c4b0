import Foundation
import Testing

@testable import Datasets

@Suite struct Xoshiro256Tests {
  @Test func `the reference state gives the reference words`() {
    var generator = Xoshiro256(state: (1, 2, 3, 4))
    let words = (0..<4).map { _ in generator.next() }
    #expect(words == [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240])
  }

  @Test func `SplitMix64 gives the reference words`() {
    var generator = SplitMix64(seed: 1_234_567)
    let words = (0..<3).map { _ in generator.next() }
    #expect(words == [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423])
  }

  @Test func `streams of one seed differ, and each repeats`() {
    func first(_ seed: UInt64, _ a: UInt64, _ b: UInt64) -> UInt64 {
      var generator = Xoshiro256(seed: seed, stream: a, b)
      return generator.next()
    }
    var words: Set<UInt64> = []
    for seed in 0..<4 as Range<UInt64> {
      for a in 0..<8 as Range<UInt64> {
        for b in 0..<8 as Range<UInt64> { words.insert(first(seed, a, b)) }
      }
    }
    #expect(words.count == 256)
    #expect(first(3, 1, 2) == first(3, 1, 2))
    #expect(first(3, 1, 2) != first(3, 2, 1))
  }

  @Test func `a saved generator goes on where it stopped`() throws {
    var generator = Xoshiro256(seed: 5)
    _ = generator.next()
    let saved = try JSONEncoder().encode(generator)
    var restored = try JSONDecoder().decode(Xoshiro256.self, from: saved)
    #expect((0..<5).map { _ in generator.next() } == (0..<5).map { _ in restored.next() })
  }

  @Test func `draws are uniform over their range`() {
    var generator = Xoshiro256(seed: 11)
    var counts = Array(repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[generator.below(7)] += 1 }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 400 })  // four standard deviations
    let mean = (0..<10_000).reduce(0.0) { sum, _ in sum + generator.uniform(-1...3) } / 10_000
    #expect(abs(mean - 1) < 0.05)
    #expect(generator.below(0) == 0 && generator.below(-3) == 0 && generator.below(1) == 0)
  }

  @Test func `a shuffle keeps the elements and reaches every order`() {
    var generator = Xoshiro256(seed: 2)
    var orders: Set<[Int]> = []
    for _ in 0..<300 {
      var elements = [1, 2, 3, 4]
      generator.shuffle(&elements)
      #expect(elements.sorted() == [1, 2, 3, 4])
      orders.insert(elements)
    }
    #expect(orders.count == 24)
  }
}
