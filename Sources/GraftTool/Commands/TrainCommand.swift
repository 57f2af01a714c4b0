import ArgumentParser
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Training

/// `graft train`
struct TrainCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train one adapter and a classifier on a folder of images or texts.",
    discussion: """
      Trains on all domains, or on all but one (--leave-out), which every evaluation then scores. A fifth of each \
      domain is held out, and the adapter that is kept is that of the step with the best accuracy on what was held \
      out of the domains trained on.

        graft train --model vit-s14 --data emoji-styles --leave-out symbola \\
          --method lora --rank 8 --targets qkv --image-size 112 --steps 300 --output runs/lora

        graft train --model minilm --data sentiment --leave-out tweets --method lora --rank 8 \\
          --targets query,value --steps 300 --output runs/sentiment

      The output folder gets config.yaml (every setting, defaults too), results.jsonl (one line for each evaluation), \
      checkpoints/ and, at the end, adapter/. Ctrl-C writes a checkpoint; --resume --output FOLDER goes on from it, \
      bit for bit.

      Settings come from the defaults, the file given by --config over them, and flags over both. The file may hold, \
      all on one level: \(TrainSettings.keys.joined(separator: ", ")).

      methods:
      \(MethodSettings.methodHelp)
      """)

  @OptionGroup(title: "Data and model") var data: DataOptions
  @OptionGroup(title: "Recipe") var recipe: RecipeOptions

  @Option(help: "The domain that training never sees.")
  var leaveOut: String?

  @Option(help: ArgumentHelp("How to adapt; see above.", valueName: "name"))
  var method: String?

  @Option(help: "The rank of a LoRA or Kronecker adapter.")
  var rank: Int?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("A setting of the method, as in --set dimension=32; may be repeated.", valueName: "key=value"))
  var settings: [String] = []

  @Option(help: ArgumentHelp("Where it goes in a block: \(Placement.targetWords).", valueName: "names"))
  var targets: String?

  @Option(help: ArgumentHelp("In which blocks: \(Placement.blockWords).", valueName: "which"))
  var blocks: String?

  @Flag(help: "Go on with the run in the output folder, with its settings where none are given.")
  var resume = false

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let settings = try TrainSettings(section())
    if recipe.dryRun { return try await preflight(settings, console) }

    let backbone = try settings.experiment.backbone.load()
    let data = try settings.experiment.data(for: backbone)
    let target = try settings.leaveOut.map(data.target(leavingOut:))
    // Before anything is written or decoded: whether the method fits.
    _ = try settings.method.row.model(on: backbone, classes: data.classes, seed: settings.experiment.recipe.seed)
    let output = try OutputFolder(settings.experiment.outputFolder(), isContinued: resume)
    let examples = try await settings.experiment.examples(data, for: backbone, console)
    let run = TrainRun(settings: settings, backbone: backbone, examples: examples, target: target, output: output)
    if !resume { try output.write(settings: settings.resolved(), resumedBy: "graft train") }
    try await run.perform(console)
  }

  /// Defaults, the run's own settings where it is resumed, the file, the flags.
  private func section() throws -> Section {
    var section = Section()
    if resume {
      guard let output = recipe.output else { throw ConfigurationError.missing("output", flag: "--output") }
      let file = AssetFolder.path(output).appendingPathComponent(OutputFolder.settingsName)
      guard FileManager.default.fileExists(atPath: file.path) else { throw OutputError.nothingToResume(output) }
      try section.add(YAMLFile(contentsOf: file), known: TrainSettings.keys)
    }
    if let config = data.config {
      try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: TrainSettings.keys)
    }
    data.apply(to: &section)
    recipe.apply(to: &section)
    section.set("leave_out", leaveOut.map(JSONValue.string), flag: "--leave-out")
    section.set("method", method.map(JSONValue.string), flag: "--method")
    section.set("targets", targets.map(list), flag: "--targets")
    section.set("blocks", blocks.map(JSONValue.string), flag: "--blocks")
    if let rank { section.set("settings", "rank", .integer(rank), flag: "--rank") }
    for setting in settings {
      let parts = setting.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        throw ConfigurationError.value(place: "--set", problem: "'\(setting)' is not of the form key=value.")
      }
      let value = try YAMLFile("value: \(parts[1])", name: "--set").root["value"] ?? .null
      section.set("settings", parts[0], value, flag: "--set")
    }
    return section
  }

  private func preflight(_ settings: TrainSettings, _ console: Console) async throws {
    let preflight = try await Preflight(settings.experiment, console)
    let row = try await preflight.row(for: settings.method.row, leavingOut: settings.leaveOut)
    let plan = row.plan
    console.result(
      """
      \(preflight.backboneText)
      \(preflight.dataText)
      Method: \(settings.method.name)

      \(Preflight.sitesText(plan))
      \(plan.parameters)
      memory: \(Preflight.memoryText(plan.memory))
      time: about \(Quantity.duration(row.seconds + row.shared)) for \(plan.steps) steps of \(plan.batch) \(preflight.data.noun) \
      and their evaluations\(plan.time.map { " (\(Quantity.duration($0.perStep)) a step)" } ?? "")
      """)
    try console.json(
      JSONValue.object(["data": preflight.dataJSON, "plan": Preflight.json(row)]).text(.readable))
  }
}
