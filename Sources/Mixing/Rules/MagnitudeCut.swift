/// Which of a row of numbers are its largest by magnitude: all above a threshold, and of those equal to it the first.
struct MagnitudeCut: Equatable {
  /// The bit pattern of the least magnitude kept: as integers these are in the order of the magnitudes.
  var least: UInt32
  /// How many of the numbers of that magnitude are kept, those of the lowest indices.
  var ties: Int
  /// How many numbers of that magnitude there are.
  var equals: Int

  static let nothing = MagnitudeCut(least: .max, ties: 0, equals: 0)
  static let everything = MagnitudeCut(least: 0, ties: .max, equals: .max)

  /// The `kept` largest of the numbers.
  init(keeping kept: Int, of numbers: UnsafeMutableBufferPointer<Float>) {
    guard kept > 0 else { self = .nothing; return }
    guard kept < numbers.count else { self = .everything; return }
    var search = MagnitudeSearch(keeping: kept)
    for _ in 0..<MagnitudeSearch.passes {
      search.count(numbers)
      search.refine()
    }
    self = search.cut
  }

  init(least: UInt32, ties: Int, equals: Int) {
    self.least = least
    self.ties = ties
    self.equals = equals
  }

  /// Zeros what is not kept.
  func trim(_ numbers: UnsafeMutableBufferPointer<Float>) {
    guard ties != equals else {
      let least = least
      for index in 0..<numbers.count {
        let number = numbers[index]
        numbers[index] = number.bitPattern & Self.magnitude >= least ? number : 0
      }
      return
    }
    var left = ties
    for index in 0..<numbers.count {
      let bits = numbers[index].bitPattern & Self.magnitude
      if bits > least { continue }
      if bits == least, left > 0 { left -= 1 } else { numbers[index] = 0 }
    }
  }

  /// Everything but the sign.
  static let magnitude: UInt32 = 0x7fff_ffff
}

/// The search for a cut in three passes over the numbers, which may come in pieces: each finds some more bits of the
/// threshold's pattern. Exact, in linear time, and in memory that does not grow with the numbers.
struct MagnitudeSearch {
  static let passes = 3
  /// Of 31 bits the upper 11 come first, then twice 10.
  private static let shifts: [UInt32] = [20, 10, 0]

  private let kept: Int
  private var counts = [Int](repeating: 0, count: 1 << 11)
  private var pass = 0
  /// The threshold's bits that are known.
  private var known: UInt32 = 0
  /// Numbers above all that begin with the known bits.
  private var above = 0
  /// Numbers that begin with them.
  private var equals = 0

  init(keeping kept: Int) { self.kept = kept }

  /// Takes in the next piece.
  mutating func count(_ numbers: UnsafeMutableBufferPointer<Float>) {
    let (known, shift, isFirst) = (known, Self.shifts[pass], pass == 0)
    counts.withUnsafeMutableBufferPointer { counts in
      if isFirst {
        for number in numbers { counts[Int((number.bitPattern & MagnitudeCut.magnitude) >> shift)] &+= 1 }
        return
      }
      for number in numbers {
        let bits = (number.bitPattern & MagnitudeCut.magnitude) >> shift
        if bits >> 10 == known { counts[Int(bits & 0x3ff)] &+= 1 }
      }
    }
  }

  /// After each pass.
  mutating func refine() {
    var index = counts.count - 1
    while index > 0, above + counts[index] < kept {
      above += counts[index]
      index -= 1
    }
    known = known << 10 | UInt32(index)
    equals = counts[index]
    for index in counts.indices { counts[index] = 0 }
    pass += 1
  }

  /// After the last.
  var cut: MagnitudeCut { MagnitudeCut(least: known, ties: kept - above, equals: equals) }
}
