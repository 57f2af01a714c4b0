import ArgumentParser
import Datasets
import Formats
import Foundation
import Reports
import Training

/// `graft benchmark`
struct BenchmarkCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Compare methods on domains left out of training, with trials and standard errors.",
    discussion: """
      For every method, target domain and trial: train on the other domains, choose the step by what was held out of \
      them, report the accuracy on the target. The methods stand in the configuration file:

        model: vit-s14
        data: emoji-styles
        image_size: 112
        trials: 3
        steps: 300
        methods:
          - {name: Linear probe, method: linear-probe, learning_rate: 1e-2}
          - {name: LoRA, method: lora, settings: {rank: 8}, targets: [qkv]}
          - {name: K-MoA, method: k-moa, settings: {dimension: 32}, targets: [qkv], blocks: every-second}
        tune: {learning_rates: [1e-4, 1e-3], leave_out: symbola, steps: 100}   # optional
        output: runs/emoji

      All settings, on one level: \(BenchmarkSettings.keys.joined(separator: ", ")).
      Of a method: \(MethodSettings.keys.joined(separator: ", ")).
      Of tune: \(BenchmarkSettings.Tuning.keys.joined(separator: ", ")).

      The same call continues with what is missing. The output folder gets runs/ (a folder for each run, as \
      DomainBed's collect_results reads it) and results/: table.md, table.tex, table.json, accuracy.svg, loss.svg, \
      and, for mixtures, routing.json and pictures of what the router does.

      methods:
      \(MethodSettings.methodHelp)
      """)

  @OptionGroup(title: "Data and model") var data: DataOptions
  @OptionGroup(title: "Recipe") var recipe: RecipeOptions

  @Option(help: "How often each run is repeated, with other splits and seeds (default: 3).")
  var trials: Int?

  @Option(help: ArgumentHelp("The domains to leave out in turn (default: every one).", valueName: "names"))
  var leaveOut: String?

  @Flag(help: "End at the first run that fails, rather than report it at the end.")
  var failFast = false

  @Flag(help: "Print the tables as Markdown.")
  var markdown = false

  @Flag(help: "Print the tables as LaTeX.")
  var latex = false

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    if [markdown, latex, console.json].count(where: \.self) > 1 {
      throw ValidationError("Only one of --markdown, --latex and --json can be given.")
    }
  }

  func run() async throws {
    let console = Console(console)
    let settings = try settings()
    if recipe.dryRun { return try await BenchmarkPreflight(settings, console).run() }
    let format: BenchmarkResults.Format = markdown ? .markdown : latex ? .latex : .text
    try await BenchmarkRunner(settings: settings, failsFast: failFast, format: format, console: console).run()
  }

  private func settings() throws -> BenchmarkSettings {
    var section = Section()
    if let config = data.config {
      try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: BenchmarkSettings.keys)
    }
    data.apply(to: &section)
    recipe.apply(to: &section)
    section.set("trials", trials.map(JSONValue.integer), flag: "--trials")
    section.set("leave_out", leaveOut.map(list), flag: "--leave-out")
    return try BenchmarkSettings(section)
  }
}

/// `graft benchmark --dry-run`: what each method adapts, and how long all of it takes.
private struct BenchmarkPreflight {
  let settings: BenchmarkSettings
  let console: Console

  init(_ settings: BenchmarkSettings, _ console: Console) {
    self.settings = settings
    self.console = console
  }

  func run() async throws {
    let preflight = try await Preflight(settings.experiment, console)
    let targets = settings.targets ?? preflight.data.domains
    var table = TextTable(header: ["Method", "sites", "trainable", "head", "trainable%", "memory", "s/step", "a run"])
    var rows: [Preflight.Row] = []
    for (place, method) in settings.methods.enumerated() {
      console.progress.show("timing", place, of: settings.methods.count)
      let row = try await preflight.row(for: method.row, leavingOut: targets.first)
      let plan = row.plan
      table.rows.append([
        method.name, plan.adapterParameters > 0 ? "\(plan.sites.count)" : "0", Quantity.count(plan.adapterParameters),
        Quantity.count(plan.headParameters),
        Quantity.fixed(100 * Double(plan.parameters.trainable) / Double(max(1, plan.parameters.total)), 4),
        Quantity.bytes(plan.memory.total), plan.time.map { Quantity.fixed($0.perStep, 2) } ?? "-",
        Quantity.duration(row.seconds),
      ])
      rows.append(row)
    }
    console.progress.show("timing", settings.methods.count, of: settings.methods.count)
    let count = targets.count * settings.trials
    let search = tuningShare
    // Features of the frozen network are computed once for all.
    let total = rows.reduce(0) { $0 + $1.seconds * (Double(count) + search) } + (rows.map(\.shared).max() ?? 0)
    let sites = zip(settings.methods, rows).map { "\($0.name)\n\n\(Preflight.sitesText($1.plan))" }
    console.result(
      """
      \(preflight.backboneText)
      \(preflight.dataText)
      \(sites.joined(separator: "\n"))
      \(table.text)
      \(settings.methods.count * count) runs: \(settings.methods.count) methods, \(targets.count) targets \
      (\(targets.joined(separator: ", "))), \(settings.trials) trials, \(settings.experiment.recipe.steps) steps each\
      \(settings.tuning.map { "; before them, \($0.learningRates.count) learning rates for each method" } ?? "")
      time: about \(Quantity.duration(total))
      """)
    try console.json(
      JSONValue.object([
        "data": preflight.dataJSON, "runs": .integer(settings.methods.count * count),
        "methods": .array(rows.map(Preflight.json)), "seconds": .double(total),
      ]).text(.readable))
  }

  /// The search's cost for a method, in runs.
  private var tuningShare: Double {
    guard let tuning = settings.tuning else { return 0 }
    let steps = Double(settings.experiment.recipe.steps)
    return Double(tuning.learningRates.count) * (tuning.steps.map { Double($0) / steps } ?? 1)
  }
}
