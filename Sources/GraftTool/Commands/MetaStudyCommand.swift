import ArgumentParser
import Formats
import Foundation

/// `graft meta study`
struct MetaStudyCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "study",
    abstract: "Compare ways of meta-tuning on data sets seen and unseen.",
    discussion: """
      For every network, method, learning rate and seed: meta-tune on some data sets, then measure few-shot tasks of their \
      unseen classes and of data sets never seen. Every row of a seed has the same episodes. The tables have the whole frontier \
      of accuracy on both, what validation classes choose, paired differences at one rate, and what became of the experts:

        data: few-shot
        training: [scripts, symbols]
        unseen: [emoji, digits]
        seeds: [0, 1, 2]
        test_episodes: {ways: 5, shots: 5, queries: 5}
        reference: PMF
        steps: 500
        methods:
          - {name: PMF, method: pmf, rates: [0.003, 0.01], scales: [1, 0.5]}
          - {name: SMAT, method: smat, sparsity: 0.9, rates: [0.003, 0.01]}
        networks:
          - {name: ViT-S/14, model: vit-s14, image_size: 56}
        output: runs/few-shot

      All settings, on one level: \(FewShotStudySettings.keys.joined(separator: ", ")).

      The same call continues with what is missing, and several calls may work in one output folder at once. The output folder \
      gets runs/ (a folder for each piece of work) and results/: few-shot.md, few-shot.json and drawings.
      """)

  @Option(
    name: .shortAndLong, help: "A YAML file of settings; flags go over it.",
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  @Option(help: "A folder of data sets, or a name such as few-shot.", completion: .directory)
  var data: String?

  @Option(
    help: ArgumentHelp("Where the results go: a new folder, or that of a study to go on with.", valueName: "folder"),
    completion: .directory)
  var output: String?

  @Flag(help: "Do nothing; write and print the tables of what is recorded.")
  var report = false

  @Flag(help: "Only say what would be done: data sets, pieces of work.")
  var dryRun = false

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    if report, dryRun { throw ValidationError("Only one of --report and --dry-run can be given.") }
  }

  func run() async throws {
    let console = Console(console)
    let runner = FewShotStudyRunner(settings: try settings(), console: console)
    if dryRun { return try runner.list() }
    try await runner.run(reportOnly: report)
  }

  private func settings() throws -> FewShotStudySettings {
    var section = Section()
    try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: FewShotStudySettings.keys)
    section.set("data", data.map(JSONValue.string), flag: "--data")
    section.set("output", output.map(JSONValue.string), flag: "--output")
    return try FewShotStudySettings(section)
  }
}
