/// SplitMix64: one word of state, used to spread a seed over the state of a larger generator.
///
/// Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators".
public struct SplitMix64: RandomNumberGenerator, Sendable, Hashable, Codable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.scrambled(state)
  }

  /// The generator's output function: a bijection that makes close numbers far apart.
  static func scrambled(_ number: UInt64) -> UInt64 {
    var z = number
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
