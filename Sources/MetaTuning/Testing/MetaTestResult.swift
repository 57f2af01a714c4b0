import Datasets
import Reports

/// One row of a table: what a model does on every data set's episodes.
public struct MetaTestResult: Sendable, Hashable, Codable {
  public var name: String
  /// As `TestMode.name`.
  public var mode: String
  /// How the learning rate of fine-tuning was found; nil without.
  public var rates: String?
  /// What the candidates of the search were multiplied by; nil where no rate was searched.
  public var rateFactor: Double?
  public var scale: Double
  public var settings: EpisodeSettings
  /// Of each data set.
  public var episodes: Int
  public var seed: UInt64
  /// Of the episodes; see `MetaTest.digest`.
  public var digest: String
  public var datasets: [Dataset]

  public struct Dataset: Sendable, Hashable, Codable {
    public var name: String
    public var isInDomain: Bool
    /// Of each episode, `0 ... 1`, in their order.
    public var accuracies: [Double] = []
    /// α of each episode, one number for each expert; none where nothing is mixed.
    public var mixings: [[Double]] = []
    /// The learning rate of each episode, as the optimizer had it; empty without fine-tuning.
    public var learningRates: [Double] = []
    /// Episodes whose fine-tuning ended in numbers that are not finite; they count as all wrong.
    public var diverged = 0
    /// Episodes that had no example to spare for the search of a rate, and were not tuned.
    public var unsearched = 0

    public init(name: String, isInDomain: Bool) {
      self.name = name
      self.isInDomain = isInDomain
    }

    /// Of the episodes; not-a-number for none.
    public var mean: Double { Statistics.mean(accuracies) ?? .nan }

    /// The mean of α over the episodes; empty where nothing is mixed.
    public var meanMixing: [Double] {
      guard let experts = mixings.first?.count else { return [] }
      return (0..<experts).map { expert in
        mixings.reduce(0) { $0 + ($1.indices.contains(expert) ? $1[expert] : 0) } / Double(mixings.count)
      }
    }

    /// Half of the 95 % interval, `1.96 · s/√n` with the deviation of the sample; nil for a single episode.
    public var halfWidth: Double? { Statistics.standardError(accuracies, .sample).map { 1.96 * $0 } }

    mutating func add(_ outcome: EpisodeTester.Outcome) {
      accuracies.append(outcome.accuracy)
      if !outcome.mixing.isEmpty { mixings.append(outcome.mixing) }
      if let rate = outcome.rate { learningRates.append(rate) }
      if outcome.diverged { diverged += 1 }
      if outcome.unsearched { unsearched += 1 }
    }
  }

  /// The mean of some data sets' means.
  public struct Mean: Sendable, Hashable {
    public var mean: Double
    /// Half of its 95 % interval over episodes, the data sets as they are; nil where one of them has none.
    public var halfWidth: Double?
    public var datasets: Int
  }

  /// Over the data sets that meta-training knew; nil without any.
  public var inDomain: Mean? { mean { $0.isInDomain } }
  /// Over the others.
  public var outOfDomain: Mean? { mean { !$0.isInDomain } }

  private func mean(where isMember: (Dataset) -> Bool) -> Mean? {
    let members = datasets.filter(isMember)
    guard let mean = Statistics.mean(members.map(\.mean)) else { return nil }
    let halves = members.compactMap(\.halfWidth)
    let joint = halves.reduce(0) { $0 + $1 * $1 }.squareRoot() / Double(members.count)
    return Mean(mean: mean, halfWidth: halves.count == members.count ? joint : nil, datasets: members.count)
  }

  /// This row minus another, episode by episode.
  public struct Difference: Sendable, Hashable {
    /// A data set, or `ID mean` and `OOD mean`.
    public var name: String
    public var mean: Double
    /// Half of its 95 % interval, `1.96 · s/√n` of the differences; nil for a single episode.
    public var halfWidth: Double?
  }

  /// What separate intervals hide: the episodes of both rows are the same, so that what makes some harder than others falls out.
  ///
  /// - Throws: `MetaTestTableError.otherEpisodes`.
  public func difference(from other: MetaTestResult) throws -> [Difference] {
    guard digest == other.digest, datasets.map(\.name) == other.datasets.map(\.name) else {
      throw MetaTestTableError.otherEpisodes(name, other.name)
    }
    let own = zip(datasets, other.datasets).compactMap { mine, theirs in
      Statistics.pairedDifference(mine.accuracies, theirs.accuracies).map { paired in
        (
          isInDomain: mine.isInDomain,
          difference: Difference(
            name: mine.name, mean: paired.mean, halfWidth: paired.standardError.map { 1.96 * $0 })
        )
      }
    }
    let means = [("ID mean", true), ("OOD mean", false)].compactMap { name, wanted -> Difference? in
      let members = own.filter { $0.isInDomain == wanted }.map(\.difference)
      guard let mean = Statistics.mean(members.map(\.mean)) else { return nil }
      let halves = members.compactMap(\.halfWidth)
      let joint = halves.reduce(0) { $0 + $1 * $1 }.squareRoot() / Double(members.count)
      return Difference(name: name, mean: mean, halfWidth: halves.count == members.count ? joint : nil)
    }
    return own.map(\.difference) + means
  }
}
