/// 64 counters side by side: bit `i` of plane `b` is bit `b` of the i-th count. One addition of 64 truth values is a handful of
/// word operations, so votes of many adapters are counted about as fast as their bits are read.
struct BitSlicedCounter {
  private(set) var planes: [UInt64]

  /// - Parameter limit: the largest count.
  init(limit: Int) { planes = [UInt64](repeating: 0, count: Int.bitWidth - max(1, limit).leadingZeroBitCount) }

  mutating func reset() {
    for plane in planes.indices { planes[plane] = 0 }
  }

  /// Adds 1 to the counters whose bits are set. No count may pass the limit.
  mutating func add(_ bits: UInt64) {
    var carry = bits
    for plane in planes.indices where carry != 0 {
      let before = planes[plane]
      planes[plane] = before ^ carry
      carry &= before
    }
  }

  /// The sum of the 64 counts.
  var sum: Int { planes.indices.reduce(0) { $0 + planes[$1].nonzeroBitCount << $1 } }

  /// Where this counter is below another of the same limit.
  func isBelow(_ other: BitSlicedCounter) -> UInt64 {
    var below: UInt64 = 0
    for (mine, theirs) in zip(planes, other.planes) { below = (~mine & theirs) | (below & ~(mine ^ theirs)) }
    return below
  }

  /// Takes over the larger counts of another counter of the same limit.
  mutating func formMaximum(_ other: BitSlicedCounter) {
    let below = isBelow(other)
    for plane in planes.indices { planes[plane] = (planes[plane] & ~below) | (other.planes[plane] & below) }
  }
}
