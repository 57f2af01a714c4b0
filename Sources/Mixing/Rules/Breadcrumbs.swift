/// Breadcrumbs: drop the largest numbers as outliers and the smallest as noise, then sum, or elect signs as TIES does.
///
/// Davari & Belilovsky 2024, "Model Breadcrumbs", arXiv:2312.06795: of `N` numbers by magnitude the top `γN` and the
/// bottom `N − ρN − γN` go. Where there are not so many, fewer of the top do: `ρN` are always kept.
public struct Breadcrumbs: ElectingRule {
  public static let name = "breadcrumbs"
  public static let summary = "drop the largest and the smallest numbers, then sum or elect signs"
  public static let paper: String? = "arXiv:2312.06795"

  /// The fraction of each member's numbers that is kept, `0 ... 1`.
  public var density: MemberValues = 0.9
  /// The fraction of the largest that is dropped, `0 ... 1`.
  public var gamma: MemberValues = 0.01
  /// Whether signs are elected, or all members summed.
  public var elect = false
  public var sign = SignElection.Vote.total
  public var agreement = SignElection.Agreement.weights
  public var lambda = 1.0
  public var normalize = false

  public init() {}

  public init(density: MemberValues, gamma: MemberValues, elect: Bool = false) {
    self.density = density
    self.gamma = gamma
    self.elect = elect
  }

  public func validate(weights: [Double]) throws(MixtureError) {
    try checkDensity(weights: weights)
    try check(gamma, named: "gamma", in: 0...1, members: weights.count)
  }

  public func mix(_ entry: MixingEntry) throws {
    for (place, index) in entry.members.enumerated() where density[index] < 1 {
      Self.thin(
        entry.member(place), density: density[index], gamma: gamma[index], as: entry.conventions)
    }
    try combine(entry)
  }

  /// Zeros the largest and the smallest.
  static func thin(
    _ numbers: UnsafeMutableBufferPointer<Float>, density: Double, gamma: Double, as conventions: MixConventions = .ours
  ) {
    // Here MergeKit does not keep one at least.
    let kept =
      conventions == .mergeKit
      ? conventions.whole(density, of: numbers.count) : conventions.kept(density, of: numbers.count)
    let top = min(conventions.whole(gamma, of: numbers.count), numbers.count - kept)
    MagnitudeCut(keeping: kept + top, of: numbers).trim(numbers)
    guard top > 0 else { return }
    let outliers = MagnitudeCut(keeping: top, of: numbers)
    var left = outliers.ties
    for index in 0..<numbers.count {
      let bits = numbers[index].bitPattern & MagnitudeCut.magnitude
      if bits > outliers.least {
        numbers[index] = 0
      } else if bits == outliers.least, left > 0 {
        left -= 1
        numbers[index] = 0
      }
    }
  }
}
