/// A rule that keeps a part of each member's numbers and sums what is left, or the mean of it, times `λ`.
public protocol DensityRule: MixingRule {
  /// The fraction of a member's numbers that is kept, or the probability to be kept.
  var density: MemberValues { get }
  /// `λ`
  var lambda: Double { get }
  /// Whether weights are divided by their sum.
  var normalize: Bool { get }
}

extension DensityRule {
  public func coefficients(_ weights: [Double]) throws(MixtureError) -> [Double] {
    (normalize ? try normalized(weights) : weights).map { $0 * lambda }
  }

  public func validate(weights: [Double]) throws(MixtureError) { try checkDensity(weights: weights) }

  func checkDensity(weights: [Double]) throws(MixtureError) {
    try check(density: density, members: weights.count)
    try check(lambda.isFinite, "lambda", lambda, "a finite number")
    _ = try coefficients(weights)
  }
}

/// A rule of which signs may be elected once numbers were dropped.
public protocol ElectingRule: DensityRule {
  /// Whether signs are elected, or all members summed.
  var elect: Bool { get }
  var sign: SignElection.Vote { get }
  var agreement: SignElection.Agreement { get }
}

extension ElectingRule {
  func combine(_ entry: MixingEntry) throws {
    if elect {
      SignElection(vote: sign, agreement: agreement).mix(entry, normalize: normalize, scale: lambda)
    } else {
      entry.sum(try coefficients(entry.weights))
    }
  }
}
