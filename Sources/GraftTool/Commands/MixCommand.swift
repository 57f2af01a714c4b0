import Adapters
import ArgumentParser
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Training

/// `graft mix`
struct MixCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "mix",
    abstract: "Make one adapter of several, by averaging or another rule of mixing in weight space.",
    discussion: """
      The result is an adapter's folder like any other: eval, predict, merge and inspect read it, and mix.json in it says what \
      it was made of. Adapters may differ in method, rank and targets: what is mixed is the change that each makes to the \
      network's linear maps. Adapters that are no such change, as bottlenecks, are mixed by their parameters with \
      --space factors. Everything that can be is checked before a weight is read.

        graft mix runs/books runs/dvd runs/kitchen --model minilm --output mixed
        graft mix runs/books@0.7 runs/dvd@0.3 --method weighted --rank 8 --model minilm --output mixed
        graft mix runs/* --method ties --density 0.2 --model minilm --output mixed --head books
        graft mix --config mergekit.yaml --output mixed

      Weighted sums are written exactly: the factors of all members side by side. Other rules are written dense, or with \
      --rank as the best LoRA of that rank, with the error stated.

      methods:
      \(methodHelp)
      """)

  @Argument(
    help: ArgumentHelp(
      "Folders of adapters, or of runs, each with a weight if it has one.", valueName: "folder[@weight]"),
    completion: .directory)
  var adapters: [String] = []

  @Option(
    name: .shortAndLong, help: "A YAML file of settings, or a configuration of MergeKit.",
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(help: ArgumentHelp("The rule (default: uniform); see above.", valueName: "name"))
  var method: String?

  @Option(help: ArgumentHelp("One weight for each adapter, as in 0.5,0.3,0.2.", valueName: "numbers"))
  var weights: String?

  @Option(help: "The fraction of each adapter's numbers that is kept, where the method drops some.")
  var density: Double?

  @Option(
    help: ArgumentHelp(
      "Another setting of the method, as in lambda=0.5. Repeat it for several.", valueName: "name=value"))
  var set: [String] = []

  @Option(help: "What is mixed: delta, the changes of the weights (default), factors, peft_factors or outputs.")
  var space: MixingSpace?

  @Option(help: "Write the result as LoRA of this rank.")
  var rank: Int?

  @Option(help: "How the result is written without a rank: automatic, dense or concatenated.")
  var form: String?

  @Option(help: "Seeds the methods that drop at random (default: 0).")
  var seed: UInt64?

  @Option(help: ArgumentHelp("The adapter whose classifier the result takes over.", valueName: "name"))
  var head: String?

  @Option(
    help: "The frozen network: a folder with model.safetensors, or a name such as minilm.", completion: .directory)
  var model: String?

  @Option(help: "cpu, cuda, cuda:INDEX or mps (default: cpu).")
  var device: String?

  @Option(help: "How tokens become features.")
  var pooling: String?

  @Option(help: ArgumentHelp("A new folder for the mixture.", valueName: "folder"), completion: .directory)
  var output: String?

  @Flag(help: "Only check the plan and say what would be mixed.")
  var dryRun = false

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let prepared = try prepared()
    for note in prepared.plan.recipe.notes { console.note(note) }
    guard !dryRun else { return try show(prepared.plan, console) }
    let work = try prepared.work()
    let result = try await Compute.run { try work() }
    try show(result, prepared.output, console)
  }

  private struct Prepared {
    let plan: MixPlan
    let backbone: BackboneSettings?
    let output: URL?

    /// - Throws: `ConfigurationError.missing` where there is no network to mix on, or nowhere to write to.
    func work() throws -> @Sendable () throws -> MixResult {
      guard let backbone else { throw ConfigurationError.missing("model", flag: "--model") }
      guard let output else { throw ConfigurationError.missing("output", flag: "--output") }
      return { [plan] in
        let result = try plan.mix(onto: backbone.load()).result()
        try result.save(to: output)
        return result
      }
    }
  }

  /// All that can be refused before a weight is read.
  private func prepared() throws -> Prepared {
    let settings = try MixSettings(self)
    let output = settings.output.map(AssetFolder.path)
    if let output, !dryRun { try OutputFolder.checkIsFree(output) }
    var section = settings.section
    if !section.has("model"), let run = settings.recipe.sources.first?.folder.deletingLastPathComponent() {
      // Runs keep the name of their network beside the adapter.
      let file = run.appendingPathComponent(OutputFolder.settingsName)
      if FileManager.default.fileExists(atPath: file.path) {
        let known = try YAMLFile(contentsOf: file)
        for key in BackboneSettings.keys where !section.has(key) {
          section.set(key, known.root[key], flag: known.name)
        }
      }
    }
    return Prepared(
      plan: try MixPlan(settings.recipe), backbone: section.has("model") ? try BackboneSettings(section) : nil,
      output: output)
  }

  // MARK: Reporting

  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashes on some that are.
  @inline(never)
  private func show(_ plan: MixPlan, _ console: Console) throws {
    var table = TextTable(header: ["Adapter", "method", "format", "tensors", "parameters"])
    table.rows = plan.sources.map { source in
      [
        source.name, source.method?.lowercased() ?? "", "\(source.format)", "\(source.tensors.count)",
        Quantity.count(source.parameterCount),
      ]
    }
    console.result(
      table.text + "\nmethod  \(plan.recipe.schedule.method)\nspace   \(plan.recipe.space.rawValue)\n"
        + "form    \(plan.recipe.form)\n")
    try console.json(
      JSONValue.object([
        "method": .string(plan.recipe.schedule.method), "space": .string(plan.recipe.space.rawValue),
        "form": .string("\(plan.recipe.form)"), "notes": .array(plan.recipe.notes.map(JSONValue.string)),
        "adapters": .array(
          plan.sources.map { source in
            [
              "name": .string(source.name), "folder": .string(source.folder.path),
              "method": source.method.map(JSONValue.string) ?? .null, "digest": .string(source.digest),
              "parameters": .integer(source.parameterCount),
            ]
          }),
      ]).text(.readable))
  }

  @inline(never)
  private func show(_ result: MixResult, _ output: URL?, _ console: Console) throws {
    let report = result.report
    for warning in report.warnings { console.warn(warning) }
    var text = ""
    for member in result.provenance.members {
      let weight = member.weight.map { ", weight \($0)" } ?? ""
      text += "mixed    \(member.name) (\(member.method.lowercased())\(weight))\n"
    }
    let adapter = result.model.adapter
    let numbers = adapter.stored.reduce(0) { $0 + $1.count }
    text += "result   \(type(of: adapter.configuration).method.lowercased()), \(Quantity.count(numbers)) numbers"
    if report.places.isEmpty {
      text += "\n"
    } else {
      text += " at \(report.places.count) places\n"
      text += "error    \(String(format: "%.2e", report.relativeError)) of the mixture's norm\n"
      text += "norm     \(Quantity.fixed(report.norm, 4)), "
      text += "\(Quantity.fixed(report.normRatio, 3)) of the members' mean\n"
    }
    if let head = result.provenance.head { text += "head     that of \(head)\n" }
    console.result(text + (output.map { "adapter  \($0.path)\n" } ?? ""))
    try console.json(
      JSONValue.object([
        "output": output.map { .string($0.path) } ?? .null, "mix": try result.provenance.json(),
        "report": report.json(), "parameters": .integer(numbers),
      ]).text(.readable))
  }

  private static var methodHelp: String {
    let rules =
      mixingRules.map { ($0.name, $0.summary) } + [(OutputAverage.method.lowercased(), OutputAverage.summary)]
    let width = rules.map(\.0.count).max() ?? 0
    return rules.map { name, about in "  \(name)\(String(repeating: " ", count: width - name.count + 2))\(about)" }
      .joined(separator: "\n")
  }
}

extension MixingSpace: ExpressibleByArgument {
  public init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }
}
