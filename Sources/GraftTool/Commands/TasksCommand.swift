import ArgumentParser
import Formats
import Foundation
import Training

/// `graft tasks`
struct TasksCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "tasks",
    abstract: "Compare methods on many small tasks, as VTAB-1k does.",
    discussion: """
      For every task and method: choose the learning rate on 800 training and 200 validation images, train anew on all \
      1,000 with each seed, report the last step's accuracy on the test images. The score is the mean of the groups' \
      means. 'protocol: paper' instead tests at intervals and reports the best test accuracy seen, as much published \
      code does: it selects on the test set.

      A task is a folder with train800.txt, val200.txt and test.txt (lines 'path label'), with train/class/image and \
      test/class/image, or with class/image; where there are no lists, the splits are drawn. The methods stand in the \
      configuration file:

        model: vit-s14
        data: tasks
        image_size: 56
        groups: {Natural: [emoji-noto], Structured: [rotation, position]}   # or vtab-1k
        split: {training: 800, validation: 200, test: 500}
        trials: 3
        steps: 100
        batch_size: 32
        tune: {learning_rates: [1e-4, 1e-3]}
        methods:
          - {name: Linear probe, method: linear-probe}
          - {name: LoRA, method: lora, settings: {rank: 8}, targets: [qkv]}
        output: runs/tasks

      All settings, on one level: \(TaskSettings.keys.joined(separator: ", ")).
      Of a method: \(MethodSettings.keys.joined(separator: ", ")).

      The same call continues with what is missing. Several calls may work in one output folder at once, each with \
      other --methods or all with the same: a run is taken by one of them. The output folder gets runs/ (a folder for \
      each run) and results/: table.md, table.json, runs.csv and results.jsonl, of all that is recorded.

      methods:
      \(MethodSettings.methodHelp)
      """)

  @Option(
    name: .shortAndLong, help: "A YAML file of settings; flags go over it.",
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  @Option(
    help: "The frozen network: a folder with model.safetensors, or a name such as vit-s14.", completion: .directory)
  var model: String?

  @Option(help: "A folder with one folder for each task, or a name such as tasks.", completion: .directory)
  var data: String?

  @Option(help: ArgumentHelp("The tasks that take part (default: all).", valueName: "names"))
  var tasks: String?

  @Option(
    help: ArgumentHelp("The methods that this call trains (default: all); the table has all.", valueName: "names"))
  var methods: String?

  @Option(help: "validation or paper (default: validation).")
  var `protocol`: String?

  @Option(help: "Seeds of each result (default: 3).")
  var trials: Int?

  @Option(help: "Optimizer steps.")
  var steps: Int?

  @Option(
    help: ArgumentHelp("Where the results go: a new folder, or that of runs to go on with.", valueName: "folder"),
    completion: .directory)
  var output: String?

  @Flag(help: "Train nothing; write and print the table of what is recorded.")
  var report = false

  @Flag(help: "Only say what would be done: tasks, methods, parameters, time.")
  var dryRun = false

  @Flag(help: "End at the first run that fails, rather than report it at the end.")
  var failFast = false

  @Flag(help: "Print the tables as Markdown.")
  var markdown = false

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    if markdown, console.json { throw ValidationError("Only one of --markdown and --json can be given.") }
    if report, dryRun { throw ValidationError("Only one of --report and --dry-run can be given.") }
    if report, methods != nil { throw ValidationError("--report has all methods; leave --methods out.") }
  }

  func run() async throws {
    let console = Console(console)
    let settings = try settings()
    if dryRun { return try await TasksPreflight(settings: settings, console: console).run() }
    let chosen = methods.map { $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } }
    let runner = TasksRunner(
      settings: settings, chosenMethods: report ? [] : chosen, failsFast: failFast, isMarkdown: markdown,
      console: console)
    try await runner.run()
  }

  private func settings() throws -> TaskSettings {
    var section = Section()
    try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: TaskSettings.keys)
    section.set("model", model.map(JSONValue.string), flag: "--model")
    section.set("data", data.map(JSONValue.string), flag: "--data")
    section.set("tasks", tasks.map(list), flag: "--tasks")
    section.set("protocol", `protocol`.map(JSONValue.string), flag: "--protocol")
    section.set("trials", trials.map(JSONValue.integer), flag: "--trials")
    section.set("steps", steps.map(JSONValue.integer), flag: "--steps")
    section.set("output", output.map(JSONValue.string), flag: "--output")
    return try TaskSettings(section)
  }
}
