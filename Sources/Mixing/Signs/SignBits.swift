/// The signs of an adapter's weights in two bits each: is it above 0, is it below. 64 weights go into a word, and every entry
/// begins a new one, so that the counts of an entry are those of its words.
struct SignBits: Sendable {
  private(set) var positive: [UInt64] = []
  private(set) var negative: [UInt64] = []

  /// The words that `count` weights take.
  static func words(_ count: Int) -> Int { (count + 63) / 64 }

  mutating func reserve(_ words: Int) {
    positive.reserveCapacity(words)
    negative.reserveCapacity(words)
  }

  /// Appends the signs of `numbers`, or of `numbers − reference`.
  ///
  /// - Returns: whether every number is finite.
  mutating func append(_ numbers: UnsafeBufferPointer<Float>, minus reference: UnsafeBufferPointer<Float>? = nil)
    -> Bool
  {
    let infinity = Float.infinity.bitPattern
    var largest: UInt32 = 0
    for start in stride(from: 0, to: numbers.count, by: 64) {
      let end = min(start + 64, numbers.count)
      var (plus, minus) = (UInt64(0), UInt64(0))
      for index in start..<end {
        let number = reference.map { numbers[index] - $0[index] } ?? numbers[index]
        let (bits, place) = (number.bitPattern, UInt64(index - start))
        let magnitude = bits & 0x7fff_ffff
        largest = max(largest, magnitude)
        let isNegative = UInt64(bits >> 31)
        let isNonzero: UInt64 = magnitude == 0 ? 0 : 1
        plus |= (isNonzero & ~isNegative) << place
        minus |= (isNonzero & isNegative) << place
      }
      positive.append(plus)
      negative.append(minus)
    }
    return largest < infinity
  }
}

/// How many of some positions two adapters disagree at.
struct SignTally: Sendable {
  /// +1 against −1.
  var conflicts = 0
  /// Not the same of +1, 0, −1.
  var differing = 0
  /// Not 0 in both.
  var shared = 0

  static func + (one: SignTally, other: SignTally) -> SignTally {
    SignTally(
      conflicts: one.conflicts + other.conflicts, differing: one.differing + other.differing,
      shared: one.shared + other.shared)
  }

  init(conflicts: Int = 0, differing: Int = 0, shared: Int = 0) {
    (self.conflicts, self.differing, self.shared) = (conflicts, differing, shared)
  }

  init(_ one: SignBits, _ other: SignBits, in words: Range<Int>) {
    one.positive.withUnsafeBufferPointer { plus in
      one.negative.withUnsafeBufferPointer { minus in
        other.positive.withUnsafeBufferPointer { otherPlus in
          other.negative.withUnsafeBufferPointer { otherMinus in
            for word in words {
              let (p, n, q, m) = (plus[word], minus[word], otherPlus[word], otherMinus[word])
              conflicts += ((p & m) | (n & q)).nonzeroBitCount
              differing += ((p ^ q) | (n ^ m)).nonzeroBitCount
              shared += ((p | n) & (q | m)).nonzeroBitCount
            }
          }
        }
      }
    }
  }

  /// The fraction of sign difference among `count` positions; 0 where none counts.
  func fraction(of count: Int, _ zeros: SignZeros) -> Double {
    let (part, whole) =
      switch zeros {
      case .ignore: (conflicts, count)
      case .exclude: (conflicts, shared)
      case .ternary: (differing, count)
      }
    return whole == 0 ? 0 : Double(part) / Double(whole)
  }
}
