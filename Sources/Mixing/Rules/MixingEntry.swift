import Tensors

/// One tensor as a rule is given it: the differences of every member that takes part, and the room for their mixture.
///
/// The buffers are good for the one call of `MixingRule.mix` only.
public struct MixingEntry {
  /// The parameter's name, or that of the site whose ΔW it is.
  public let name: String
  public let shape: [Int]
  /// Which of the members take part, by their place among all: those whose weight is not zero.
  public let members: [Int]
  /// Of those that take part, none of them zero.
  public let weights: [Double]
  /// The differences one after the other, `[members, count]`; a rule may write over them.
  public let values: UnsafeMutableBufferPointer<Float>
  /// `[count]`
  public let result: UnsafeMutableBufferPointer<Float>
  /// What is kept of each member where that was decided over all tensors together.
  let cuts: [MagnitudeCut]?
  let conventions: MixConventions
  /// Numbers in `0 ..< 1`, one for each element of the member at a place of `members`: the same at every call.
  let draws: (Int) throws -> [Float]

  /// The numbers of one member.
  public var count: Int { result.count }

  /// The numbers of the member at a place of `members`.
  public func member(_ place: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(rebasing: values[place * count..<(place + 1) * count])
  }

  /// The rows of a matrix; another tensor is one row.
  public var rows: Int { shape.count > 1 ? shape[0] : 1 }
}

extension MixingEntry {
  static let chunk = 4096

  /// Calls `body` for pieces of the tensor or a part of it, each with room for its float64 sums, which are zero.
  func inChunks(of part: Range<Int>? = nil, _ body: (Range<Int>, UnsafeMutableBufferPointer<Double>) -> Void) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: Swift.min(Self.chunk, Swift.max(1, count))) { sums in
      let part = part ?? 0..<count
      var start = part.lowerBound
      while start < part.upperBound {
        let end = Swift.min(part.upperBound, start + Self.chunk)
        let piece = UnsafeMutableBufferPointer(rebasing: sums[0..<end - start])
        piece.initialize(repeating: 0)
        body(start..<end, piece)
        start = end
      }
    }
  }

  /// `result = Σ coefficientᵢ · τᵢ`, of all numbers or a part of them, summed in float64.
  func sum(_ coefficients: [Double], of part: Range<Int>? = nil) {
    inChunks(of: part) { range, sums in
      for (place, coefficient) in coefficients.enumerated() {
        let numbers = UnsafeMutableBufferPointer(rebasing: member(place)[range])
        for index in 0..<numbers.count { sums[index] += coefficient * Double(numbers[index]) }
      }
      let target = UnsafeMutableBufferPointer(rebasing: result[range])
      for index in 0..<target.count { target[index] = Float(sums[index]) }
    }
  }
}

/// The inner product in float64.
func dot(_ first: UnsafeMutableBufferPointer<Float>, _ second: UnsafeMutableBufferPointer<Float>) -> Double {
  let count = min(first.count, second.count)
  // Eight sums side by side: one sum would be a chain of additions, each waiting for the last.
  var sums = SIMD8<Double>()
  var index = 0
  while index + 8 <= count {
    var (left, right) = (SIMD8<Float>(), SIMD8<Float>())
    for lane in 0..<8 {
      left[lane] = first[index + lane]
      right[lane] = second[index + lane]
    }
    sums += SIMD8<Double>(left) * SIMD8<Double>(right)
    index += 8
  }
  var rest = sums.sum()
  while index < count {
    rest += Double(first[index]) * Double(second[index])
    index += 1
  }
  return rest
}
