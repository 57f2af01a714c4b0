import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Training

/// `graft tasks`: the runs that are missing, then tables of everything recorded.
struct TasksRunner {
  let settings: TaskSettings
  /// nil for all; empty to train nothing.
  let chosenMethods: [String]?
  let failsFast: Bool
  let isMarkdown: Bool
  let console: Console

  func run() async throws {
    let names = settings.methods.map(\.name)
    if let unknown = chosenMethods?.first(where: { !names.contains($0) }) {
      throw ConfigurationError.value(
        place: "--methods",
        problem: "there is no method '\(unknown)'.\(Suggestion.didYouMean(unknown, among: names)) "
          + "The methods are \(names.joined(separator: ", ")).")
    }
    let folder = try settings.folder()
    let groups = try settings.groups(of: folder)
    let backbone = try settings.experiment.backbone.loadForImages("graft tasks")
    // Before any image is decoded: whether every method fits.
    for method in settings.methods {
      _ = try method.row.model(
        on: backbone, classes: folder.tasks[0].classes, seed: settings.experiment.recipe.seed)
    }
    let output = try OutputFolder(shared: settings.experiment.outputFolder(), settings: settings.resolved())
    let tasks = try await examples(folder, for: backbone)

    var benchmark = try TaskBenchmark(
      of: settings.methods.map(\.row), backbone: backbone, on: tasks, groups: groups,
      dataset: folder.root.lastPathComponent, protocol: settings.taskProtocol, trials: settings.trials,
      configuration: settings.experiment.recipe, learningRates: settings.learningRates, output: output.folder("runs"))
    benchmark.chosenMethods = chosenMethods.map(Set.init)
    benchmark.stopsAtError = failsFast
    try finish(try await perform(benchmark), in: output.folder("results"))
  }

  /// Decoded into the cache, task by task.
  private func examples(_ folder: TaskFolder, for backbone: VisionTransformer) async throws -> [TaskExamples] {
    for file in folder.ignoredFiles.prefix(5) where file.path.contains("/") { console.note("not used: \(file)") }
    var tasks: [TaskExamples] = []
    for task in folder.tasks {
      let examples = try await ImageExamples.open(
        task.folder, configuration: settings.experiment.recipe,
        normalization: settings.experiment.normalization(for: backbone), cache: AssetFolder.imageCache
      ) { done, total in
        console.progress.show("decoding \(task.name)", done, of: total)
      }
      if !examples.badSamples.isEmpty {
        let shown = examples.badSamples.prefix(5).map { "\n  \($0)" }.joined()
        console.warn("\(examples.badSamples.count) images of \(task.name) cannot be used and are left out:\(shown)")
      }
      tasks.append(try TaskExamples(task, examples))
    }
    return tasks
  }

  private func perform(_ benchmark: TaskBenchmark) async throws -> TaskBenchmarkReport {
    guard chosenMethods != [] else { return try benchmark.report() }
    var label = ""
    var (number, count) = (0, 0)
    for try await event in benchmark {
      switch event {
      case .planned(let runs, let done):
        (number, count) = (done, runs)
        if done > 0 { console.note("\(done) of \(runs) runs are done already") }
      case .started(let run):
        number += 1
        label = "[\(number)/\(count)] \(run.method), \(run.task), "
        label += run.phase == .search ? "\(run.learningRate)" : "trial \(run.trial)"
      case .training(_, .step(let report)):
        console.progress.show(
          label, report.step, of: benchmark.configuration.steps, metrics: [("loss", Quantity.fixed(report.loss, 3))])
      case .training: break
      case .chosen(let method, let task, let rate, let accuracy):
        console.note("\(method), \(task): learning rate \(rate), \(Quantity.percent(accuracy)) %")
      case .finished(let run, let accuracy):
        let place = run.phase == .search ? "validation" : "test"
        console.note("\(label): \(place) \(Quantity.percent(accuracy)) %")
      case .failed(let run, let error): console.warn("\(run) failed: \(error)")
      case .elsewhere(let run):
        // Finished by another process, for this one's count.
        number += 1
        console.progress.show("\(run.method), \(run.task): another process is at it", number, of: max(number, count))
      case .completed(let report): return report
      }
    }
    throw CancellationError()
  }

  private func finish(_ report: TaskBenchmarkReport, in folder: URL) throws {
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
      throw OutputError.notWritable(folder.path, reason: error.localizedDescription)
    }
    let table = report.table
    var json = table.json.object ?? JSONObject()
    json["protocol"] = .string(report.taskProtocol.rawValue)
    json["trials"] = .integer(report.trials)
    json["is_complete"] = .bool(report.isComplete)
    let object = try JSONValue.object(json).text(.readable) + "\n"
    for (text, name) in [
      (table.markdown, "table.md"), (object, "table.json"), (report.csv, "runs.csv"),
      (try report.jsonLines, "results.jsonl"),
    ] {
      try AtomicFile.write(text, to: folder.appendingPathComponent(name))
    }
    console.result(isMarkdown ? table.markdown : table.plainText)
    console.json(object)
    for (method, rates) in Dictionary(grouping: report.atEdge, by: \.method).sorted(by: { $0.key < $1.key }) {
      let tasks = rates.map { "\($0.task) \($0.learningRate)" }.joined(separator: ", ")
      console.note("\(method): rates at the edge of the grid, where a wider one may serve better: \(tasks)")
    }
    console.note("tables in \(folder.path)")
    if report.elsewhere > 0 {
      console.note("\(report.elsewhere) runs are being done by another process; it will write the tables anew")
    } else if !report.isComplete {
      console.note("some runs are missing; the same call without --methods does them")
    }
    guard report.failures.isEmpty else { throw TaskRunsFailed(failures: report.failures) }
  }
}

/// Some runs were given up.
struct TaskRunsFailed: Error, CustomStringConvertible {
  let failures: [TaskBenchmarkReport.Failure]

  var description: String {
    "\(failures.count) runs failed:\n" + failures.map { "  \($0.run): \($0.message)" }.joined(separator: "\n")
      + "\nThe tables show X for what needs them. The same call tries them again."
  }
}
