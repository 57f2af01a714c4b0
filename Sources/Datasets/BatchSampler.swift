/// DomainBed's sampling: from each source domain the same number of images, uniformly with replacement.
///
/// The draws of a step depend only on the seed, the step and the domain. So the state to save is the step, a resumed run draws
/// what an uninterrupted one would have drawn, and adding a domain leaves the draws of the others as they were.
public struct BatchSampler: BatchPlan, Hashable {
  /// Per source domain, the samples to draw from.
  public let pools: [[Int]]
  /// Images per domain in one batch.
  public let perDomain: Int
  public let seed: UInt64

  /// - Throws: `BatchSamplerError` without a domain, with an empty one, or with less than one image per domain.
  public init(pools: [[Int]], perDomain: Int, seed: UInt64) throws(BatchSamplerError) {
    guard !pools.isEmpty else { throw .noDomains }
    if let empty = pools.firstIndex(where: \.isEmpty) { throw .emptyDomain(position: empty) }
    guard (1...BatchSamplerError.maximumPerDomain).contains(perDomain) else { throw .perDomain(perDomain) }
    self.pools = pools
    self.perDomain = perDomain
    self.seed = seed
  }

  public var batchSize: Int { pools.count * perDomain }

  /// The batch of a step, domain after domain. There is no last one.
  public func samples(atStep step: Int) -> [Int]? {
    pools.enumerated().flatMap { domain, pool in
      var generator = Xoshiro256(
        seed: seed, stream: RandomStream.sampling, UInt64(truncatingIfNeeded: step), UInt64(domain))
      return (0..<perDomain).map { _ in pool[generator.below(pool.count)] }
    }
  }
}

/// The first number of a generator's stream: what the draws are for.
enum RandomStream {
  static let sampling: UInt64 = 1
  static let augmentation: UInt64 = 2
  static let split: UInt64 = 3
  static let order: UInt64 = 4
  static let subset: UInt64 = 5
  static let episodes: UInt64 = 6
  static let classSplit: UInt64 = 7
}

public enum BatchSamplerError: Error, Equatable, Sendable, CustomStringConvertible {
  case noDomains
  case emptyDomain(position: Int)
  case perDomain(Int)

  static let maximumPerDomain = 1 << 20

  public var description: String {
    switch self {
    case .noDomains:
      "There is no source domain to draw from. Give at least one."
    case .emptyDomain(let position):
      "Source domain \(position) has no images to draw from. Leave it out, or hold fewer images out."
    case .perDomain(let count):
      "\(count) images per domain do not make a batch. Give 1 to \(Self.maximumPerDomain)."
    }
  }
}
