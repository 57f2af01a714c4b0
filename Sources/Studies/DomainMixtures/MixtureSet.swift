import Datasets

/// Which domains' adapters are in a mixture: bit `i` for domain `i`.
public struct MixtureSet: Hashable, Comparable, Sendable {
  public let bits: UInt32

  /// Domains that a study takes at most: bits, and mixtures that anyone would wait for.
  public static let limit = 20

  public init(bits: UInt32) { self.bits = bits }
  /// - Parameter members: below `limit`.
  public init(_ members: some Sequence<Int>) { bits = members.reduce(0) { $0 | 1 << UInt32($1) } }

  /// Ascending.
  public var members: [Int] { (0..<32).filter { bits >> UInt32($0) & 1 == 1 } }
  public var count: Int { bits.nonzeroBitCount }
  public func contains(_ member: Int) -> Bool { (0..<32).contains(member) && bits >> UInt32(member) & 1 == 1 }

  public static func < (left: MixtureSet, right: MixtureSet) -> Bool { left.bits < right.bits }
}

/// The mixtures of a study, in an order in which neighbours differ little.
public enum MixtureSets: Hashable, Sendable {
  /// All `2^n − 1`.
  case all
  /// All of up to `size` domains, and of each larger size a seeded sample of at most `count`. The set of all domains is
  /// always among them.
  case sampled(upTo: Int, count: Int, seed: UInt64)

  /// In the order of the reflected Gray code, `i ⊕ ⌊i/2⌋`: two sets that follow each other differ in one member where
  /// all are taken, and in few where some are.
  ///
  /// - Parameter domains: `1 ... MixtureSet.limit`
  public func sets(of domains: Int) -> [MixtureSet] {
    guard (1...MixtureSet.limit).contains(domains) else { return [] }
    let all = (1..<UInt32(1) << UInt32(domains)).lazy.map { MixtureSet(bits: $0 ^ $0 >> 1) }
    switch self {
    case .all: return Array(all)
    case .sampled(let size, let count, let seed):
      var larger: [Int: [MixtureSet]] = [:]
      for set in all where set.count > size { larger[set.count, default: []].append(set) }
      var chosen: Set<MixtureSet> = []
      for (size, var sets) in larger.sorted(by: { $0.key < $1.key }) {
        var generator = Xoshiro256(seed: seed, stream: 0x7365_7473, UInt64(size))
        generator.shuffle(&sets)
        chosen.formUnion(sets.prefix(max(count, size == domains ? 1 : 0)))
      }
      return all.filter { $0.count <= size || chosen.contains($0) }
    }
  }
}
