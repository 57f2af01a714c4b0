import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Tensors

/// Many small tasks: every method on every task with several seeds, learning rates tuned alike for all. The protocol of
/// VTAB-1k, for any tasks.
///
/// For each task and method: a run for each learning rate of the grid, the choice, then a run for each seed; see
/// `TaskProtocol`. Zhai et al. 2019, arXiv:1910.04867; the score is the mean of the groups' means.
///
/// Under `output`:
///
/// | path | holds |
/// |---|---|
/// | `benchmark.json` | the settings; a later call with others is refused, but for methods, tasks and seeds that are added |
/// | `MD5-OF-ARGUMENTS/results.jsonl` | one line for each evaluation of a run |
/// | `MD5-OF-ARGUMENTS/diverged` | in place of a result: why a learning rate of the grid is no candidate |
/// | `MD5-OF-ARGUMENTS/done` | the run is over |
///
/// What is done is not done again. Several processes may work in one folder at once: each run is taken by one of them, and the report
/// of each has what is recorded at its end. Trial `t` has the configuration's seed plus `t`; splits are the tasks' own. The same
/// call gives the same results but for times.
public struct TaskBenchmark: AsyncSequence, Sendable {
  public typealias Element = TaskBenchmarkEvent

  public let methods: [Method]
  public let backbone: any Backbone
  public let tasks: [TaskExamples]
  public let groups: TaskGroups
  /// The name results carry.
  public let dataset: String
  public let taskProtocol: TaskProtocol
  public let trials: Int
  public let configuration: TrainingConfiguration
  /// Empty to train each method with its own rate.
  public let learningRates: [Double]
  public let output: URL
  /// Trainable numbers of each method's adapter, the classifier's not counted.
  public let parameters: [String: Int]
  /// Names of the methods that this call trains; the report has all. nil for every one.
  public var chosenMethods: Set<String>?
  /// Whether the first run that fails ends the benchmark.
  public var stopsAtError = false

  private let identity: BenchmarkIdentity

  /// - Parameters:
  ///   - groups: every task must be in one of them.
  ///   - trials: seeds of the runs that count.
  ///   - learningRates: one grid for every method; the first of equals is chosen.
  /// - Throws: `BenchmarkError`, `TaskGroupsError`, `TrainingConfigurationError`, and what making each method's model
  ///   throws: no run starts before every method is known to fit.
  public init(
    of methods: [Method], backbone: any Backbone, on tasks: [TaskExamples], groups: TaskGroups, dataset: String,
    protocol taskProtocol: TaskProtocol = .validation, trials: Int = 3, configuration: TrainingConfiguration,
    learningRates: [Double] = [], output: URL
  ) throws {
    try configuration.validate()
    guard let first = tasks.first else { throw BenchmarkError.noTasks }
    guard !methods.isEmpty else { throw BenchmarkError.noMethods }
    guard Set(methods.map(\.name)).count == methods.count else { throw BenchmarkError.names(methods.map(\.name)) }
    guard Set(tasks.map(\.name)).count == tasks.count else { throw BenchmarkError.tasks(tasks.map(\.name)) }
    guard trials > 0 else { throw BenchmarkError.trials(trials) }
    guard Set(learningRates).count == learningRates.count else { throw BenchmarkError.rates(learningRates) }
    for rate in learningRates + methods.compactMap(\.learningRate) {
      var changed = configuration
      changed.learningRate = rate
      try changed.validate()
    }
    var parameters: [String: Int] = [:]
    for method in methods {
      let model = try method.model(on: backbone, classes: first.examples.classes, seed: configuration.seed)
      parameters[method.name] = model.adapter.parameterCount
    }
    self.methods = methods
    self.backbone = backbone
    self.tasks = tasks
    self.groups = try groups.selecting(tasks.map(\.name))
    self.dataset = dataset
    self.taskProtocol = taskProtocol
    self.trials = trials
    var configuration = configuration
    // Nothing before the last step decides anything, so nothing before it is measured.
    if taskProtocol == .validation { configuration.evaluationInterval = configuration.steps }
    self.configuration = configuration
    self.learningRates = learningRates
    self.output = output
    self.parameters = parameters
    var settings: [String: JSONValue] = [
      "dataset": .string(dataset), "backbone": .string(backbone.fingerprint),
      "protocol": .string(taskProtocol.rawValue), "learning_rates": .array(learningRates.map(JSONValue.double)),
    ]
    for task in tasks { settings[BenchmarkIdentity.taskPrefix + task.name] = .string(task.fingerprint) }
    identity = try BenchmarkIdentity(
      settings, methods: methods, configuration: configuration, without: ["trial_seed", "holdout"])
  }

  public func makeAsyncIterator() -> EventIterator<TaskBenchmarkEvent> {
    EventIterator { send in try await run(send) }
  }

  /// Reads the events to the end.
  public func finish() async throws -> TaskBenchmarkReport {
    var completed: TaskBenchmarkReport?
    for try await event in self {
      if case .completed(let report) = event { completed = report }
    }
    guard let completed else { throw CancellationError() }
    return completed
  }

  /// What is recorded in the folder, without training anything.
  public func report() throws -> TaskBenchmarkReport { try TaskBenchmarkReport(of: self, failures: [], elsewhere: 0) }

  // MARK: All runs

  private struct Cell {
    var method: Method
    var task: TaskExamples
  }

  private func run(_ send: @escaping @Sendable (TaskBenchmarkEvent) -> Void) async throws {
    try RunFolder(at: output).create()
    try await checkIdentity()
    let chosen = methods.filter { chosenMethods?.contains($0.name) ?? true }
    var cells = tasks.flatMap { task in chosen.map { Cell(method: $0, task: task) } }
    let done = try cells.reduce(0) { try $0 + runs($1).count { folder(of: $0).state == .done } }
    send(.planned(runs: cells.count * ((learningRates.isEmpty ? 0 : learningRates.count) + finalRuns), done: done))

    var failures: [TaskBenchmarkReport.Failure] = []
    var elsewhere: Set<TaskRun> = []
    var store: (task: String, features: FeatureStore) = ("", FeatureStore())
    // What another process is at is looked at again once the rest is done: it may have ended, or died.
    while !cells.isEmpty {
      var left: [Cell] = []
      let before = elsewhere
      elsewhere = []
      var trained = 0
      for cell in cells {
        // One task's features at a time: those of many would not fit.
        if store.task != cell.task.name { store = (cell.task.name, FeatureStore()) }
        let outcome = try await perform(cell, store.features, send)
        failures += outcome.failures
        trained += outcome.trained
        if !outcome.elsewhere.isEmpty {
          left.append(cell)
          elsewhere.formUnion(outcome.elsewhere)
        }
      }
      if trained == 0 && before == elsewhere { break }
      cells = left
    }
    send(.completed(try TaskBenchmarkReport(of: self, failures: failures, elsewhere: elsewhere.count)))
  }

  /// Runs of a cell that test, beside those that search.
  private var finalRuns: Int {
    // The published way's search tests already: its first seed is one of the runs that count.
    taskProtocol == .paper && !learningRates.isEmpty ? trials - 1 : trials
  }

  /// Two processes that start together must not lose each other's methods.
  private func checkIdentity() async throws {
    for attempt in 0... {
      do {
        let lock = try FileLock(folder: output)
        defer { lock.release() }
        return try identity.check(in: output)
      } catch let error as FileLockError {
        guard attempt < 200 else { throw error }
        try await Task.sleep(for: .milliseconds(50))
      }
    }
  }

  private struct Outcome {
    var trained = 0
    var failures: [TaskBenchmarkReport.Failure] = []
    var elsewhere: Set<TaskRun> = []
  }

  private func perform(
    _ cell: Cell, _ store: FeatureStore, _ send: @escaping @Sendable (TaskBenchmarkEvent) -> Void
  ) async throws -> Outcome {
    var outcome = Outcome()
    for run in try searches(cell.method, cell.task) { try await take(run, cell, store, &outcome, send) }
    guard outcome.elsewhere.isEmpty, outcome.failures.isEmpty else { return outcome }
    guard let choice = try choice(cell.method, cell.task) else {
      let error = BenchmarkError.diverged(method: cell.method.name, task: cell.task.name, rates: learningRates)
      if stopsAtError { throw error }
      if let run = try searches(cell.method, cell.task).first {
        outcome.failures.append(.init(run: run, message: "\(error)"))
        send(.failed(run, error))
      }
      return outcome
    }
    let missing = try finals(cell.method, cell.task, learningRate: choice.learningRate).filter {
      folder(of: $0).state != .done
    }
    if !learningRates.isEmpty, !missing.isEmpty {
      send(
        .chosen(
          method: cell.method.name, task: cell.task.name, learningRate: choice.learningRate,
          accuracy: choice.accuracy))
    }
    for run in missing { try await take(run, cell, store, &outcome, send) }
    return outcome
  }

  /// Does a run unless it is done or another process is at it.
  private func take(
    _ run: TaskRun, _ cell: Cell, _ store: FeatureStore, _ outcome: inout Outcome,
    _ send: @escaping @Sendable (TaskBenchmarkEvent) -> Void
  ) async throws {
    try Task.checkCancellation()
    let folder = folder(of: run)
    guard folder.state != .done else { return }
    try folder.create()
    let lock: FileLock
    do { lock = try FileLock(folder: folder.url) } catch is FileLockError {
      outcome.elsewhere.insert(run)
      send(.elsewhere(run))
      return
    }
    defer { lock.release() }
    // It may have been finished between the look and the lock.
    guard folder.state != .done else { return }
    outcome.trained += 1
    send(.started(run))
    do {
      send(.finished(run, accuracy: try await train(run, cell, store, send)))
    } catch let error as CancellationError {
      throw error
    } catch {
      // The same rate would diverge again: that is its result.
      if isSearch(run), case TrainingError.notFinite = error {
        try AtomicFile.write("\(error)\n", to: folder.url.appendingPathComponent(Self.divergedName))
        try folder.markDone()
      } else {
        if stopsAtError { throw error }
        outcome.failures.append(.init(run: run, message: "\(error)"))
      }
      send(.failed(run, error))
    }
  }

  private static let divergedName = "diverged"

  private func isSearch(_ run: TaskRun) -> Bool {
    run.phase == .search || taskProtocol == .paper && !learningRates.isEmpty && run.trial == 0
  }

  private func train(
    _ run: TaskRun, _ cell: Cell, _ store: FeatureStore, _ send: @escaping @Sendable (TaskBenchmarkEvent) -> Void
  ) async throws -> Double {
    let own = configuration(of: run)
    let recorded = RecordedRun(
      folder: folder(of: run), arguments: run.arguments,
      hyperparameters: try cell.method.hyperparameters(with: own), configuration: own, examples: cell.task.examples,
      fold: cell.task.fold(for: run.phase))
    let model = try cell.method.model(on: backbone, classes: cell.task.examples.classes, seed: own.seed)
    _ = try await recorded.perform(model, store: store) { send(.training(run, $0)) }
    try recorded.markDone()
    guard let result = try result(of: run) else { throw BenchmarkError.noResult(run: "\(run)") }
    return result.accuracy
  }

  public func folder(of run: TaskRun) -> RunFolder {
    RunFolder(at: output.appendingPathComponent(run.folderName, isDirectory: true))
  }

  /// The configuration of one run.
  public func configuration(of run: TaskRun) -> TrainingConfiguration {
    var own = configuration
    own.learningRate = run.learningRate
    own.seed = UInt64(clamping: run.arguments.seed)
    return own
  }

  // MARK: What is recorded

  struct Recorded {
    var accuracy: Double
    var step: Int
    var records: [ResultRecord]
  }

  /// What counts of a run: of a search the validation accuracy, else the test accuracy, of the last step or, in the published
  /// way, of the best. nil unless it is done and did not diverge.
  func result(of run: TaskRun) throws -> Recorded? {
    let folder = folder(of: run)
    guard folder.state == .done else { return nil }
    let records = try folder.results.read().records
    func accuracy(_ record: ResultRecord) -> Double? {
      let value = run.phase == .search ? record.domains.first?.outAccuracy : record.domains.last?.inAccuracy
      return value.flatMap { $0.isNaN ? nil : $0 }
    }
    let known = records.compactMap { record in accuracy(record).map { (record.step, $0) } }
    let counted =
      taskProtocol == .paper
      // The first of equals.
      ? known.reduce(nil) { best, next in best.map { next.1 > $0.1 ? next : $0 } ?? next }
      : known.last { $0.0 == configuration.steps }
    guard let counted, !FileManager.default.fileExists(atPath: divergence(of: run).path) else { return nil }
    return Recorded(accuracy: counted.1, step: counted.0, records: records)
  }

  private func divergence(of run: TaskRun) -> URL { folder(of: run).url.appendingPathComponent(Self.divergedName) }

  /// The learning rate of a method on a task: the grid's best, the first of equals, or without a grid its own. nil while
  /// runs of the search are missing, or where every rate diverged.
  func choice(_ method: Method, _ task: TaskExamples) throws -> (learningRate: Double, accuracy: Double)? {
    guard !learningRates.isEmpty else { return (method.learningRate ?? configuration.learningRate, .nan) }
    var best: (learningRate: Double, accuracy: Double)?
    for run in try searches(method, task) {
      guard folder(of: run).state == .done else { return nil }
      guard let result = try result(of: run) else { continue }
      if result.accuracy > best?.accuracy ?? -1 { best = (run.learningRate, result.accuracy) }
    }
    return best
  }

  // MARK: Runs

  /// One for each rate of the grid.
  func searches(_ method: Method, _ task: TaskExamples) throws -> [TaskRun] {
    try learningRates.map { rate in
      try run(method, task, taskProtocol == .paper ? .final : .search, trial: 0, learningRate: rate)
    }
  }

  /// One for each seed, with one learning rate.
  func finals(_ method: Method, _ task: TaskExamples, learningRate: Double) throws -> [TaskRun] {
    try (0..<trials).map { try run(method, task, .final, trial: $0, learningRate: learningRate) }
  }

  /// Those that are known so far.
  private func runs(_ cell: Cell) throws -> Set<TaskRun> {
    let searches = try searches(cell.method, cell.task)
    guard let rate = try choice(cell.method, cell.task)?.learningRate else { return Set(searches) }
    return Set(searches + (try finals(cell.method, cell.task, learningRate: rate)))
  }

  private func run(
    _ method: Method, _ task: TaskExamples, _ phase: TaskRun.Phase, trial: Int, learningRate: Double
  ) throws -> TaskRun {
    var own = configuration
    own.learningRate = learningRate
    var settings = try method.runSettings(with: own)
    settings["backbone"] = .string(backbone.fingerprint)
    settings["examples"] = .string(task.fingerprint)
    let (seed, tooLarge) = Int(clamping: configuration.seed).addingReportingOverflow(trial)
    guard !tooLarge else { throw BenchmarkError.trials(trial) }
    let arguments = RunArguments(
      dataset: "\(dataset)/\(task.name)", algorithm: method.name, testDomains: [1], trialSeed: trial,
      hparamsSeed: learningRates.firstIndex(of: learningRate).map { $0 + 1 } ?? 0, seed: seed,
      others: [
        "task": "classification", "protocol": .string(taskProtocol.rawValue), "phase": .string(phase.rawValue),
        "hparams": .string(try JSONValue.object(settings).text(.python)), "steps": .integer(configuration.steps),
        "checkpoint_freq": .integer(configuration.evaluationInterval),
      ])
    return TaskRun(
      method: method.name, task: task.name, phase: phase, trial: trial, learningRate: learningRate,
      arguments: arguments, folderName: try RunFolder.name(for: arguments))
  }
}
