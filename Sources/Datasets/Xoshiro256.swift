/// xoshiro256**: a fast generator with a state that can be saved, for sampling and augmentation.
///
/// Blackman and Vigna 2021, "Scrambled Linear Pseudorandom Number Generators". Seeded through `SplitMix64`, as they advise. The
/// draws below are our own rather than the standard library's, whose algorithms may change between versions: a seed should
/// go on meaning the same batches.
public struct Xoshiro256: RandomNumberGenerator, Sendable, Hashable, Codable {
  private var s0: UInt64
  private var s1: UInt64
  private var s2: UInt64
  private var s3: UInt64

  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - stream: numbers that tell this use of the seed from others, such as the step and the place in the batch. Generators
  ///     whose streams differ are unrelated, so work may be spread over threads without changing what is drawn.
  public init(seed: UInt64, stream: UInt64...) {
    var mixer = SplitMix64(seed: seed)
    for number in stream {
      mixer = SplitMix64(seed: mixer.next() ^ SplitMix64.scrambled(number &+ 1))
    }
    (s0, s1, s2, s3) = (mixer.next(), mixer.next(), mixer.next(), mixer.next())
  }

  /// The raw state, which must not be all zeros.
  init(state: (UInt64, UInt64, UInt64, UInt64)) { (s0, s1, s2, s3) = state }

  public mutating func next() -> UInt64 {
    let product = s1 &* 5
    let result = (product << 7 | product >> 57) &* 9
    let shifted = s1 << 17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = s3 << 45 | s3 >> 19
    return result
  }

  /// Uniform in `0 ..< 1`, a multiple of 2⁻⁵³.
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  public mutating func uniform(_ range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
  }

  /// Uniform in `0 ..< bound`, without bias; 0 for a bound of 0 or 1. Lemire 2019, "Fast Random Integer Generation in an Interval".
  public mutating func below(_ bound: Int) -> Int {
    guard bound > 1 else { return 0 }
    let bound = UInt64(bound)
    var (high, low) = next().multipliedFullWidth(by: bound)
    if low < bound {
      let threshold = (0 &- bound) % bound
      while low < threshold { (high, low) = next().multipliedFullWidth(by: bound) }
    }
    return Int(high)
  }

  public mutating func shuffle<Element>(_ elements: inout [Element]) {
    guard elements.count > 1 else { return }
    for last in stride(from: elements.count - 1, through: 1, by: -1) {
      elements.swapAt(last, below(last + 1))
    }
  }
}
