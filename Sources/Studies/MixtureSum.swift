import Mixing

/// The mean of the vectors of a set, kept up from one set to the next: one addition or subtraction for each member that
/// changes, in float64. It is added up anew every 256 moves, so that rounding does not pile up.
struct MixtureSum {
  private let vectors: [AdapterVector]
  private var sum: [Double]
  private var members = MixtureSet(bits: 0)
  private var moves = 0

  static let movesBetweenRebuilds = 256

  /// - Parameter vectors: of one layout; set members are places in this list.
  init(of vectors: [AdapterVector]) {
    self.vectors = vectors
    sum = [Double](repeating: 0, count: vectors.first?.layout.count ?? 0)
  }

  /// The mean over `set`, which has a member.
  mutating func mean(of set: MixtureSet) throws -> AdapterVector {
    move(to: set)
    let scale = 1 / Double(max(1, set.count))
    return try AdapterVector(vectors[0].layout, sum.map { Float($0 * scale) })
  }

  private mutating func move(to set: MixtureSet) {
    moves += 1
    if moves.isMultiple(of: Self.movesBetweenRebuilds) {
      for place in sum.indices { sum[place] = 0 }
      members = MixtureSet(bits: 0)
    }
    for member in MixtureSet(bits: set.bits & ~members.bits).members { add(member, 1) }
    for member in MixtureSet(bits: members.bits & ~set.bits).members { add(member, -1) }
    members = set
  }

  private mutating func add(_ member: Int, _ sign: Double) {
    vectors[member].values.withUnsafeBufferPointer { values in
      sum.withUnsafeMutableBufferPointer { sum in
        for place in sum.indices { sum[place] += sign * Double(values[place]) }
      }
    }
  }
}
