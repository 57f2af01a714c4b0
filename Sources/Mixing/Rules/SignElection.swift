/// Signs put to a vote, number by number, and the sum of the members that have the elected one: the second and third step of
/// TIES, which other rules take over.
///
/// Yadav et al. 2023, arXiv:2306.01708. A zero has no sign: it does not agree with anything.
public struct SignElection: Codable, Hashable, Sendable {
  /// Which sign is elected; plus where it is even.
  public enum Vote: String, Codable, Hashable, Sendable, CaseIterable {
    /// That of the sum.
    case total
    /// That of the more members.
    case count
  }

  /// What weights do, on which libraries differ.
  public enum Agreement: String, Codable, Hashable, Sendable, CaseIterable {
    /// Weighted numbers vote, and the sum is divided by the sum of the agreeing weights: MergeKit.
    case weights
    /// Numbers vote without their weights, and the weighted sum is divided by the number of agreeing members: PEFT.
    case count
  }

  public var vote = Vote.total
  public var agreement = Agreement.weights

  public init(vote: Vote = .total, agreement: Agreement = .weights) {
    self.vote = vote
    self.agreement = agreement
  }

  /// - Parameters:
  ///   - normalize: whether the sum of what agrees is divided.
  ///   - scale: multiplies the result.
  func mix(_ entry: MixingEntry, normalize: Bool, scale: Double) {
    let votes = agreement == .weights ? entry.weights : entry.weights.map { _ in 1 }
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * MixingEntry.chunk) { room in
      entry.inChunks { range, ballots in
        elect(entry, votes, range, ballots)
        let sums = UnsafeMutableBufferPointer(rebasing: room[0..<range.count])
        let divisors = UnsafeMutableBufferPointer(rebasing: room[MixingEntry.chunk..<MixingEntry.chunk + range.count])
        sums.initialize(repeating: 0)
        divisors.initialize(repeating: 0)
        for (place, weight) in entry.weights.enumerated() {
          let numbers = UnsafeMutableBufferPointer(rebasing: entry.member(place)[range])
          let vote = votes[place]
          for index in 0..<numbers.count {
            let number = Double(numbers[index])
            let agrees = number * vote * ballots[index] > 0
            sums[index] += agrees ? number * weight : 0
            divisors[index] += agrees ? vote : 0
          }
        }
        let result = UnsafeMutableBufferPointer(rebasing: entry.result[range])
        for index in 0..<result.count {
          let divisor = normalize && divisors[index] != 0 ? divisors[index] : 1
          result[index] = Float(sums[index] / divisor * scale)
        }
      }
    }
  }

  /// 1 or −1 for each number, over the votes.
  private func elect(
    _ entry: MixingEntry, _ votes: [Double], _ range: Range<Int>, _ ballots: UnsafeMutableBufferPointer<Double>
  ) {
    for (place, vote) in votes.enumerated() {
      let numbers = UnsafeMutableBufferPointer(rebasing: entry.member(place)[range])
      switch self.vote {
      case .total:
        for index in 0..<numbers.count { ballots[index] += vote * Double(numbers[index]) }
      case .count:
        for index in 0..<numbers.count {
          let number = vote * Double(numbers[index])
          ballots[index] += number > 0 ? 1 : number < 0 ? -1 : 0
        }
      }
    }
    for index in 0..<ballots.count { ballots[index] = ballots[index] >= 0 ? 1 : -1 }
  }
}
