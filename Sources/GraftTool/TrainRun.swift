import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Training

/// One run of `graft train`: its events become progress, `results.jsonl` and, at the end, the adapter's folder.
struct TrainRun {
  static let adapterFolder = "adapter"

  let settings: TrainSettings
  let backbone: VisionTransformer
  let examples: ImageExamples
  let target: Int?
  let output: OutputFolder

  func perform(_ console: Console) async throws {
    var recipe = settings.experiment.recipe
    // So that a run that is killed loses little; where it is stopped by a signal, a checkpoint is written anyway.
    recipe.checkpointInterval = recipe.checkpointInterval ?? recipe.evaluationInterval
    let model = try settings.method.row.model(on: backbone, classes: examples.classes, seed: recipe.seed)
    let fold = Fold(of: examples, target: target, trialSeed: recipe.trialSeed, holdout: recipe.holdout)
    let checkpoints = output.folder("checkpoints")
    let training = try Training(of: model, on: examples, fold: fold, configuration: recipe, checkpoints: checkpoints)

    let results = ResultsFile(at: output.file(ResultsFile.name))
    if let repair = try results.repair() { console.note("results.jsonl: \(repair)") }
    // What follows the checkpoint is done, and written, again.
    try results.discardRecords(after: Checkpoints(in: checkpoints).steps().last ?? -1)
    var log = TrainLog(settings: settings, examples: examples, fold: fold, hyperparameters: try hyperparameters(recipe))

    let label = settings.method.name
    for try await event in training {
      switch event {
      case .started(let plan):
        console.isJSON ? console.note("\(plan.parameters)") : console.result("\(plan.parameters)")
      case .resumed(let step, let evaluations):
        console.note("going on after step \(step)")
        // A process can die after its checkpoint and before the record of the same step is on the disk.
        let known = Set(try results.read().records.map(\.step))
        for scores in evaluations where !known.contains(scores.step) { try results.append(log.record(scores)) }
      case .step(let report):
        log.add(report)
        console.progress.show(
          label, report.step, of: recipe.steps, metrics: [("loss", Quantity.fixed(report.loss, 3))])
      case .evaluated(let scores):
        try results.append(log.record(scores))
        console.result("\(scores)")
      case .checkpoint: break
      case .finished(let result): try await finish(result, console)
      }
    }
  }

  private func finish(_ result: TrainingResult, _ console: Console) async throws {
    try await result.restoreSelected()
    let folder = output.folder(Self.adapterFolder)
    try result.model.save(to: folder)
    let step = result.selected?.scores.step
    console.result("adapter of step \(step.map(String.init) ?? "last") in \(folder.path)")
    try console.json(
      JSONValue.object([
        "output": .string(output.url.path), "adapter": .string(folder.path),
        "selected": try result.selected.map { try JSONValue(of: $0.scores) } ?? .null,
        "last": try result.evaluations.last.map { try JSONValue(of: $0) } ?? .null,
        "bad_images": .array(examples.badImages.map { .string("\($0)") }),
      ]).text(.readable))
  }

  private func hyperparameters(_ recipe: TrainingConfiguration) throws -> JSONObject {
    var all = try JSONValue(of: recipe).object ?? JSONObject()
    for (key, value) in try settings.method.resolved().members { all[key] = value }
    // The names that readers of these files look for.
    all["lr"] = .double(recipe.learningRate)
    all["batch_size"] = .integer(recipe.batchPerDomain)
    return all
  }
}

/// Turns the events of a run into the lines of its results file.
private struct TrainLog {
  private let run: RunArguments
  private let hyperparameters: JSONObject
  private let smallest: Int
  private let perDomain: Int
  private let batch: Int
  private let extras: JSONObject
  private var seconds = 0.0
  private var steps = 0
  private var memory = 0

  init(settings: TrainSettings, examples: ImageExamples, fold: Fold, hyperparameters: JSONObject) {
    let recipe = settings.experiment.recipe
    run = RunArguments(
      dataset: settings.experiment.data.lastPathComponent, algorithm: settings.method.name,
      testDomains: fold.target.map { [$0] } ?? [], trialSeed: recipe.trialSeed, seed: Int(clamping: recipe.seed),
      others: ["steps": .integer(recipe.steps), "holdout_fraction": .double(recipe.holdout)])
    self.hyperparameters = hyperparameters
    smallest = max(1, fold.pools.map(\.count).min() ?? 1)
    perDomain = recipe.batchPerDomain
    batch = perDomain * fold.sources.count
    extras =
      examples.badImages.isEmpty ? [:] : ["bad_images": .array(examples.badImages.map { .string("\($0)") })]
  }

  mutating func add(_ report: StepReport) {
    if report.imagesPerSecond > 0 { seconds += Double(batch) / report.imagesPerSecond }
    steps += 1
    memory = max(memory, report.peakMemory)
  }

  mutating func record(_ scores: Scores) -> ResultRecord {
    defer { (seconds, steps) = (0, 0) }
    return ResultRecord(
      run: run, hyperparameters: hyperparameters, step: scores.step,
      epoch: Double(scores.step) * Double(perDomain) / Double(smallest), loss: scores.trainingLoss,
      stepTime: steps > 0 ? seconds / Double(steps) : nil, memory: Double(memory) / 0x1p30,
      domains: scores.domains.map {
        DomainScore(
          inAccuracy: $0.inAccuracy ?? .nan, outAccuracy: $0.outAccuracy, inCount: $0.inCount, outCount: $0.outCount)
      }, extras: extras)
  }
}
