import ArgumentParser
import Datasets
import Formats
import Foundation
import MetaTuning
import Training

/// `graft meta test`
struct MetaTestCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Measure few-shot accuracy on each data set, the same episodes for every row.",
    discussion: """
      A row is 'frozen', the network as it was pretrained: the floor. Or the folder of a meta-tuned model; FOLDER@0.5 \
      takes half of what was trained, an interpolation with the pretrained network (0 to 1). Later rows are compared with the \
      first, episode by episode.

        graft meta test frozen runs/pmf runs/pmf@0.5 runs/smat --datasets scripts,emoji,digits --in-domain scripts
        graft meta test runs/smat --adapter lora --rate-search folds --rates 0,1e-4,1e-3

      ID in the tables stands for the data sets that were meta-tuned on, OOD for the others. Without a meta-tuned row or \
      --in-domain there is one mean over all.

      With --mode fine-tuning or adapter each task's network is tuned on its support. The learning rate is found on \
      folds of the support itself (folds), on episodes of other classes (other-classes: the validation classes), or on \
      labelled episodes of the test classes as published results are (official). The tables say which. Without --rates, \
      the rates to choose from are 0, 1e-4, 1e-3 and 1e-2 (official: 0 and 1e-6 to 0.1), for an adapter ten times these, \
      as LoRA is trained with SMAT; rates that are given are taken as they are.

      A model is not tested on classes that it was trained on or chosen by: its folder says which they are.

      Data sets, network and episodes are those of the first model's run, unless said otherwise. A configuration file \
      may hold: \(MetaTestSettings.keys.joined(separator: ", ")).
      """)

  @Argument(help: ArgumentHelp("frozen, or folders of meta-tuned models.", valueName: "rows"), completion: .directory)
  var rows: [String]

  @OptionGroup(title: "Data and model") var data: FewShotOptions

  @Option(help: ArgumentHelp("Data sets to test on (default: all with test classes).", valueName: "names"))
  var datasets: String?

  @Option(
    help: ArgumentHelp("Those that training drew classes of (default: as the first model records).", valueName: "names")
  )
  var inDomain: String?

  @Option(help: "Episodes of each data set (default: 600).")
  var episodes: Int?

  @Option(
    help: ArgumentHelp(
      "Ways, shots and queries as in 5,1,15, or 'varying' as in Meta-Dataset (default: the first run's).",
      valueName: "sizes"))
  var tasks: String?

  @Option(help: "gradient-free, fine-tuning or adapter (default: gradient-free).")
  var mode: String?

  @Option(
    help: ArgumentHelp(
      "Which adapter to train on each support, and so --mode adapter (there the default is LoRA of rank 8).",
      valueName: "method"))
  var adapter: String?

  @Option(help: "Of tuning: folds, other-classes, official or fixed, to the one number of --rates (default: folds).")
  var rateSearch: String?

  @Option(help: ArgumentHelp("The learning rates to choose from, as they are; 0 is no tuning.", valueName: "numbers"))
  var rates: String?

  @Option(help: "Steps of fine-tuning (default: 50).")
  var tuningSteps: Int?

  @Flag(help: "Never mirror images in tuning: for characters.")
  var noFlips = false

  @Option(help: "Seeds the episodes.")
  var seed: Int?

  @Option(
    help: ArgumentHelp("A new folder for test.md, test.csv, test.json and the task tree.", valueName: "folder"),
    completion: .directory)
  var output: String?

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let rows = try rows.map(MetaTestRow.init)
    try await MetaTestRunner(rows: rows, settings: MetaTestSettings(section(rows)), console: console).run()
  }

  private func section(_ rows: [MetaTestRow]) throws -> Section {
    var section = rows.lazy.compactMap(\.model).first?.section ?? Section()
    // The run's, and not the test's.
    section.replace("output", nil)
    if let config = data.config {
      try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: MetaTestSettings.keys)
    }
    data.apply(to: &section)
    section.set("datasets", datasets.map(list), flag: "--datasets")
    section.set("in_domain", inDomain.map { $0 == "none" ? [] : list($0) }, flag: "--in-domain")
    section.set("test_episodes", episodes.map(JSONValue.integer), flag: "--episodes")
    section.set("episodes", try tasks.map(Self.sizes), flag: "--tasks")
    section.set("mode", mode.map(JSONValue.string), flag: "--mode")
    section.set("adapter", adapter.map { ["method": .string($0)] }, flag: "--adapter")
    section.set("rate_search", rateSearch.map(JSONValue.string), flag: "--rate-search")
    section.set("rates", try rates.map(Self.numbers), flag: "--rates")
    section.set("tuning_steps", tuningSteps.map(JSONValue.integer), flag: "--tuning-steps")
    section.set("flips", noFlips ? .bool(false) : nil, flag: "--no-flips")
    section.set("test_seed", seed.map(JSONValue.integer), flag: "--seed")
    section.set("output", output.map(JSONValue.string), flag: "--output")
    return section
  }

  static func sizes(_ text: String) throws -> JSONValue {
    if text == "varying" { return [:] }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    guard parts.count == 3, numbers.count == 3 else {
      throw ConfigurationError.value(
        place: "--tasks", problem: "'\(text)' is neither 'varying' nor three whole numbers, as in 5,1,15.")
    }
    return ["ways": .integer(numbers[0]), "shots": .integer(numbers[1]), "queries": .integer(numbers[2])]
  }

  private static func numbers(_ text: String) throws -> JSONValue {
    .array(
      try text.split(separator: ",").map { part in
        guard let number = Double(part.trimmingCharacters(in: .whitespaces)) else {
          throw ConfigurationError.value(place: "--rates", problem: "'\(part)' is no number.")
        }
        return .double(number)
      })
  }
}

/// A row as it was asked for.
struct MetaTestRow: Sendable {
  /// nil for the frozen network.
  let model: MetaFolder?
  let scale: Double

  /// - Parameter text: `frozen`, `FOLDER` or `FOLDER@SCALE`.
  init(_ text: String) throws {
    guard text != "frozen" else {
      (model, scale) = (nil, 1)
      return
    }
    guard let at = text.lastIndex(of: "@"), !FileManager.default.fileExists(atPath: AssetFolder.path(text).path) else {
      (model, scale) = (try MetaFolder(at: text), 1)
      return
    }
    guard let scale = Double(text[text.index(after: at)...]), (0...1).contains(scale) else {
      throw ConfigurationError.value(
        place: "rows",
        problem: "'\(text)' does not end in a number from 0, the pretrained network, to 1, as it was trained. "
          + "Write FOLDER@SCALE, as in runs/pmf@0.5.")
    }
    (model, self.scale) = (try MetaFolder(at: String(text[..<at])), scale)
  }

  /// What tables call each row: the last parts of its folder, as many as tell it from the others.
  ///
  /// - Throws: `ConfigurationError` for a row that is there twice.
  static func names(of rows: [MetaTestRow]) throws -> [String] {
    let parts = rows.map { $0.model?.parts ?? ["Frozen"] }
    let names = rows.indices.map { index in
      let others = parts.filter { $0 != parts[index] }
      let count = (1..<max(2, parts[index].count)).first { count in
        others.allSatisfy { $0.suffix(count) != parts[index].suffix(count) }
      }
      let name = parts[index].suffix(count ?? parts[index].count).joined(separator: "/")
      return rows[index].scale == 1 ? name : "\(name) × \(rows[index].scale)"
    }
    if let twice = names.indices.first(where: { names[..<$0].contains(names[$0]) }) {
      throw ConfigurationError.value(
        place: "rows",
        problem: "'\(names[twice])' is there twice. Name each row once, or take less of a model: FOLDER@0.5.")
    }
    return names
  }
}
