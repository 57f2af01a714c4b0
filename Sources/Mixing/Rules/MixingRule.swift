/// How several adapters become one: a rule for the numbers of one tensor, applied tensor by tensor.
///
/// A rule works on differences `τᵢ = θᵢ − θ⁰` from a shared start, which the caller subtracts and adds back; in the space of
/// changes `θ⁰` is zero. One file for each rule, one line in `mixingRules`.
public protocol MixingRule: Codable, Hashable, Sendable {
  /// As on the command line and in files.
  static var name: String { get }
  /// One line for `--help` and the documentation.
  static var summary: String { get }
  /// Where it was published.
  static var paper: String? { get }

  /// The defaults.
  init()

  /// Checks the settings against the members' weights, before any tensor is read.
  ///
  /// - Throws: `MixtureError` naming what does not fit.
  func validate(weights: [Double]) throws(MixtureError)

  /// What multiplies each member where the rule's mixture is a weighted sum, and in every tensor that is no weight matrix: a
  /// bias or a LayerNorm is scale-like, and neither trimmed nor put to a vote.
  ///
  /// - Throws: `MixtureError.noWeight` where the weights should be divided by their sum and it is zero.
  func coefficients(_ weights: [Double]) throws(MixtureError) -> [Double]

  /// Whether the mixture of weight matrices is the sum by `coefficients`, too: then it has an exact low-rank form.
  var isLinear: Bool { get }

  /// Settings that may be absent, because nil is one of their values.
  static var optionalSettings: Set<String> { get }

  /// Whether the members' weights mean anything to it.
  static var usesWeights: Bool { get }

  /// The fraction kept of each member's numbers over all tensors together; nil where a tensor is looked at by itself.
  var globalDensity: MemberValues? { get }

  /// Writes the mixture of one tensor to `entry.result`; `entry.values` may be changed on the way.
  func mix(_ entry: MixingEntry) throws
}

extension MixingRule {
  public static var usesWeights: Bool { true }
  public static var optionalSettings: Set<String> { [] }
  public var isLinear: Bool { false }
  public var globalDensity: MemberValues? { nil }
  public func coefficients(_ weights: [Double]) throws(MixtureError) -> [Double] { try normalized(weights) }

  public func validate(weights: [Double]) throws(MixtureError) { _ = try coefficients(weights) }

  /// The weights divided by their sum.
  func normalized(_ weights: [Double]) throws(MixtureError) -> [Double] {
    let sum = weights.reduce(0, +)
    guard abs(sum) >= 1e-8 else { throw .noWeight(sum) }
    return weights.map { $0 / sum }
  }

  /// - Throws: `MixtureError.setting` unless `holds`.
  func check(_ holds: Bool, _ setting: String, _ value: Double, _ range: String) throws(MixtureError) {
    guard holds else { throw .setting(setting, of: Self.name, value: value, range: range) }
  }

  /// - Throws: `MixtureError` for densities out of `0 ... 1`, of another number of members, or all zero.
  func check(density: MemberValues, members: Int) throws(MixtureError) {
    try check(density, named: "density", in: 0...1, members: members)
    guard density.values.contains(where: { $0 > 0 }) else { throw .nothingKept(Self.name) }
  }

  func check(
    _ values: MemberValues, named name: String, in range: ClosedRange<Double>, members: Int
  ) throws(MixtureError) {
    guard values.values.count == 1 || values.values.count == members else {
      throw .perMember(name, values.values.count, members: members)
    }
    for value in values.values {
      try check(range.contains(value), name, value, "\(range.lowerBound) to \(range.upperBound)")
    }
  }
}
