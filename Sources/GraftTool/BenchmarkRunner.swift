import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Studies
import Training

/// `graft benchmark`: a search for learning rates where one is asked for, the runs that are missing, tables, pictures.
struct BenchmarkRunner {
  let settings: BenchmarkSettings
  let failsFast: Bool
  let format: BenchmarkResults.Format
  let console: Console

  func run() async throws {
    let backbone = try settings.experiment.backbone.load()
    let data = try settings.experiment.data(for: backbone)
    let targets = settings.targets ?? data.domains
    for target in targets { _ = try data.target(leavingOut: target) }
    let tuned = settings.tuning?.leaveOut ?? targets.last ?? ""
    if settings.tuning != nil { _ = try data.target(leavingOut: tuned) }
    // Before any image is decoded: whether every method fits.
    for method in settings.methods {
      _ = try method.row.model(on: backbone, classes: data.classes, seed: settings.experiment.recipe.seed)
    }
    let output = try OutputFolder(settings.experiment.outputFolder(), isContinued: true)
    if !FileManager.default.fileExists(atPath: output.file(OutputFolder.settingsName).path) {
      try output.write(settings: settings.resolved())
    }
    let examples = try await settings.experiment.examples(data, for: backbone, console)
    let store = FeatureStore()

    var methods = settings.methods.map(\.row)
    if let tuning = settings.tuning {
      var recipe = recipe
      recipe.steps = tuning.steps ?? recipe.steps
      recipe.evaluationInterval = min(recipe.evaluationInterval, recipe.steps)
      let search = try Benchmark.learningRateSearch(
        tuning.learningRates, for: methods, backbone: backbone, on: examples, dataset: dataset, target: tuned,
        configuration: recipe, output: output.folder("tuning"), store: store)
      let report = try await perform(search, "tuning")
      let rates = report.learningRates()
      guard methods.allSatisfy({ rates[$0.name] != nil }) else { throw RunsFailed(failures: report.failures) }
      let grid = tuning.learningRates.sorted()
      for (name, rate) in rates.sorted(by: { $0.key < $1.key })
      where grid.count > 1 && (rate == grid.first || rate == grid.last) {
        console.warn("\(name): \(rate) lies at the edge of the grid; a wider grid may serve it better")
      }
      methods = methods.with(learningRates: rates)
      for method in methods {
        console.note("\(method.name): learning rate \(method.learningRate ?? recipe.learningRate)")
      }
    }

    var benchmark = try Benchmark(
      of: methods, backbone: backbone, on: examples, dataset: dataset, targets: targets, trials: settings.trials,
      configuration: recipe, output: output.folder("runs"), store: store)
    benchmark.stopsAtError = failsFast
    benchmark.savesAdapters = settings.savesAdapters
    let soups = try SoupBenchmark(settings.soups, of: benchmark, output: output.folder("single-domain"))
    let report = try await soups.adding(to: perform(benchmark, nil)) { [console] in console.note($0) }
    try output.write(settings: settings.resolved())

    let results = BenchmarkResults(report: report, targets: targets)
    let resultsFolder = output.folder("results")
    try results.write(to: resultsFolder)
    if let images = examples as? ImageExamples { try await studyRouting(benchmark, images, in: resultsFolder) }
    console.result(try results.rendered(as: format))
    try console.json(try results.rendered(as: .json))
    console.note("tables and drawings in \(resultsFolder.path)")
    for line in report.badLines { console.warn("not read: \(line)") }
    guard report.failures.isEmpty else { throw RunsFailed(failures: report.failures) }
  }

  private var dataset: String { settings.experiment.data.lastPathComponent }

  private var recipe: TrainingConfiguration {
    var recipe = settings.experiment.recipe
    recipe.checkpointInterval = recipe.checkpointInterval ?? recipe.evaluationInterval
    return recipe
  }

  private func perform(_ benchmark: Benchmark, _ prefix: String?) async throws -> BenchmarkReport {
    var label = ""
    for try await event in benchmark {
      switch event {
      case .planned(let runs, let done):
        if done > 0 { console.note("\(done) of \(runs.count) runs are done already") }
      case .started(let run, let number, let count):
        label = (prefix.map { "\($0) " } ?? "") + "[\(number)/\(count)] \(run.method), \(run.targetName)"
        if settings.trials > 1, prefix == nil { label += ", trial \(run.trial)" }
        if prefix != nil { label += ", \(run.learningRate)" }
      case .training(_, .started(let plan)):
        console.note("\(label): \(plan.parameters)")
        if plan.adapterParameters == 0 {
          console.note("  computing the frozen network's features of all inputs, once for all such runs")
        }
      case .training(_, .step(let report)):
        console.progress.show(
          label, report.step, of: benchmark.configuration.steps, metrics: [("loss", Quantity.fixed(report.loss, 3))])
      case .training: break
      case .finished(_, let scores):
        if let scores { console.note("\(label): \(scores)") }
      case .failed(let run, let error): console.warn("\(run) failed: \(error)")
      case .completed(let report): return report
      }
    }
    throw CancellationError()
  }

  /// For each mixture, the first target's model of the first trial, on images of all domains.
  private func studyRouting(_ benchmark: Benchmark, _ examples: ImageExamples, in folder: URL) async throws {
    guard settings.pictures > 0 else { return }
    var reports = JSONObject()
    for method in benchmark.methods where method.adapter is MixtureOfAdapters {
      guard let run = benchmark.runs.first(where: { $0.method == method.name }),
        benchmark.folder(of: run).state == .done
      else { continue }
      let adapter = benchmark.folder(of: run).url.appendingPathComponent("adapter")
      guard FileManager.default.fileExists(atPath: adapter.path) else { continue }
      let model = try AdapterFolder.load(from: adapter, onto: benchmark.backbone)
      console.note("routing of \(method.name)")
      let study = try await RoutingStudy(
        of: model, on: examples, title: "\(method.name), trained without \(run.targetName)",
        perDomain: Self.imagesPerDomain, pictured: settings.pictures, batchSize: recipe.evaluationBatch)
      reports[method.name] = [
        "target": .string(run.targetName), "layers": try JSONValue(of: study.report)["layers"] ?? [],
      ]
      let name = Self.fileName(method.name)
      try AtomicFile.write(study.grid.svg, to: folder.appendingPathComponent("routing-\(name).svg"))
      try AtomicFile.write(study.load.svg, to: folder.appendingPathComponent("routing-load-\(name).svg"))
    }
    guard !reports.isEmpty else { return }
    try AtomicFile.write(
      try JSONValue.object(reports).text(.readable) + "\n", to: folder.appendingPathComponent("routing.json"))
  }

  private static let imagesPerDomain = 64

  /// A name as part of a file's: letters and digits, the rest as `-`.
  private static func fileName(_ name: String) -> String {
    String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }.prefix(60))
  }
}

/// Some runs of a benchmark were given up.
struct RunsFailed: Error, CustomStringConvertible {
  let failures: [BenchmarkReport.Failure]

  var description: String {
    "\(failures.count) runs failed:\n"
      + failures.map { "  \($0.run): \($0.message)" }.joined(separator: "\n")
      + "\nThe tables show X for them. The same call tries them again."
  }
}
