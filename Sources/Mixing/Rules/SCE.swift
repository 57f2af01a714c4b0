/// SCE: select the numbers in which the members vary most, calculate each member's share from its energy, erase what
/// disagrees with the elected sign.
///
/// Wan et al. 2024, "FuseChat", arXiv:2408.07990: `θ̄ = θ⁰ + Σ ηᵢ τᵢ / Σ ηᵢ` over the members that agree, with
/// `ηᵢ ∝ mean τᵢ²` of a tensor. The members' weights play no part. One member stays as it is. Members that are all zero share
/// alike; MergeKit lets them where the sum of the `mean τᵢ²` is below 10⁻⁶, which the changes that adapters make are.
public struct SCE: MixingRule {
  public static let name = "sce"
  public static let summary = "select by variance, weight by energy, erase the minority"
  public static let paper: String? = "arXiv:2408.07990"
  public static let usesWeights = false

  /// The fraction kept of the numbers that vary at all, `0 ... 1`.
  public var topK = 1.0

  enum CodingKeys: String, CodingKey { case topK = "select_topk" }

  public init() {}
  public init(topK: Double) { self.topK = topK }

  public func coefficients(_ weights: [Double]) -> [Double] { weights.map { _ in 1 / Double(weights.count) } }

  public func validate(weights: [Double]) throws(MixtureError) {
    try check((0...1).contains(topK), "select_topk", topK, "0 to 1")
    guard topK > 0 else { throw .nothingKept(Self.name) }
  }

  public func mix(_ entry: MixingEntry) {
    guard entry.members.count > 1 else { return entry.sum([1]) }
    if topK < 1 { select(entry) }
    var energies = entry.members.indices.map { dot(entry.member($0), entry.member($0)) / Double(max(1, entry.count)) }
    let total = energies.reduce(0, +)
    energies = energies.map { total == 0 ? 1 / Double(energies.count) : $0 / total }
    entry.inChunks { range, ballots in
      for place in energies.indices {
        let numbers = UnsafeMutableBufferPointer(rebasing: entry.member(place)[range])
        for index in 0..<numbers.count { ballots[index] += Double(numbers[index]) }
      }
      for (offset, position) in range.enumerated() {
        let positive = ballots[offset] >= 0
        var (sum, share) = (0.0, 0.0)
        for (place, energy) in energies.enumerated() {
          let number = entry.member(place)[position]
          guard number != 0, (number > 0) == positive else { continue }
          sum += energy * Double(number)
          share += energy
        }
        entry.result[position] = share > 0 ? Float(sum / share) : 0
      }
    }
  }

  /// Zeros the numbers of all members but those of the largest variance.
  private func select(_ entry: MixingEntry) {
    let members = Double(entry.members.count)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, entry.count)) { room in
      let variances = UnsafeMutableBufferPointer(rebasing: room[0..<entry.count])
      entry.inChunks { range, sums in
        for place in entry.members.indices {
          let numbers = UnsafeMutableBufferPointer(rebasing: entry.member(place)[range])
          for index in 0..<numbers.count { sums[index] += Double(numbers[index]) }
        }
        for (offset, position) in range.enumerated() {
          let mean = sums[offset] / members
          let squares = entry.members.indices.reduce(0.0) { total, place in
            let distance = Double(entry.member(place)[position]) - mean
            return total + distance * distance
          }
          variances.initializeElement(at: position, to: Float(squares / members))
        }
      }
      let varying = variances.count { $0 != 0 }
      // The fraction of those that vary is rounded down, as by its authors.
      let cut = MagnitudeCut(keeping: Int(Double(varying) * topK), of: variances)
      cut.trim(variances)
      for place in entry.members.indices {
        let numbers = entry.member(place)
        for index in 0..<numbers.count where variances[index] == 0 { numbers[index] = 0 }
      }
    }
  }
}
