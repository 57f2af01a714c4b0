import Formats
import Foundation
import NeuralNetworks
import Reports
import Tensors

/// What a benchmark found: every evaluation of its runs, what failed, and the tables.
public struct BenchmarkReport: Sendable {
  /// A run that was given up.
  public struct Failure: Sendable, Equatable {
    public let run: BenchmarkRun
    public let message: String
  }

  /// Several trials of one method on one target, their logits averaged.
  public struct Ensemble: Sendable, Equatable {
    public let method: String
    public let target: Int
    /// How many models.
    public let models: Int
    /// On the "in" part of the first trial's split.
    public let targetIn: Double
    public let targetWhole: Double
  }

  public let dataset: String
  public let domains: [String]
  /// Names of the methods, in order.
  public private(set) var methods: [String]
  public let trials: Int
  /// Of all runs of this benchmark, in their order.
  public private(set) var records: [ResultRecord]
  public let failures: [Failure]
  /// Lines of results files that could not be read.
  public let badLines: [String]
  /// Of the first three trials, or two where there are no more: every method and target whose trials are all done.
  public let ensembles: [Ensemble]

  init(of benchmark: Benchmark, failures: [Failure]) throws {
    dataset = benchmark.dataset
    domains = benchmark.examples.domains
    methods = benchmark.methods.map(\.name)
    trials = Set(benchmark.runs.map(\.trial)).count
    self.failures = failures
    var records: [ResultRecord] = []
    var badLines: [String] = []
    // A run that failed or was interrupted has records too; a table of those would compare different lengths.
    for run in benchmark.runs where benchmark.folder(of: run).state == .done {
      let folder = benchmark.folder(of: run)
      let contents = try folder.results.read()
      records += contents.records
      badLines += contents.badLines.map { "\(folder.results.url.path): \($0)" }
    }
    self.records = records
    self.badLines = badLines
    ensembles = try Self.ensembles(of: benchmark)
  }

  /// The same with further rows, of what was made of trained models and not trained itself.
  public func adding(_ rows: [String], _ records: [ResultRecord]) -> BenchmarkReport {
    var report = self
    report.methods += rows
    report.records += records
    return report
  }

  /// The table of accuracies on the targets, mean ± standard error over trials.
  public func table(
    _ selection: ModelSelection = .trainingDomainValidation, metric: ResultTable.Metric = .targetIn,
    spread: Statistics.Spread = .population
  ) -> ResultTable {
    ResultTable(
      of: records, dataset: dataset, domains: domains, algorithms: methods, selection: selection, metric: metric,
      spread: spread, expectedTrials: trials)
  }

  /// The table of the ensembles: one value a cell, and `X` where trials are missing.
  public func ensembleTable(metric: ResultTable.Metric = .targetIn) -> ResultTable {
    let rows = methods.map { method in
      ResultTable.Row(
        label: "\(method), ensemble",
        trials: domains.indices.map { target in
          let found = ensembles.first { $0.method == method && $0.target == target }
          guard let ensemble = found else { return [:] }
          return [0: metric == .targetIn ? ensemble.targetIn : ensemble.targetWhole]
        })
    }
    return ResultTable(title: "\(dataset), \(metric.rawValue), mean of logits", columns: domains, rows: rows)
  }

  /// The learning rate of each method with the highest validation accuracy on the sources, over all targets and trials
  /// of the benchmark; the first of equals. The targets' accuracies are not looked at. A rate with which any run failed is
  /// no candidate, and a method without candidates is left out.
  public func learningRates() -> [String: Double] {
    var best: [String: Double] = [:]
    for method in methods {
      let own = records.filter { $0.run.algorithm == method }
      let draws = Dictionary(grouping: own, by: \.run.hparamsSeed)
      let expected = Set(own.map { "\($0.run.testDomains) \($0.run.trialSeed)" }).count
      var highest = -1.0
      for draw in draws.keys.sorted() {
        let folds = Dictionary(grouping: draws[draw] ?? []) { "\($0.run.testDomains) \($0.run.trialSeed)" }
        let validations = folds.keys.sorted().compactMap { key -> Double? in
          guard let records = folds[key], let target = records.first?.run.testDomains.first else { return nil }
          return ModelSelection.trainingDomainValidation.choose(from: records, target: target)?.validation
        }
        guard validations.count == expected, let mean = Statistics.mean(validations), mean > highest,
          let rate = draws[draw]?.first?.hyperparameters["lr"]?.double
        else { continue }
        highest = mean
        best[method] = rate
      }
    }
    return best
  }

  private static func ensembles(of benchmark: Benchmark) throws -> [Ensemble] {
    let evaluator = Evaluator(benchmark.examples)
    // A grid of learning rates is a search, not repeated trials.
    guard benchmark.runs.allSatisfy({ $0.arguments.hparamsSeed == 0 }) else { return [] }
    return try benchmark.methods.flatMap { method in
      try Set(benchmark.runs.map(\.target)).sorted().compactMap { target -> Ensemble? in
        let runs = benchmark.runs.filter { $0.method == method.name && $0.target == target }.prefix(3)
        guard runs.count > 1, let first = runs.first,
          runs.allSatisfy({ benchmark.folder(of: $0).state == .done })
        else { return nil }
        let range = benchmark.examples.ranges[target]
        var sum: Tensor?
        for run in runs {
          let file = benchmark.folder(of: run).url.appendingPathComponent(TargetLogits.fileName)
          guard FileManager.default.fileExists(atPath: file.path) else { return nil }
          let logits = try TargetLogits(contentsOf: file, range: range, classes: benchmark.examples.classes.count)
          sum = try sum.map { try $0 + logits.rows } ?? logits.rows
        }
        guard let sum else { return nil }
        // The argmax of the sum is that of the mean.
        func accuracy(_ indices: [Int]) throws -> Double {
          let rows = try Tensor(indices.map { Int64($0 - range.lowerBound) })
          return try evaluator.accuracy(of: sum.selected(0, rows), at: indices)
        }
        let parts = benchmark.fold(of: first).parts[target]
        return Ensemble(
          method: method.name, target: target, models: runs.count, targetIn: try accuracy(parts.in),
          targetWhole: try accuracy(parts.in + parts.out))
      }
    }
  }
}

/// The logits of a target's images, as a run keeps them.
struct TargetLogits {
  static let fileName = "target.safetensors"

  /// `[images of the domain, classes]`, in the order of the folder, whatever the order of the split was.
  let rows: Tensor

  /// - Throws: `TargetLogitsError` if the file is of other images; `SafetensorsError`.
  init(contentsOf url: URL, range: Range<Int>, classes: Int) throws {
    let file = try SafetensorsFile(contentsOf: url)
    let indices = try file.tensor("indices").integers()
    let logits = try file.tensor("logits")
    guard logits.shape == [indices.count, classes], indices.allSatisfy(range.contains) else {
      throw TargetLogitsError(path: url.path)
    }
    rows = try .zeros([range.count, classes])
    try rows.copyInPlace(logits, at: Tensor(indices.map { Int64($0 - range.lowerBound) }))
  }
}

struct TargetLogitsError: Error, Equatable, CustomStringConvertible {
  let path: String
  var description: String {
    "'\(path)' holds the logits of other images or classes. Remove its folder, and the run will be done again."
  }
}
