import Formats
import Foundation
import Reports

/// What a few-shot study found: accuracies on data sets meta-tuned on (unseen classes) and on others, over rates, methods and
/// scales of the offset.
public struct FewShotReport: Sendable {
  public typealias Failure = StudyFailure<FewShotRun>

  /// A mean over seeds. The standard error is that of the sample of seeds, `s/√n`; nil for one seed.
  public typealias Estimate = StudyReport.Estimate

  /// A method at one rate and scale.
  public struct Row: Sendable, Hashable {
    public let backbone: String
    /// Empty for the network as it is.
    public let method: String
    public let rate: Double?
    /// What the trained offset is multiplied by: 1, or less for the control of Wortsman et al. 2022, arXiv:2109.01903.
    public let scale: Double
    public let seeds: [UInt64]
    /// On the training data sets' validation classes.
    public let validation: Estimate?
    /// The mean over data sets meta-tuned on.
    public let seen: Estimate
    /// The mean over the others.
    public let unseen: Estimate
    public let datasets: [String: Estimate]
    /// Of a run, seconds of training, the median over seeds.
    public let seconds: Double
  }

  /// A method against the reference, at the same rate, seed and episodes.
  public struct Comparison: Sendable, Hashable {
    public let backbone: String
    public let method: String
    public let reference: String
    public let rate: Double
    /// 95 % intervals over episodes, those of all seeds taken together.
    public let seen: Difference
    public let unseen: Difference
    public let datasets: [String: Difference]
  }

  public struct Difference: Sendable, Hashable {
    public let mean: Double
    public let interval: ClosedRange<Double>?
    /// The mean of each seed.
    public let seeds: [Double]
  }

  /// What became of a method's experts, means over seeds.
  public struct Experts: Sendable, Hashable {
    public let backbone: String
    public let method: String
    public let rate: Double
    public let sparsity: ClosedRange<Double>
    public let union: Double
    /// Of pairs of experts; nil, as what follows, where there is one expert or none is open anywhere.
    public let overlap: Double?
    public let overlaps: ClosedRange<Double>?
    /// The overlap of independent random masks of that density.
    public let chance: Double?
    public let between: Double
    /// How often relabelling the episodes' data sets at random spreads the mean α of data sets as far apart: one for each seed.
    public let specialization: [Double]
  }

  public let seenDatasets: [String]
  public let unseenDatasets: [String]
  public let episodes: Int
  public let reference: String
  public internal(set) var rows: [Row] = []
  public internal(set) var comparisons: [Comparison] = []
  public internal(set) var experts: [Experts] = []
  public let failures: [Failure]
  public let isComplete: Bool

  /// Reads what is recorded.
  ///
  /// - Throws: `StudyError.damaged`
  init(of study: FewShotStudy, failures: [Failure]) throws {
    var measured: [Measured] = []
    var digests: [[String]: String] = [:]
    for run in study.runs where run.phase != .pretraining && study.folder(of: run).state == .done {
      let result = try FewShotResult.read(in: study.folder(of: run).url)
      // Runs are compared episode by episode.
      guard result.digest == digests[[run.backbone, "\(run.seed)"], default: result.digest] else {
        throw StudyError.damaged(
          file: study.folder(of: run).url.path, problem: "has been tested on other episodes than the rest of its seed")
      }
      digests[[run.backbone, "\(run.seed)"]] = result.digest
      measured.append((run, result))
    }
    self.init(
      seen: study.configuration.training, unseen: study.configuration.unseen, episodes: study.configuration.testCount,
      reference: study.configuration.reference, measured: measured, failures: failures,
      isComplete: measured.count == study.runs.count { $0.phase != .pretraining })
  }

  init(
    seen: [String], unseen: [String], episodes: Int, reference: String, measured: [Measured], failures: [Failure] = [],
    isComplete: Bool = true
  ) {
    seenDatasets = seen
    unseenDatasets = unseen
    self.episodes = episodes
    self.reference = reference
    self.failures = failures
    self.isComplete = isComplete
    compute(measured)
  }

  /// For each backbone and method, the rate and scale of the best mean validation accuracy: chosen without the test classes.
  public var chosen: [Row] {
    var best: [[String]: Row] = [:]
    for row in rows {
      let key = [row.backbone, row.method]
      guard let accuracy = row.validation?.mean else { continue }
      if accuracy > best[key]?.validation?.mean ?? -1 { best[key] = row }
    }
    return rows.filter { best[[$0.backbone, $0.method]] == $0 }
  }
}
