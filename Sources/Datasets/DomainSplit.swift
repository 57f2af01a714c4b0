import Crypto

/// DomainBed's split of one domain into a held-out part, "out", and the rest, "in".
///
/// Indices `0 ..< count` are shuffled by NumPy's legacy generator seeded with `seedHash(trialSeed, domainIndex)`; the first
/// `⌊holdout · count⌋` are out, the others in, both in shuffled order. Gulrajani and Lopez-Paz 2020, "In Search of Lost
/// Domain Generalization", arXiv:2007.01434, and its code.
public struct DomainSplit: Sendable, Hashable {
  /// The held-out fifth, for choosing among models.
  public let out: [Int]
  /// The rest: for training on a source domain, for the reported accuracy on a target domain.
  public let `in`: [Int]

  /// - Parameters:
  ///   - count: images in the domain.
  ///   - domainIndex: the domain's place among all domains of the data set, sorted by name, the target included.
  ///   - trialSeed: DomainBed's `--trial_seed`.
  ///   - holdout: the fraction held out; what lies outside 0...1 counts as the nearer of the two.
  public init(count: Int, domainIndex: Int, trialSeed: Int, holdout: Double = 0.2) {
    var indices = Array(0..<max(0, count))
    var generator = MersenneTwister(seed: seedHash(trialSeed, domainIndex))
    generator.shuffle(&indices)
    let fraction = holdout.isNaN ? 0 : min(max(holdout, 0), 1)
    // The product as Python computes it, in double precision, then truncated.
    let held = Int(Double(indices.count) * fraction)
    out = Array(indices[..<held])
    `in` = Array(indices[held...])
  }

  private init(out: [Int], in kept: [Int]) {
    self.out = out
    `in` = kept
  }

  /// The same split of a domain whose first sample is `offset`.
  func shifted(by offset: Int) -> DomainSplit {
    DomainSplit(out: out.map { $0 + offset }, in: `in`.map { $0 + offset })
  }
}

/// DomainBed's `seed_hash`: the MD5 of the values written as a Python tuple, as an integer, modulo 2³¹.
public func seedHash(_ values: Int...) -> UInt32 {
  let list = values.map(String.init).joined(separator: ", ")
  let tuple = values.count == 1 ? "(\(list),)" : "(\(list))"
  let digest = Insecure.MD5.hash(data: Array(tuple.utf8))
  // The digest is read as one large big-endian number, of which the modulus keeps the last 31 bits.
  return digest.suffix(4).reduce(0) { $0 << 8 | UInt32($1) } & 0x7FFF_FFFF
}
