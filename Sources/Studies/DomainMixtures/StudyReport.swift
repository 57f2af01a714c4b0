import Foundation
import Mixing
import Reports

/// What a study found: means over everything but seeds, with standard errors over seeds.
public struct StudyReport: Sendable {
  public typealias Failure = StudyFailure<StudyRun>

  /// A mean over seeds. The standard error is that of the sample of seeds, `s/√n`; nil for one seed.
  public struct Estimate: Hashable, Sendable {
    public let mean: Double
    public let standardError: Double?

    /// - Parameter seeds: one number for each; nil for none.
    init?(_ seeds: [Double]) {
      guard let mean = Statistics.mean(seeds) else { return nil }
      self.mean = mean
      standardError = Statistics.standardError(seeds, .sample)
    }
  }

  /// What is recorded of one kind and seed.
  struct Cell: Sendable {
    var seed: UInt64
    var mixtures: [MixtureRecord] = []
    var pruning: [PruningRecord] = []
    var attacks: [AttackRecord] = []
    var isComplete = true
  }

  /// Mixtures of one size.
  public struct Size: Hashable, Sendable {
    public let count: Int
    /// Sets and members, over all seeds.
    public let measured: Int
    /// The mean over sets `S` of this size and members `i` of the accuracy on `i`.
    public let accuracy: Estimate
    /// Over sets, members and seeds.
    public let minimum: Double
    public let maximum: Double
    public let deviation: Double
    /// The mean of each accuracy divided by that of the member's own adapter alone.
    public let relative: Estimate
    public let relativeMinimum: Double
    public let relativeMaximum: Double
    public let relativeDeviation: Double
  }

  /// Whether accuracy goes with one reading of the set's FSD, over sets of two or more.
  public struct Correlation: Hashable, Sendable {
    public enum Signs: String, CaseIterable, Sendable {
      case pairwise, any, minority
      case pairwiseDelta = "pairwise, delta"
      case anyDelta = "any, delta"
      case minorityDelta = "minority, delta"
    }

    public let signs: Signs
    /// Of a set's FSD with the mean of its members' relative accuracies.
    public let pearson: Estimate?
    public let spearman: Estimate?
    /// Spearman's, among sets of one size.
    public let within: [Int: Estimate]
    /// The mean of those.
    public let withinMean: Estimate?
    /// Spearman's of the FSD of sets with the accuracy on one member; the mean over members.
    public let perTarget: Estimate?
    /// The same among sets of one size; the mean over members and sizes.
    public let perTargetWithin: Estimate?
  }

  /// Domains added in one order.
  public struct OrderCurve: Hashable, Sendable {
    public let rule: String
    /// The accuracy on the target with 1, 2, … adapters, over targets.
    public let accuracies: [Estimate?]
    /// The mean over sizes above one.
    public let mean: Estimate?
  }

  public struct PruningPoint: Hashable, Sendable {
    public let criterion: String
    /// `single`, `prune, mix` or `mix, prune`.
    public let order: String
    public let size: Int
    /// Asked for; nil where the criterion decides.
    public let density: Double?
    public let kept: Estimate
    /// The mean over members.
    public let accuracy: Estimate
    public let ignoringZeros: Estimate?
    public let excludingZeros: Estimate?
  }

  public struct AttackResult: Hashable, Sendable {
    public let attack: String
    public let size: Int
    /// Before and after, over domains.
    public let before: Estimate
    public let after: Estimate
    /// Texts the classifier was asked about, for each example.
    public let queries: Double
    /// Of the words of texts that fell; nil where none did.
    public let changed: Double?
  }

  public struct Kind: Sendable {
    public let name: String
    public let parameters: Int
    public let space: MixingSpace
    /// Seeds that are complete, and those numbers are from.
    public let seeds: [UInt64]
    /// Of each domain's own adapter.
    public let single: [Estimate]
    public let sizes: [Size]
    public let correlations: [Correlation]
    public let orders: [OrderCurve]
    public let pruning: [PruningPoint]
    public let attacks: [AttackResult]
    /// FSD of each two adapters, the mean over seeds; of the weights, and of what training changed.
    public let pairs: [[Double]]
    public let pairsDelta: [[Double]]
    /// FSD, size and relative accuracy of each set of two or more, of each seed.
    public let points: [SignAccuracyCorrelation.Observation]
  }

  public let domains: [String]
  public let testCounts: [Int]
  public let kinds: [Kind]
  /// Mean cosine of each two domains' texts; empty while it is not known.
  public let similarities: [[Double]]
  public let failures: [Failure]
  /// Whether every seed of every kind is in the numbers.
  public let isComplete: Bool

  /// Of what is recorded under the study's output. A kind and seed counts once all its runs are done.
  ///
  /// - Throws: `StudyError.damaged`, `FileError`
  init(of study: DomainMixtureStudy, failures: [Failure]) throws {
    func records<Record>(_ phase: StudyRun.Phase, _ kind: StudyKind, _ seed: UInt64, _ type: Record.Type) throws
      -> (records: [Record], isDone: Bool) where Record: StudyRecord
    {
      let runs = study.runs.filter { $0.phase == phase && $0.kind == kind.name && $0.seed == seed }
      let records = try runs.flatMap { try RecordFile<Record>(in: study.folder(of: $0).url).read(study.testCounts) }
      return (records, runs.allSatisfy { study.folder(of: $0).state == .done })
    }
    var cells: [String: [Cell]] = [:]
    for kind in study.kinds {
      cells[kind.name] = try study.configuration.seeds.map { seed in
        let mixtures = try records(.mixtures, kind, seed, MixtureRecord.self)
        let orders = try records(.orders, kind, seed, MixtureRecord.self)
        let pruning = try records(.pruning, kind, seed, PruningRecord.self)
        let attacks = try records(.robustness, kind, seed, AttackRecord.self)
        return Cell(
          seed: seed, mixtures: mixtures.records + orders.records, pruning: pruning.isDone ? pruning.records : [],
          attacks: attacks.isDone ? attacks.records : [], isComplete: mixtures.isDone && orders.isDone)
      }
    }
    let known = study.runs.contains { $0.phase == .similarity && study.folder(of: $0).state == .done }
    try self.init(
      domains: study.domains.map(\.name), testCounts: study.testCounts,
      kinds: study.kinds.map { ($0.name, study.parameters[$0.name] ?? 0, $0.space) }, cells: cells,
      chosen: Set(study.configuration.sets.sets(of: study.domains.count)),
      similarities: known ? try study.similarities() : [], randomOrders: study.configuration.randomOrders,
      failures: failures, isComplete: study.runs.allSatisfy { study.folder(of: $0).state == .done })
  }

  /// - Parameters:
  ///   - cells: of each kind, one for each seed.
  ///   - chosen: the sets that averages are over; others serve orders only.
  init(
    domains: [String], testCounts: [Int], kinds: [(name: String, parameters: Int, space: MixingSpace)],
    cells: [String: [Cell]], chosen: Set<MixtureSet>, similarities: [[Double]], randomOrders: Int,
    failures: [Failure] = [], isComplete: Bool = true
  ) throws {
    self.domains = domains
    self.testCounts = testCounts
    self.similarities = similarities
    self.failures = failures
    self.isComplete = isComplete
    self.kinds = try kinds.map { kind in
      let complete = (cells[kind.name] ?? []).filter(\.isComplete)
      return try Kind(
        name: kind.name, parameters: kind.parameters, space: kind.space,
        cells: complete.map { MeasuredCell($0, testCounts, chosen) }, domains: domains, testCounts: testCounts,
        similarities: similarities, randomOrders: randomOrders)
    }
  }
}

/// One kind and seed, with its accuracies at hand.
struct MeasuredCell {
  let cell: StudyReport.Cell
  /// Accuracy of each set on each of its members, in their order.
  let accuracies: [MixtureSet: [Double]]
  /// The sets that averages are over, ascending.
  let records: [MixtureRecord]
  /// Of each domain's own adapter.
  let single: [Double]

  init(_ cell: StudyReport.Cell, _ testCounts: [Int], _ chosen: Set<MixtureSet>) {
    self.cell = cell
    let accuracies = Dictionary(
      cell.mixtures.map { record in
        (record.set, zip(record.members, record.correct).map { Double($1) / Double(testCounts[$0]) })
      }, uniquingKeysWith: { first, _ in first })
    self.accuracies = accuracies
    records = cell.mixtures.filter { chosen.contains($0.set) }.sorted { $0.set < $1.set }
    single = testCounts.indices.map { accuracies[MixtureSet([$0])]?.first ?? .nan }
  }

  func accuracy(_ set: MixtureSet, on target: Int) -> Double? {
    guard let place = set.members.firstIndex(of: target), let values = accuracies[set] else { return nil }
    return values[place]
  }

  /// The accuracy on each member divided by that of its own adapter; nothing for a member whose own is 0.
  func relative(_ record: MixtureRecord) -> [Double] {
    zip(record.members, accuracies[record.set] ?? []).compactMap { member, accuracy in
      single[member] > 0 ? accuracy / single[member] : nil
    }
  }
}
