import Adapters
import Datasets
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Reports
import Tensors
import Training

/// Adapters trained on one domain each, mixed for a domain left out: AdapterSoup and what it is compared with, as further rows
/// of a leave-one-domain-out benchmark.
///
/// Chronopoulou et al. 2023, arXiv:2302.07027, mix adapters of language models. Here they are classifiers' over the same
/// classes, and that the classifiers are averaged with the same weights is ours: all start from the same numbers. A trial's
/// adapters serve every target but their own domain. Texts by which adapters are chosen are the target's "out" part, without its
/// labels; the table reports the "in" part.
public struct SoupBenchmark: Sendable {
  public let soups: [Soup]
  public let benchmark: Benchmark
  public let output: URL
  /// Examples of a domain that its likeness to others is measured by.
  public var similarityExamples = 100

  /// - Parameters:
  ///   - benchmark: whose methods, examples, targets, trials and recipe these are.
  ///   - output: where the adapters of single domains are kept.
  /// - Throws: `StudyError.names` for two rows of one name or a method that the benchmark does not have.
  public init(_ soups: [Soup], of benchmark: Benchmark, output: URL) throws {
    let rows = soups.map(\.name) + benchmark.methods.map(\.name)
    guard Set(rows).count == rows.count else { throw StudyError.names(rows, of: "rows of a table") }
    for soup in soups where !benchmark.methods.contains(where: { $0.name == soup.method }) {
      throw StudyError.names(benchmark.methods.map(\.name) + [soup.method], of: "methods that soups are made of")
    }
    self.soups = soups
    self.benchmark = benchmark
    self.output = output
  }

  /// The benchmark's report with a row for each soup. Adapters that are there already are not trained again.
  ///
  /// - Parameter progress: what is being done.
  public func adding(
    to report: BenchmarkReport, progress: @escaping @Sendable (String) -> Void
  ) async throws -> BenchmarkReport {
    var records: [ResultRecord] = []
    let trials = Dictionary(grouping: benchmark.runs, by: \.trial)
    for (_, runs) in trials.sorted(by: { $0.key < $1.key }) {
      for method in benchmark.methods where soups.contains(where: { $0.method == method.name }) {
        let own = runs.filter { $0.method == method.name }
        guard let first = own.first else { continue }
        var members: [AdaptedModel] = []
        for domain in benchmark.examples.domains.indices {
          progress("\(method.name) on \(benchmark.examples.domains[domain]) alone, trial \(first.trial)")
          members.append(try await member(method, domain, like: first))
        }
        for run in own {
          progress("mixtures for \(run.targetName), trial \(run.trial)")
          records += try await measured(members, run)
        }
      }
    }
    return report.adding(soups.map(\.name), records)
  }

  // MARK: Members

  /// The adapter and classifier of one domain, trained with the settings of a run of the benchmark.
  private func member(_ method: Method, _ domain: Int, like run: BenchmarkRun) async throws -> AdaptedModel {
    var recipe = benchmark.configuration(of: run)
    recipe.evaluationInterval = recipe.steps
    let examples = benchmark.examples
    // Nothing but the domain itself is measured; the split is the benchmark's.
    let split = Fold(of: examples, target: nil, trialSeed: recipe.trialSeed, holdout: recipe.holdout)
    let fold = Fold(
      target: nil,
      parts: split.parts.enumerated().map { $0.offset == domain ? $0.element : Fold.Parts(in: [], out: []) },
      sources: [domain], selectsStep: false)
    var arguments = run.arguments
    arguments.testDomains = []
    arguments.others["task"] = "single_domain"
    arguments.others["domain"] = .integer(domain)
    let folder = try RunFolder(of: arguments, in: output)
    let adapter = folder.url.appendingPathComponent("adapter", isDirectory: true)
    if folder.state == .done { return try benchmark.backbone.adapted(from: adapter) }
    let recorded = RecordedRun(
      folder: folder, arguments: arguments, hyperparameters: try method.hyperparameters(with: recipe),
      configuration: recipe, examples: examples, fold: fold)
    let model = try method.model(on: benchmark.backbone, classes: examples.classes, seed: recipe.seed)
    let result = try await recorded.perform(model, store: benchmark.store) { _ in }
    try result.model.saveAgain(to: adapter)
    try recorded.markDone()
    return result.model
  }

  // MARK: Mixtures

  /// A record for each soup of the run's method.
  private func measured(_ members: [AdaptedModel], _ run: BenchmarkRun) async throws -> [ResultRecord] {
    let fold = benchmark.fold(of: run)
    let sources = fold.sources
    let evaluator = Evaluator(
      benchmark.examples, batchSize: benchmark.configuration.evaluationBatch,
      precision: benchmark.configuration.precision)
    var texts: [Tensor] = []
    for (domain, parts) in fold.parts.enumerated() {
      let drawn = selectionTexts(of: parts, isTarget: domain == run.target)
      let batches = try await TestBatches.batches(
        benchmark.examples, at: drawn, size: benchmark.configuration.evaluationBatch)
      texts.append(try await Compute.run { try benchmark.backbone.frozenFeatures(batches) })
    }
    let domains = sources.map { (benchmark.examples.domains[$0], texts[$0]) }
    // What each member says by itself, where a rule wants it.
    var alone: [[Tensor]] = []
    func logits(of model: AdaptedModel) async throws -> [Tensor] {
      var all: [Tensor] = []
      for domain in fold.parts.indices {
        all.append(try await evaluator.logits(of: model, at: Evaluator.measured(fold, domain, false)))
      }
      return all
    }
    let own = soups.filter { $0.method == run.method }
    if own.contains(where: { [.bestSingle, .ensemble].contains($0.rule) }) {
      for source in sources { alone.append(try await logits(of: members[source])) }
    }
    var records: [ResultRecord] = []
    for soup in own {
      let outputs: [Tensor]
      if let weights = try soup.weights(domains, novel: texts[run.target]) {
        let mixed = try Self.mixed(sources.map { members[$0] }, weights)
        outputs = try await logits(of: mixed)
      } else {
        outputs = try combined(alone, by: soup.rule, evaluator, fold)
      }
      let scores = try evaluator.scores(
        of: outputs, fold: fold, step: benchmark.configuration.steps, scoresTraining: false)
      var arguments = run.arguments
      arguments.algorithm = soup.name
      var log = RecordLog(
        run: arguments, hyperparameters: [:], examples: benchmark.examples, fold: fold,
        batchPerDomain: benchmark.configuration.batchPerDomain)
      records.append(log.record(scores.scores))
    }
    return records
  }

  /// The examples that a domain's likeness to others is measured by: of a source drawn by class, of the target without looking
  /// at labels.
  func selectionTexts(of parts: Fold.Parts, isTarget: Bool) -> [Int] {
    let labels = benchmark.examples.labels
    return StudyDomain.draw(
      similarityExamples, of: isTarget ? parts.out : parts.in, labels: isTarget ? labels.map { _ in 0 } : labels,
      seed: 0)
  }

  /// The logits of the best member, or the mean of all.
  func combined(_ alone: [[Tensor]], by rule: Soup.Rule, _ evaluator: Evaluator, _ fold: Fold) throws
    -> [Tensor]
  {
    if rule == .ensemble {
      return try fold.parts.indices.map { domain in
        try alone.dropFirst().reduce(alone[0][domain]) { try $0 + $1[domain] } * (1 / Double(alone.count))
      }
    }
    let target = fold.target ?? 0
    let accuracies = try alone.map { logits in
      try evaluator.accuracy(
        of: logits[target].narrowed(0, 0..<fold.parts[target].in.count), at: fold.parts[target].in)
    }
    let best = accuracies.indices.reduce(0) { accuracies[$1] > accuracies[$0] ? $1 : $0 }
    return alone[best]
  }

  /// The weighted mean of adapters and of their classifiers.
  static func mixed(_ members: [AdaptedModel], _ weights: [Double]) throws -> AdaptedModel {
    let model = members[0]
    let vectors = try members.map { try AdapterVector($0.adapter) }
    let backbone = model.backbone
    let carrier = try Adapter(unseeded: model.adapter.configuration, at: model.adapter.sites, of: backbone)
    try Weighted(normalize: false).mix(vectors, weights: weights).load(into: carrier)
    guard let first = model.head else { throw ModelError.noHead }
    let head = try Head(
      first.name, classes: first.classes, features: backbone.featureWidth, device: backbone.device,
      generator: Generator(seed: 0))
    for (place, parameter) in head.parameters.enumerated() {
      let parts = try members.map { member in
        guard let head = member.head else { throw ModelError.noHead }
        return try head.parameters[place].value.detached().to(.float64)
      }
      let mean = try zip(parts, weights).dropFirst().reduce(parts[0] * weights[0]) { try $0 + $1.0 * $1.1 }
      try parameter.load(mean.to(parameter.value.dtype))
    }
    return AdaptedModel(backbone: backbone, adapter: carrier, head: head)
  }
}
