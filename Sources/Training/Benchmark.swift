import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Tensors

/// Leave-one-domain-out: every method on every target, several times, each run in a folder of its own.
///
/// For each method, target and trial: split every domain by the trial's seed, train on the sources' "in" parts, evaluate
/// at intervals on the sources' "out" parts and on the whole target, choose the step by the sources alone, report the
/// target. Gulrajani and Lopez-Paz 2021, arXiv:2007.01434.
///
/// Under `output`, as DomainBed writes it and its `collect_results` reads it:
///
/// | path | holds |
/// |---|---|
/// | `benchmark.json` | the settings; a later call with others is refused |
/// | `MD5-OF-ARGUMENTS/results.jsonl` | one line for each evaluation |
/// | `MD5-OF-ARGUMENTS/target.safetensors` | the target's logits at the selected step, for ensembles |
/// | `MD5-OF-ARGUMENTS/adapter/` | the selected adapter, where asked for |
/// | `MD5-OF-ARGUMENTS/checkpoints/` | while the run lasts, where checkpoints are written |
/// | `MD5-OF-ARGUMENTS/done` | the run is over |
///
/// What is done is not done again, so an interrupted benchmark continues with what is missing; a run that stopped half-way
/// goes on from its checkpoint, or starts over. Trial `t` has the trial seed and the seed of the configuration plus `t`.
/// The same call gives the same `results.jsonl`, but for `step_time` and `mem_gb`.
public struct Benchmark: AsyncSequence, Sendable {
  public typealias Element = BenchmarkEvent

  public let methods: [Method]
  public let backbone: any Backbone
  public let examples: any Examples
  /// The name results carry.
  public let dataset: String
  public let configuration: TrainingConfiguration
  public let output: URL
  /// In the order in which they are done.
  public let runs: [BenchmarkRun]
  /// Whether the first run that fails ends the benchmark.
  public var stopsAtError = false
  /// Whether each run's folder gets the adapter and classifier of the selected step.
  public var savesAdapters = false

  package let store: FeatureStore
  private let identity: BenchmarkIdentity

  /// - Parameters:
  ///   - targets: names of the domains to leave out, one after the other; nil for every domain.
  ///   - trials: how often each is repeated, with other splits and seeds.
  ///   - learningRates: a grid to run every method with, in place of its own rate; empty for none.
  ///   - store: where features of the frozen backbone are kept.
  /// - Throws: `BenchmarkError`, `TrainingConfigurationError`, and what making each method's model throws: no run starts
  ///   before every method is known to fit.
  public init(
    of methods: [Method], backbone: any Backbone, on examples: any Examples, dataset: String,
    targets: [String]? = nil, trials: Int = 3, configuration: TrainingConfiguration, learningRates: [Double] = [],
    output: URL, store: FeatureStore = FeatureStore()
  ) throws {
    try configuration.validate()
    guard !methods.isEmpty else { throw BenchmarkError.noMethods }
    guard Set(methods.map(\.name)).count == methods.count else { throw BenchmarkError.names(methods.map(\.name)) }
    guard trials > 0 else { throw BenchmarkError.trials(trials) }
    guard examples.domains.count > 1 else { throw BenchmarkError.oneDomain(examples.domains) }
    let chosen = try (targets ?? examples.domains).map { name in
      guard let index = examples.domains.firstIndex(of: name) else {
        throw BenchmarkError.target(name, suggestion: Suggestion.didYouMean(name, among: examples.domains))
      }
      return index
    }
    for method in methods {
      _ = try method.model(on: backbone, classes: examples.classes, seed: configuration.seed)
    }
    for rate in learningRates + methods.compactMap(\.learningRate) {
      var changed = configuration
      changed.learningRate = rate
      try changed.validate()
    }
    self.methods = methods
    self.backbone = backbone
    self.examples = examples
    self.dataset = dataset
    self.configuration = configuration
    self.output = output
    self.store = store
    identity = try BenchmarkIdentity(
      [
        "dataset": .string(dataset), "backbone": .string(backbone.fingerprint),
        "examples": .string(examples.fingerprint), "domains": .array(examples.domains.map(JSONValue.string)),
        "bad_images": .array(examples.badSamples.map { .string("\($0)") }),
      ], methods: methods, configuration: configuration)
    var runs: [BenchmarkRun] = []
    for trial in 0..<trials {
      for target in chosen {
        for method in methods {
          let own = method.learningRate ?? configuration.learningRate
          for (place, rate) in (learningRates.isEmpty ? [own] : learningRates).enumerated() {
            runs.append(
              try Self.run(
                method, target: target, trial: trial, rate: rate, draw: learningRates.isEmpty ? 0 : place + 1,
                backbone, examples, dataset, configuration))
          }
        }
      }
    }
    self.runs = runs
  }

  public func makeAsyncIterator() -> EventIterator<BenchmarkEvent> {
    EventIterator { send in try await run(send) }
  }

  /// Reads the events to the end.
  public func finish() async throws -> BenchmarkReport {
    var completed: BenchmarkReport?
    // To the end, not only to the report: the folder is unlocked after it.
    for try await event in self {
      if case .completed(let report) = event { completed = report }
    }
    guard let completed else { throw CancellationError() }
    return completed
  }

  /// What is recorded, without doing anything.
  public func report() throws -> BenchmarkReport { try BenchmarkReport(of: self, failures: []) }

  // MARK: All runs

  private func run(_ send: @escaping @Sendable (BenchmarkEvent) -> Void) async throws {
    try RunFolder(at: output).create()
    let lock = try FileLock(folder: output)
    defer { lock.release() }
    try identity.check(in: output)
    let missing = runs.filter { folder(of: $0).state != .done }
    send(.planned(runs, done: runs.count - missing.count))
    var failures: [BenchmarkReport.Failure] = []
    for (place, run) in missing.enumerated() {
      try Task.checkCancellation()
      send(.started(run, number: place + 1, of: missing.count))
      do {
        let result = try await perform(run, send)
        send(.finished(run, result.selected?.scores))
      } catch let error as CancellationError {
        throw error
      } catch {
        if stopsAtError { throw error }
        failures.append(.init(run: run, message: "\(error)"))
        send(.failed(run, error))
      }
    }
    send(.completed(try BenchmarkReport(of: self, failures: failures)))
  }

  public func folder(of run: BenchmarkRun) -> RunFolder {
    RunFolder(at: output.appendingPathComponent(run.folderName, isDirectory: true))
  }

  /// The configuration of one run.
  public func configuration(of run: BenchmarkRun) -> TrainingConfiguration {
    var own = configuration
    own.learningRate = run.learningRate
    own.seed = UInt64(clamping: run.arguments.seed)
    own.trialSeed = run.arguments.trialSeed
    return own
  }

  public func fold(of run: BenchmarkRun) -> Fold {
    Fold(of: examples, target: run.target, trialSeed: run.arguments.trialSeed, holdout: configuration.holdout)
  }

  // MARK: One run

  private func perform(
    _ run: BenchmarkRun, _ send: @escaping @Sendable (BenchmarkEvent) -> Void
  ) async throws -> TrainingResult {
    guard let method = methods.first(where: { $0.name == run.method }) else { throw BenchmarkError.noMethods }
    let own = configuration(of: run)
    let recorded = RecordedRun(
      folder: folder(of: run), arguments: run.arguments, hyperparameters: try method.hyperparameters(with: own),
      configuration: own, examples: examples, fold: fold(of: run))
    let model = try method.model(on: backbone, classes: examples.classes, seed: own.seed)
    let result = try await recorded.perform(model, store: store) { send(.training(run, $0)) }
    try await keep(result, of: recorded.fold, in: recorded.folder.url)
    try recorded.markDone()
    return result
  }

  /// What is left of a run besides its results.
  private func keep(_ result: TrainingResult, of fold: Fold, in folder: URL) async throws {
    guard let selected = result.selected else { return }
    if let logits = selected.targetLogits, let target = fold.target {
      let indices = fold.parts[target].in + fold.parts[target].out
      var writer = SafetensorsWriter(metadata: ["step": "\(selected.scores.step)"])
      try writer.add("indices", try Tensor(indices.map(Int64.init)))
      try writer.add("logits", logits)
      try writer.write(to: folder.appendingPathComponent(TargetLogits.fileName))
    }
    if savesAdapters {
      try await result.restoreSelected()
      try result.model.saveAgain(to: folder.appendingPathComponent("adapter"))
    }
  }

  // MARK: Settings

  private static func run(
    _ method: Method, target: Int, trial: Int, rate: Double, draw: Int, _ backbone: any Backbone,
    _ examples: any Examples, _ dataset: String, _ configuration: TrainingConfiguration
  ) throws -> BenchmarkRun {
    var own = configuration
    own.learningRate = rate
    var settings = try method.runSettings(with: own)
    settings["backbone"] = .string(backbone.fingerprint)
    settings["examples"] = .string(examples.fingerprint)
    let (trialSeed, tooFar) = configuration.trialSeed.addingReportingOverflow(trial)
    let (seed, tooLarge) = Int(clamping: configuration.seed).addingReportingOverflow(trial)
    guard !tooFar, !tooLarge else { throw BenchmarkError.trials(trial) }
    let arguments = RunArguments(
      dataset: dataset, algorithm: method.name, testDomains: [target], trialSeed: trialSeed, hparamsSeed: draw,
      seed: seed,
      others: [
        "task": "domain_generalization", "hparams": .string(try JSONValue.object(settings).text(.python)),
        "steps": .integer(configuration.steps), "checkpoint_freq": .integer(configuration.evaluationInterval),
        "holdout_fraction": .double(configuration.holdout), "uda_holdout_fraction": 0,
        "save_model_every_checkpoint": false, "skip_model_save": true,
      ])
    return BenchmarkRun(
      method: method.name, target: target, targetName: examples.domains[target], trial: trial, learningRate: rate,
      arguments: arguments, folderName: try RunFolder.name(for: arguments))
  }
}

public enum BenchmarkError: Error, Equatable, CustomStringConvertible {
  case noMethods
  case names([String])
  case trials(Int)
  case oneDomain([String])
  case target(String, suggestion: String)
  case changed(folder: String, differences: [String])
  case noTasks
  case tasks([String])
  case rates([Double])
  case noResult(run: String)
  /// No learning rate of the grid is a candidate.
  case diverged(method: String, task: String, rates: [Double])

  public var description: String {
    switch self {
    case .noMethods: "There is no method to compare. Give at least one."
    case .names(let names):
      "Two methods have the same name in [\(names.joined(separator: ", "))]. Give each a name of its own."
    case .trials(let trials): "\(trials) trials are not possible. Give 1 or more."
    case .oneDomain(let domains):
      "Leaving one domain out needs at least two, and there is only [\(domains.joined(separator: ", "))]."
    case .target(let name, let suggestion): "'\(name)' is none of the domains.\(suggestion)"
    case .noTasks: "There is no task to compare on. Give at least one."
    case .tasks(let names):
      "Two tasks have the same name in [\(names.joined(separator: ", "))]. Give each a name of its own."
    case .rates(let rates): "A learning rate stands in \(rates) twice. Give each once."
    case .noResult(let run): "\(run): the run ended and its folder holds no result. Remove the folder and run again."
    case .diverged(let method, let task, let rates):
      "\(method), task \(task): training diverged with every learning rate of \(rates). Use another folder and lower rates."
    case .changed(let folder, let differences):
      """
      The benchmark in '\(folder)' was started with other settings:
      \(differences.map { "  \($0)" }.joined(separator: "\n"))
      Use the old settings, or another folder.
      """
    }
  }
}
