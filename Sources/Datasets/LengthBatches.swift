/// Training batches of samples of similar lengths, so that little of a batch is padding.
///
/// Each domain's samples come in passes, every sample once in each, in an order drawn anew. A window is a number of steps: what
/// it takes of each domain, the next samples of its passes, is sorted by length and cut into batches, the shortest of all
/// domains together, and these batches come in an order that is drawn. So passes are kept but for the order within a window.
///
/// As with `BatchSampler`, the batch of a step depends on the pools, the seed and the step alone: the state to save is the step.
public struct LengthBatches: BatchPlan {
  /// Per source domain, the samples to draw from.
  public let pools: [[Int]]
  /// By sample: its length, in any unit.
  public let lengths: [Int]
  /// Samples per domain in one batch.
  public let perDomain: Int
  public let seed: UInt64
  /// Steps in a window, never more than a pass of the largest domain has. With 1, lengths do not matter.
  public let window: Int

  /// - Parameter window: more steps leave less padding and mix less.
  /// - Throws: `BatchSamplerError` without a domain, with an empty one, or with less than one sample per domain.
  public init(
    pools: [[Int]], lengths: [Int], perDomain: Int, seed: UInt64, window: Int = 32
  ) throws(BatchSamplerError) {
    guard !pools.isEmpty else { throw .noDomains }
    if let empty = pools.firstIndex(where: \.isEmpty) { throw .emptyDomain(position: empty) }
    guard (1...BatchSamplerError.maximumPerDomain).contains(perDomain) else { throw .perDomain(perDomain) }
    self.pools = pools
    self.lengths = lengths
    self.perDomain = perDomain
    self.seed = seed
    let largest = pools.map(\.count).max() ?? 0
    self.window = max(1, min(window, largest / perDomain))
  }

  public var batchSize: Int { pools.count * perDomain }

  /// The batch of a step, domain after domain. There is no last one.
  public func samples(atStep step: Int) -> [Int]? {
    guard step >= 0 else { return nil }
    let number = step / window
    var order = Array(0..<window)
    var generator = Xoshiro256(seed: seed, stream: RandomStream.order, UInt64(number))
    generator.shuffle(&order)
    let bucket = order[step % window]
    return pools.indices.flatMap { domain in
      let taken = taken(of: domain, inWindow: number)
      // The place breaks ties, so that the order is one.
      let sorted = taken.enumerated().sorted { (length($0.element), $0.offset) < (length($1.element), $1.offset) }
      return sorted[bucket * perDomain..<(bucket + 1) * perDomain].map(\.element)
    }
  }

  private func length(_ sample: Int) -> Int { lengths.indices.contains(sample) ? lengths[sample] : 0 }

  /// `window · perDomain` samples: that part of the domain's passes, one after the other.
  private func taken(of domain: Int, inWindow number: Int) -> [Int] {
    let pool = pools[domain]
    let wanted = window * perDomain
    var (pass, place) = (number.multipliedReportingOverflow(by: wanted).partialValue & Int.max)
      .quotientAndRemainder(dividingBy: pool.count)
    var taken: [Int] = []
    taken.reserveCapacity(wanted)
    while taken.count < wanted {
      var order = pool
      var generator = Xoshiro256(
        seed: seed, stream: RandomStream.sampling, UInt64(truncatingIfNeeded: pass), UInt64(domain))
      generator.shuffle(&order)
      taken += order[place..<min(pool.count, place + wanted - taken.count)]
      (pass, place) = (pass &+ 1, 0)
    }
    return taken
  }
}
