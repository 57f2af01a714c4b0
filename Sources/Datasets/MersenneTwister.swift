/// MT19937 as NumPy's legacy `RandomState` seeds and draws it: the same seed gives the same shuffle.
///
/// Matsumoto and Nishimura 1998, "Mersenne Twister". Splits made by DomainBed depend on it bit for bit; for anything else
/// use `Xoshiro256`.
public struct MersenneTwister: RandomNumberGenerator, Sendable {
  private static let count = 624
  private static let offset = 397

  private var state: [UInt32]
  private var position = MersenneTwister.count

  /// `numpy.random.RandomState(seed)`: the authors' `init_genrand`.
  public init(seed: UInt32) {
    state = [seed]
    state.reserveCapacity(Self.count)
    var last = seed
    for index in 1..<UInt32(Self.count) {
      last = 1_812_433_253 &* (last ^ last >> 30) &+ index
      state.append(last)
    }
  }

  public mutating func next32() -> UInt32 {
    if position == Self.count { twist() }
    var word = state[position]
    position += 1
    word ^= word >> 11
    word ^= word << 7 & 0x9D2C_5680
    word ^= word << 15 & 0xEFC6_0000
    return word ^ word >> 18
  }

  /// Two words, the first one high, as NumPy joins them.
  public mutating func next() -> UInt64 {
    let high = UInt64(next32())
    return high << 32 | UInt64(next32())
  }

  /// Uniform in `0 ... maximum`: draws are masked to the bits of `maximum`, and those above it are drawn again.
  ///
  /// NumPy's `random_interval`. It takes 32 bits a draw while `maximum` fits them, so the number of words used depends on it.
  public mutating func interval(_ maximum: UInt64) -> UInt64 {
    guard maximum > 0 else { return 0 }
    let mask = UInt64.max >> UInt64(maximum.leadingZeroBitCount)
    while true {
      let draw = (maximum <= UInt64(UInt32.max) ? UInt64(next32()) : next()) & mask
      if draw <= maximum { return draw }
    }
  }

  /// `RandomState.shuffle`: from the last element down, each exchanged with one at or before it.
  public mutating func shuffle<Element>(_ elements: inout [Element]) {
    guard elements.count > 1 else { return }
    for last in stride(from: elements.count - 1, through: 1, by: -1) {
      elements.swapAt(last, Int(interval(UInt64(last))))
    }
  }

  private mutating func twist() {
    for index in 0..<Self.count {
      let next = state[(index + 1) % Self.count]
      let joined = state[index] & 0x8000_0000 | next & 0x7FFF_FFFF
      let far = state[(index + Self.offset) % Self.count]
      state[index] = far ^ joined >> 1 ^ (joined & 1) &* 0x9908_B0DF
    }
    position = 0
  }
}
