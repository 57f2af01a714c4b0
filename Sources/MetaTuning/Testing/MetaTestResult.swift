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
  /// What is tuned on each support, and how, as `LoRA on query, value (alpha 32, rank 8), 50 steps of adamw`; nil where nothing is.
  public var tuning: String?
  /// The learning rates to choose from, as the optimizer has them; empty where none is searched.
  public var candidates: [Double] = []
  /// Whether the row is of a model; false for the network as it was pretrained.
  public var isMetaTuned = true
  public var scale: Double
  public var settings: EpisodeSettings
  /// Of each data set.
  public var episodes: Int
  public var seed: UInt64
  /// Of the episodes; see `MetaTest.digest`.
  public var digest: String
  public var datasets: [Dataset]

  enum CodingKeys: String, CodingKey {
    case name, mode, rates
    case rateFactor = "rate_factor"
    case tuning, candidates
    case isMetaTuned = "meta_tuned"
    case scale, settings, episodes, seed, digest, datasets
  }

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

    enum CodingKeys: String, CodingKey {
      case name
      case isInDomain = "in_domain"
      case accuracies, mixings
      case learningRates = "learning_rates"
      case diverged, unsearched
    }

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
  public var inDomain: Mean? { Self.mean(datasets.filter(\.isInDomain).map { ($0.mean, $0.halfWidth) }) }
  /// Over the others.
  public var outOfDomain: Mean? { Self.mean(datasets.filter { !$0.isInDomain }.map { ($0.mean, $0.halfWidth) }) }

  /// Over all of them.
  public var mean: Mean? { Self.mean(datasets.map { ($0.mean, $0.halfWidth) }) }

  func mean(over group: Group) -> Mean? { Self.mean(group.members.map { (datasets[$0].mean, datasets[$0].halfWidth) }) }

  private static func mean(_ members: [(mean: Double, halfWidth: Double?)]) -> Mean? {
    guard let mean = Statistics.mean(members.map(\.mean)) else { return nil }
    let halves = members.compactMap(\.halfWidth)
    let joint = halves.reduce(0) { $0 + $1 * $1 }.squareRoot() / Double(members.count)
    return Mean(mean: mean, halfWidth: halves.count == members.count ? joint : nil, datasets: members.count)
  }

  /// Data sets of which a table gives the mean.
  struct Group: Equatable {
    static let all = "Mean"
    static let inDomain = "ID mean"
    static let outOfDomain = "OOD mean"

    /// Of the mean's column.
    var name: String
    /// Places among `datasets`.
    var members: [Int]
  }

  /// Those meta-tuned on and the others; all together where no row is meta-tuned and no data set is said to be in domain.
  static func groups(of rows: [MetaTestResult]) -> [Group] {
    guard let datasets = rows.first?.datasets else { return [] }
    if !datasets.contains(where: \.isInDomain), !rows.contains(where: \.isMetaTuned) {
      return [Group(name: Group.all, members: Array(datasets.indices))]
    }
    return [(Group.inDomain, true), (Group.outOfDomain, false)].compactMap { name, wanted in
      let members = datasets.indices.filter { datasets[$0].isInDomain == wanted }
      return members.isEmpty ? nil : Group(name: name, members: members)
    }
  }

  /// This row minus another, episode by episode.
  public struct Difference: Sendable, Hashable {
    /// A data set, or the mean after the data sets that it is over, as the columns of a table.
    public var name: String
    public var mean: Double
    /// Half of its 95 % interval, `1.96 · s/√n` of the differences; nil for a single episode.
    public var halfWidth: Double?
  }

  /// What separate intervals hide: the episodes of both rows are the same, so that what makes some harder than others falls out.
  ///
  /// - Throws: `MetaTestTableError.otherEpisodes`.
  public func difference(from other: MetaTestResult) throws -> [Difference] {
    try difference(from: other, groups: Self.groups(of: [self, other]))
  }

  func difference(from other: MetaTestResult, groups: [Group]) throws -> [Difference] {
    guard digest == other.digest, datasets.map(\.name) == other.datasets.map(\.name) else {
      throw MetaTestTableError.otherEpisodes(name, other.name)
    }
    return groups.flatMap { group in
      let members = group.members.compactMap { place -> Difference? in
        let (mine, theirs) = (datasets[place], other.datasets[place])
        return Statistics.pairedDifference(mine.accuracies, theirs.accuracies).map { paired in
          Difference(name: mine.name, mean: paired.mean, halfWidth: paired.standardError.map { 1.96 * $0 })
        }
      }
      let mean = Self.mean(members.map { ($0.mean, $0.halfWidth) })
      return members + (mean.map { [Difference(name: group.name, mean: $0.mean, halfWidth: $0.halfWidth)] } ?? [])
    }
  }
}
