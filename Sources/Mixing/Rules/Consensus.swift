/// Strict consensus: the weighted mean where no two members disagree in sign, and zero where any two do.
///
/// Our reading of pruning by sign differences, after Nguyen & Le 2024, arXiv:2402.10639, whose text we could not read. What
/// it zeroes is the fraction of sign difference of the set; of five unrelated adapters about one number in sixteen is left.
public struct Consensus: MixingRule {
  public static let name = "consensus"
  public static let summary = "the mean where all signs agree, zero elsewhere"
  public static let paper: String? = nil

  public init() {}

  public func mix(_ entry: MixingEntry) throws {
    let coefficients = try coefficients(entry.weights)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * MixingEntry.chunk) { room in
      entry.inChunks { range, sums in
        let least = UnsafeMutableBufferPointer(rebasing: room[0..<range.count])
        let most = UnsafeMutableBufferPointer(rebasing: room[MixingEntry.chunk..<MixingEntry.chunk + range.count])
        least.initialize(repeating: 0)
        most.initialize(repeating: 0)
        for (place, coefficient) in coefficients.enumerated() {
          let numbers = UnsafeMutableBufferPointer(rebasing: entry.member(place)[range])
          for index in 0..<numbers.count {
            let number = numbers[index]
            sums[index] += coefficient * Double(number)
            least[index] = min(least[index], number)
            most[index] = max(most[index], number)
          }
        }
        let result = UnsafeMutableBufferPointer(rebasing: entry.result[range])
        for index in 0..<result.count {
          result[index] = least[index] < 0 && most[index] > 0 ? 0 : Float(sums[index])
        }
      }
    }
  }
}
