import Reports

/// The accuracies of one evaluation, as fractions 0...1.
public struct Scores: Sendable, Equatable, Codable {
  public struct Domain: Sendable, Equatable, Codable {
    public let name: String
    /// On the part trained on, of a source; nil where that was not measured. On four fifths of the target.
    public var inAccuracy: Double?
    /// On the part held out.
    public var outAccuracy: Double
    public var inCount: Int
    public var outCount: Int

    /// On all images; nil where the "in" part was not measured.
    public var wholeAccuracy: Double? { score.wholeAccuracy.flatMap { $0.isNaN ? nil : $0 } }

    /// As a results file has it, with not-a-number for what was not measured.
    var score: DomainScore {
      DomainScore(
        inAccuracy: inAccuracy ?? .nan, outAccuracy: outAccuracy, inCount: inCount, outCount: outCount)
    }
  }

  /// Optimizer steps taken before.
  public let step: Int
  public let domains: [Domain]
  /// The mean loss of the steps since the evaluation before; nil before the first step.
  public let trainingLoss: Double?
  /// Index of the domain that training does not see.
  public let target: Int?

  /// The mean over the source domains, each counting once, of the accuracy on what was held out: what models are chosen
  /// by.
  public var validation: Double {
    let sources = domains.indices.filter { $0 != target }
    return Statistics.mean(sources.map { domains[$0].outAccuracy }) ?? .nan
  }

  /// On the target's "in" part: the number that published tables report.
  public var targetIn: Double? { targetDomain?.inAccuracy }
  public var targetWhole: Double? { targetDomain?.wholeAccuracy }

  private var targetDomain: Domain? {
    guard let target, domains.indices.contains(target) else { return nil }
    return domains[target]
  }
}

extension Scores: CustomStringConvertible {
  /// `step 200: sources 81.2 %, sketch 74.0 %`
  public var description: String {
    let sources = "step \(step): sources \(percent(validation))"
    guard let targetDomain, let accuracy = targetWhole ?? targetIn else { return sources }
    return "\(sources), \(targetDomain.name) \(percent(accuracy))"
  }

  private func percent(_ fraction: Double) -> String {
    guard fraction.isFinite else { return "unknown" }
    let tenths = Int((fraction * 1000).rounded())
    return "\(tenths / 10).\(tenths % 10) %"
  }
}
