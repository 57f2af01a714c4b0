import Mixing

/// The mean of the vectors of a set, kept up from one set to the next: one addition or subtraction for each member that
/// changes. It is added up anew every 256 moves, so that rounding does not pile up.
struct MixtureSum {
  private let vectors: [AdapterVector]
  private var mean: RunningMean
  private var members = MixtureSet(bits: 0)
  private var moves = 0

  static let movesBetweenRebuilds = 256

  /// - Parameter vectors: of one layout; set members are places in this list.
  init(of vectors: [AdapterVector]) {
    self.vectors = vectors
    mean = RunningMean(vectors[0].layout)
  }

  /// The mean over `set`, which has a member.
  mutating func mean(of set: MixtureSet) throws -> AdapterVector {
    moves += 1
    if moves.isMultiple(of: Self.movesBetweenRebuilds) {
      mean = RunningMean(mean.layout)
      members = MixtureSet(bits: 0)
    }
    for member in MixtureSet(bits: set.bits & ~members.bits).members { try mean.add(vectors[member]) }
    for member in MixtureSet(bits: members.bits & ~set.bits).members { try mean.remove(vectors[member]) }
    members = set
    return try mean.mean
  }
}
