import Datasets
import Formats
import Foundation
import MetaTuning
import NeuralNetworks
import Tensors
import Training

/// `graft meta train`: events become progress, `training.jsonl` and, at the end, the model's folder.
struct MetaTrainRunner: Sendable {
  static let logName = "training.jsonl"

  let settings: MetaSettings
  let isResumed: Bool
  let console: Console

  /// Everything that a run needs, checked before anything is written.
  private struct Prepared: Sendable {
    let network: any PretrainedNetwork
    let examples: any Examples
    let sampler: EpisodeSampler
    let validation: [EpisodeSampler]
    var leftOut: [EpisodeSampler.LeftOutClass] { sampler.leftOut + validation.flatMap(\.leftOut) }
  }

  private func prepare() async throws -> Prepared {
    let network = try settings.fewShot.backbone.load()
    let data = try await settings.fewShot.load(
      for: network, augmentation: settings.configuration.augmentation, console)
    return try samplers(network, data)
  }

  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashed on the two in one function.
  @inline(never)
  private func samplers(_ network: any PretrainedNetwork, _ data: FewShotData) throws -> Prepared {
    let configuration = settings.configuration
    func sampler(_ pools: [EpisodePool], seed: UInt64) throws -> EpisodeSampler {
      try EpisodeSampler(
        pools, settings: configuration.episodes, seed: seed,
        leavingOutSmallClasses: settings.fewShot.leavesOutSmallClasses)
    }
    let training = try data.pools(.training, named: settings.training)
    let validation =
      switch settings.validation {
      case let names? where names.isEmpty: [EpisodePool]()
      case let names?: try data.pools(.validation, named: names)
      case nil: try data.poolsWhereThereAre(.validation, among: training.map(\.name))
      }
    // The same episodes whatever the run's own seed is: states of several runs are chosen alike.
    return Prepared(
      network: network, examples: data.examples, sampler: try sampler(training, seed: configuration.seed),
      validation: try validation.map { try sampler([$0], seed: 0) })
  }

  // MARK: Training

  func run() async throws {
    let url = try settings.outputFolder()
    let prepared = try await prepare()
    report(prepared)
    let output = try OutputFolder(url, isContinued: isResumed)
    if !isResumed { try output.write(settings: settings.resolved(), resumedBy: "graft meta train") }
    let model = try await MetaModel(of: prepared.network, configuration: settings.configuration)
    let training = try MetaTraining(
      of: model, on: prepared.examples, sampler: prepared.sampler, validation: prepared.validation,
      checkpoints: output.folder("checkpoints"))
    let log = StepLog(at: output.file(Self.logName))
    var progress = Progress()
    do {
      for try await event in training {
        note(secondsToGo: progress.add(event, of: settings.configuration.steps))
        try await handle(event, log, output)
      }
    } catch let error as CancellationError {
      tellHowToGoOn(from: progress.checkpoint, output)
      throw error
    }
  }

  /// What is told of a run besides its events: how long it takes, and what it can be resumed from.
  private struct Progress {
    private(set) var checkpoint: URL?
    private var seconds: [Double] = []

    /// - Returns: the seconds to go, once they can be told: after the third step here, by the two before it, for the first one
    ///   also warms up.
    mutating func add(_ event: MetaEvent, of steps: Int) -> Double? {
      switch event {
      case .checkpoint(let url): checkpoint = url
      case .step(let step) where seconds.count < 3:
        seconds.append(step.seconds)
        if seconds.count == 3, step.step < steps { return (seconds[1] + seconds[2]) / 2 * Double(steps - step.step) }
      default: break
      }
      return nil
    }
  }

  private func note(secondsToGo seconds: Double?) {
    guard let seconds else { return }
    console.note("about \(Quantity.duration(seconds)) to go, without validation")
  }

  private func tellHowToGoOn(from checkpoint: URL?, _ output: OutputFolder) {
    guard let checkpoint else { return }
    console.note(
      "checkpoint in \(checkpoint.path); to go on: graft meta train --resume --output \(output.url.path)")
  }

  private func handle(_ event: MetaEvent, _ log: StepLog, _ output: OutputFolder) async throws {
    switch event {
    case .finished(let result): try await finish(result, output)
    case let event: try note(event, log)
    }
  }

  @inline(never)
  private func note(_ event: MetaEvent, _ log: StepLog) throws {
    let steps = settings.configuration.steps
    switch event {
    // A run that died before its first checkpoint is resumed from its beginning, and may have left no log, or lines of steps that
    // are taken again.
    case .started(_, _, let completed): try log.start(after: completed)
    case .resumed(let step, _): console.note("going on after step \(step)")
    case .step(let step):
      try log.append(step)
      var metrics = [("loss", Quantity.fixed(step.loss, 3)), ("accuracy", Quantity.percent(step.accuracy))]
      if let sparsity = step.hardSparsity.min() { metrics.append(("sparsity", Quantity.fixed(sparsity, 3))) }
      console.progress.show(settings.configuration.method.rawValue, step.step, of: steps, metrics: metrics)
    case .validated(let validation):
      try log.append(validation)
      let sets = validation.sets.map { "\($0.name) \(Quantity.percent($0.accuracy))" }.joined(separator: ", ")
      console.result(
        "step \(validation.step): \(Quantity.percent(validation.accuracy)) on validation classes (\(sets))")
    case .checkpoint, .finished: break
    }
  }

  private func finish(_ result: MetaResult, _ output: OutputFolder) async throws {
    let folder = output.folder(MetaFolder.modelFolder)
    let sparsity = try await Self.save(result, to: folder)
    try conclude(result, sparsity, folder, output)
  }

  /// - Returns: the fraction of each learned mask that is 0; empty without masks.
  @Compute
  private static func save(_ result: MetaResult, to folder: URL) throws -> [Double] {
    try result.restoreBest()
    try result.model.save(to: folder)
    guard let experts = result.model.weights as? SparseExperts, experts.settings.masks == nil else { return [] }
    return experts.hardSparsity
  }

  @inline(never)
  private func conclude(_ result: MetaResult, _ sparsity: [Double], _ folder: URL, _ output: OutputFolder) throws {
    let best = result.best?.validation
    if let asked = settings.configuration.sparsity, !sparsity.isEmpty {
      let reached = sparsity.map { Quantity.fixed($0, 3) }.joined(separator: " ")
      console.result("sparsity of the experts' masks \(reached), of \(Quantity.fixed(asked, 3)) asked for")
      if let warning = Self.warning(sparsity: sparsity, asked: asked) { console.warn(warning) }
    }
    console.result("model of step \(best.map { "\($0.step)" } ?? "\(settings.configuration.steps)") in \(folder.path)")
    try console.json(
      JSONValue.object([
        "output": .string(output.url.path), "model": .string(folder.path),
        "best": try best.map { try JSONValue(of: $0) } ?? .null,
        "hard_sparsity": .array(sparsity.map(JSONValue.double)),
        "validations": .array(try result.validations.map { try JSONValue(of: $0) }),
      ]).text(.readable))
  }

  /// What to do about masks that are less sparse than asked for; nil where none is by more than 0.01.
  static func warning(sparsity: [Double], asked: Double) -> String? {
    let missed = sparsity.count { $0 < asked - 0.01 }
    guard missed > 0 else { return nil }
    return "\(missed) of \(sparsity.count) masks did not become as sparse as asked for: raise mask_rate_per_weight or "
      + "multiplier_rate, or take more steps"
  }

  private func report(_ prepared: Prepared) {
    guard !prepared.leftOut.isEmpty else { return }
    let shown = prepared.leftOut.prefix(5).map { "\n  \($0.pool)/\($0.name): \($0.examples) examples" }.joined()
    console.warn("\(prepared.leftOut.count) classes have too few examples and are left out:\(shown)")
  }

  // MARK: Dry run

  /// What would be done, and how long it takes by a step of a copy with one of each.
  func preflight() async throws {
    let prepared = try await prepare()
    report(prepared)
    console.note("taking two steps of a copy to time them")
    try show(prepared, try await Self.probe(prepared, settings.configuration))
  }

  private struct Probe: Sendable {
    var parameters: Int
    var stateBytes: Int
    var secondsPerStep: Double?
  }

  private static func probe(_ prepared: Prepared, _ configuration: MetaConfiguration) async throws -> Probe {
    var short = configuration
    short.steps = 2
    // The code's schedule has no rates for so few steps.
    short.schedule = .constant
    short.keepsBest = false
    let model = try await MetaModel(of: prepared.network, configuration: short)
    let size = await sizes(of: model)
    let training = try MetaTraining(of: model, on: prepared.examples, sampler: prepared.sampler)
    var seconds: Double?
    for try await event in training {
      // The first one also warms up.
      if case .step(let step) = event { seconds = step.seconds }
    }
    return Probe(parameters: size.parameters, stateBytes: size.bytes, secondsPerStep: seconds)
  }

  @Compute
  private static func sizes(of model: MetaModel) -> (parameters: Int, bytes: Int) {
    let state = model.state
    let trained = state.filter { !$0.name.hasPrefix("weights.momentum.") }
    return (
      trained.reduce(0) { $0 + $1.tensor.count }, state.reduce(0) { $0 + $1.tensor.count * $1.tensor.dtype.size }
    )
  }

  @inline(never)
  private func show(_ prepared: Prepared, _ probe: Probe) throws {
    var pools = TextTable(header: ["Data set", "split", "classes", "examples"])
    for (split, samplers) in [("training", [prepared.sampler]), ("validation", prepared.validation)] {
      for pool in samplers.flatMap(\.pools) {
        pools.rows.append([
          pool.name, split, Quantity.count(pool.classes.count),
          Quantity.count(pool.classes.reduce(0) { $0 + $1.examples.count }),
        ])
      }
    }
    let configuration = settings.configuration
    let first = (0..<8).map { prepared.sampler.episode($0) }
    let support = first.reduce(0) { $0 + $1.supportExamples.count } / first.count
    let query = first.reduce(0) { $0 + $1.queryExamples.count } / first.count
    let keepsBest = configuration.keepsBest && !prepared.validation.isEmpty
    let checkpointBytes = probe.stateBytes * (keepsBest ? 2 : 1)
    let seconds = probe.secondsPerStep.map { $0 * Double(configuration.steps) }
    console.result(
      """
      \(pools.text)
      method      \(configuration.method.rawValue), \(configuration.preset.rawValue)
      episodes    about \(support) examples to learn from and \(query) to be asked about
      trainable   \(Quantity.count(probe.parameters)) numbers, \(Quantity.bytes(probe.stateBytes)) with their momentum
      checkpoints \(configuration.keptCheckpoints) of about \(Quantity.bytes(checkpointBytes))\
      \(keepsBest ? ", the best state so far in each" : "")
      steps       \(configuration.steps) of \(configuration.tasksPerStep) tasks
      time        about \(seconds.map { Quantity.duration($0) } ?? "?") without validation
      """)
    try console.json(
      JSONValue.object([
        "parameters": .integer(probe.parameters), "bytes": .integer(probe.stateBytes),
        "checkpoint_bytes": .integer(checkpointBytes),
        "steps": .integer(configuration.steps), "seconds": seconds.map(JSONValue.double) ?? .null,
      ]).text(.readable))
  }
}

/// `training.jsonl`: a line for each step and each validation.
private struct StepLog: Sendable {
  let url: URL

  init(at url: URL) { self.url = url }

  /// Keeps the lines up to a step: what follows a checkpoint is done, and written, again.
  func start(after step: Int) throws {
    guard FileManager.default.fileExists(atPath: url.path) else { return try AtomicFile.write("", to: url) }
    let kept = String(decoding: try Data(contentsOf: url), as: UTF8.self).split(separator: "\n").filter { line in
      // A line that was cut off when the process died is no line.
      guard let record = try? JSONValue(parsing: String(line)), let number = record["step"]?.integer else {
        return false
      }
      return number <= step
    }
    try AtomicFile.write(kept.map { $0 + "\n" }.joined(), to: url)
  }

  func append(_ step: MetaStep) throws {
    try append([
      "step": .integer(step.step), "loss": .double(step.loss), "cross_entropy": .double(step.crossEntropy),
      "distillation": .double(step.distillation), "accuracy": .double(step.accuracy),
      "hard_sparsity": .array(step.hardSparsity.map(JSONValue.double)),
      "multipliers": .array(step.multipliers.map(JSONValue.double)),
      "mixing": .array(step.mixing.map { .array($0.map(JSONValue.double)) }),
      "rate_factor": .double(step.rateFactor), "temperature": .double(step.temperature),
      "seconds": .double(step.seconds),
    ])
  }

  func append(_ validation: MetaValidation) throws {
    try append(["step": .integer(validation.step), "validation": try JSONValue(of: validation)])
  }

  private func append(_ record: JSONObject) throws {
    let line = Data((try JSONValue.object(record).text() + "\n").utf8)
    let file = try FileHandle(forWritingTo: url)
    defer { try? file.close() }
    try file.seekToEnd()
    try file.write(contentsOf: line)
  }
}
