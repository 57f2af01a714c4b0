import Foundation

/// Accuracies of several methods on every target domain and on average: the table of a leave-one-domain-out benchmark.
///
/// Values are fractions `0...1`; the renderings show per cent with one decimal, `mean ± standard error` over trials. A
/// single trial has no error and shows its mean alone. A cell without any trial shows `X`, and so does the average of
/// its row; a cell with fewer trials than `expectedTrials` says how many it has: `84.2 ± 0.3 (2/3)`.
public struct ResultTable: Equatable, Sendable {
  public var title: String
  /// One per target domain.
  public var columns: [String]
  public var rows: [Row]
  public var expectedTrials: Int?

  public struct Row: Equatable, Sendable {
    public var label: String
    /// One per target domain; `nil` where no trial is there.
    public var cells: [Estimate?]
    /// Over the target domains.
    public var average: Estimate?

    /// - Parameters:
    ///   - trials: per target domain, the accuracy of each trial, keyed by the trial's seed.
    ///   - spread: how the standard errors are taken.
    ///
    /// The average's mean is the mean of the cells. Its error is taken over the averages of single trials (as in
    /// DomainBed's table of averages), so it exists only if all cells hold the same trials.
    public init(label: String, trials: [[Int: Double]], spread: Statistics.Spread = .population) {
      self.label = label
      cells = trials.map { accuracies in
        // In the order of the seeds: a sum in a dictionary's order would change its last digit from run to run.
        Estimate(of: accuracies.sorted { $0.key < $1.key }.map(\.value), spread)
      }
      average = Statistics.mean(cells.compactMap { $0?.mean }).flatMap { mean in
        guard !cells.contains(nil), let seeds = trials.first?.keys.sorted() else { return nil }
        guard trials.allSatisfy({ $0.keys.sorted() == seeds }) else {
          return Estimate(mean: mean, standardError: nil, trials: cells.compactMap { $0?.trials }.min() ?? 0)
        }
        let averages = seeds.compactMap { seed in Statistics.mean(trials.compactMap { $0[seed] }) }
        return Estimate(mean: mean, standardError: Estimate(of: averages, spread)?.standardError, trials: seeds.count)
      }
    }
  }

  /// A mean over trials.
  public struct Estimate: Equatable, Sendable {
    public var mean: Double
    /// `nil` for a single trial, whatever the formula gives.
    public var standardError: Double?
    public var trials: Int

    public init(mean: Double, standardError: Double?, trials: Int) {
      self.mean = mean
      self.standardError = standardError
      self.trials = trials
    }

    init?(of values: [Double], _ spread: Statistics.Spread) {
      guard let mean = Statistics.mean(values) else { return nil }
      self.mean = mean
      standardError = values.count > 1 ? Statistics.standardError(values, spread) : nil
      trials = values.count
    }
  }

  public init(title: String, columns: [String], rows: [Row], expectedTrials: Int? = nil) {
    self.title = title
    self.columns = columns
    self.rows = rows
    self.expectedTrials = expectedTrials
  }

  /// Which accuracy of the target domain a table shows.
  public enum Metric: String, CaseIterable, Codable, Sendable {
    /// On its "in" split: the published protocol.
    case targetIn = "target, in split"
    /// On all its images; `X` where the records do not tell the sizes of the splits.
    case targetWhole = "target, whole domain"
  }

  /// The table of one dataset from the records of all its runs.
  ///
  /// - Parameters:
  ///   - records: of any runs; those of other datasets are passed over.
  ///   - domains: the dataset's domains, in the order of their numbers.
  ///   - algorithms: the rows, in order; by default those found, in the order of their first record.
  public init(
    of records: [ResultRecord], dataset: String, domains: [String], algorithms: [String]? = nil,
    selection: ModelSelection, metric: Metric = .targetIn, spread: Statistics.Spread = .population,
    expectedTrials: Int? = nil
  ) {
    let records = records.filter { $0.run.dataset == dataset }
    var found: [String] = []
    for record in records where !found.contains(record.run.algorithm) { found.append(record.run.algorithm) }
    let rows = (algorithms ?? found).map { algorithm in
      let trials = domains.indices.map { target in
        let group = records.filter { $0.run.algorithm == algorithm && $0.run.testDomains.contains(target) }
        return Dictionary(grouping: group, by: \.run.trialSeed).compactMapValues { trial -> Double? in
          guard let choice = selection.choose(from: trial, target: target) else { return nil }
          return metric == .targetIn ? choice.targetIn : choice.targetWhole
        }
      }
      return Row(label: algorithm, trials: trials, spread: spread)
    }
    self.init(
      title: "\(dataset), \(metric.rawValue), selected by \(selection.rawValue)", columns: domains, rows: rows,
      expectedTrials: expectedTrials)
  }
}
