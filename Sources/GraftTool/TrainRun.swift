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
  let backbone: any PretrainedNetwork
  let examples: any Examples
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
    let run = RunArguments(
      dataset: settings.experiment.data.lastPathComponent, algorithm: settings.method.name,
      testDomains: fold.target.map { [$0] } ?? [], trialSeed: recipe.trialSeed, seed: Int(clamping: recipe.seed),
      others: ["steps": .integer(recipe.steps), "holdout_fraction": .double(recipe.holdout)])
    var log = RecordLog(
      run: run, hyperparameters: try hyperparameters(recipe), examples: examples, fold: fold,
      batchPerDomain: recipe.batchPerDomain)

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
    // It is there where the same run is resumed once more after its end.
    try result.model.saveAgain(to: folder)
    let step = result.selected?.scores.step
    console.result("adapter of step \(step.map(String.init) ?? "last") in \(folder.path)")
    try console.json(
      JSONValue.object([
        "output": .string(output.url.path), "adapter": .string(folder.path),
        "selected": try result.selected.map { try JSONValue(of: $0.scores) } ?? .null,
        "last": try result.evaluations.last.map { try JSONValue(of: $0) } ?? .null,
        "bad_images": .array(examples.badSamples.map { .string("\($0)") }),
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
