import Testing

@testable import Mixing

@Suite struct BitSlicedCounterTests {
  @Test func `counts of 64 positions are kept apart`() {
    var counter = BitSlicedCounter(limit: 5)
    for bits: UInt64 in [0b111, 0b101, 0b100, 1 << 63, 0b100] { counter.add(bits) }
    // Position 0 has 2, 1 has 1, 2 has 4, 63 has 1.
    #expect(counter.planes == [0b010 | 1 << 63, 0b001, 0b100])
    #expect(counter.sum == 8)
    counter.reset()
    #expect(counter.sum == 0)
  }

  @Test func `a limit that is a power of two has a plane for it`() {
    var counter = BitSlicedCounter(limit: 4)
    for _ in 0..<4 { counter.add(1) }
    #expect(counter.planes == [0, 0, 1])
  }

  @Test func `the maximum is taken position by position`() {
    var (first, second) = (BitSlicedCounter(limit: 3), BitSlicedCounter(limit: 3))
    for bits: UInt64 in [0b0111, 0b0011, 0b0001] { first.add(bits) }  // 3, 2, 1, 0
    for bits: UInt64 in [0b1110, 0b1100, 0b0000] { second.add(bits) }  // 0, 1, 2, 2
    #expect(first.isBelow(second) & 0b1111 == 0b1100)
    first.formMaximum(second)  // 3, 2, 2, 2
    #expect(first.planes == [0b0001, 0b1111])
    #expect(first.sum == 9)
  }
}
