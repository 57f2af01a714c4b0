import ArgumentParser
import Formats
import Foundation
import Training

/// `graft study`
struct StudyCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "study",
    abstract: "Measure what mixing adapters of text domains does to each of those domains.",
    discussion: """
      For every kind of adapter and seed: train one on each domain, from one start; measure every mixture of them on \
      the test texts of each member, with that member's classifier. The tables have accuracy over the number of \
      adapters mixed, its correlation with how often their weights differ in sign, orders in which domains are best \
      added, pruning, and attacks on the texts:

        model: minilm
        data: text-domains
        maximum_length: 32
        test: 100
        kinds:
          - {name: Pfeiffer, method: pfeiffer, learning_rate: 1e-3}
          - {name: LoRA, method: lora, settings: {rank: 8}, targets: [query, value], space: delta}
        seeds: [0, 1, 2]
        steps: 200
        batch_size: 16
        pruning: {densities: [1, 0.5, 0.1]}
        attacks: {methods: [deepwordbug, pwws], sizes: [1, 4], examples: 20, queries: 100}
        output: runs/study

      All settings, on one level: \(StudySettings.keys.joined(separator: ", ")).
      Of a kind: \(MethodSettings.keys.joined(separator: ", ")), space.

      The same call continues with what is missing, and several calls may work in one output folder at once. The \
      output folder gets runs/ (a folder for each piece of work) and results/: study.md, study.json and drawings.
      """)

  @Option(
    name: .shortAndLong, help: "A YAML file of settings; flags go over it.",
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  @Option(help: "The frozen text encoder: a folder, or a name such as minilm.", completion: .directory)
  var model: String?

  @Option(help: "A folder of texts by domain, or a name such as text-domains.", completion: .directory)
  var data: String?

  @Option(help: ArgumentHelp("The domains that take part (default: all).", valueName: "names"))
  var domains: String?

  @Option(help: "Optimizer steps of each adapter.")
  var steps: Int?

  @Option(
    help: ArgumentHelp("Where the results go: a new folder, or that of a study to go on with.", valueName: "folder"),
    completion: .directory)
  var output: String?

  @Flag(help: "Do nothing; write and print the tables of what is recorded.")
  var report = false

  @Flag(help: "Only say what would be done: domains, adapters, mixtures, time.")
  var dryRun = false

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    if report, dryRun { throw ValidationError("Only one of --report and --dry-run can be given.") }
  }

  func run() async throws {
    let console = Console(console)
    let runner = StudyRunner(settings: try settings(), console: console)
    if dryRun { return try await runner.estimate() }
    try await runner.run(reportOnly: report)
  }

  private func settings() throws -> StudySettings {
    var section = Section()
    try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: StudySettings.keys)
    section.set("model", model.map(JSONValue.string), flag: "--model")
    section.set("data", data.map(JSONValue.string), flag: "--data")
    section.set("domains", domains.map(list), flag: "--domains")
    section.set("steps", steps.map(JSONValue.integer), flag: "--steps")
    section.set("output", output.map(JSONValue.string), flag: "--output")
    return try StudySettings(section)
  }
}
