import Testing

@testable import Datasets

@Suite struct MersenneTwisterTests {
  @Test func `the first words are those of the reference implementation`() {
    var generator = MersenneTwister(seed: 5489)  // the seed of the reference code and of std::mt19937
    #expect(generator.next32() == 3_499_211_612)
    for _ in 1..<9_999 { _ = generator.next32() }
    #expect(generator.next32() == 4_123_659_995)  // the 10,000th, which the C++ standard states
  }

  @Test func `a shuffle is NumPy's`() {
    var generator = MersenneTwister(seed: 894_182_419)
    var elements = Array(0..<10)
    generator.shuffle(&elements)
    #expect(elements == [2, 3, 8, 1, 4, 5, 0, 9, 6, 7])
  }

  @Test func `an interval includes its maximum and nothing above`() {
    var generator = MersenneTwister(seed: 1)
    let draws = (0..<2_000).map { _ in generator.interval(5) }
    #expect(Set(draws) == [0, 1, 2, 3, 4, 5])
    #expect(generator.interval(0) == 0)
  }

  @Test func `a wide interval takes two words, the first one high`() {
    var wide = MersenneTwister(seed: 7)
    var narrow = MersenneTwister(seed: 7)
    let high = UInt64(narrow.next32())
    #expect(wide.interval(.max) == high << 32 | UInt64(narrow.next32()))
  }
}
