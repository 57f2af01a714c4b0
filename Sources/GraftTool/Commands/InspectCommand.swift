import Adapters
import ArgumentParser
import Datasets
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Reports
import Tensors
import Training

/// `graft inspect`
struct InspectCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Say what is in an adapter's folder, what its router does, or how the signs of several adapters agree.",
    discussion: """
      Lists the method, its settings, the network it was trained on, its classes and every tensor in its files. With the \
      model also what changes, place by place: the rank, and where the change does not depend on the input its \
      Frobenius norm and how large it is beside the weight. With --routing, runs images through a mixture \
      and reports for each layer and domain the load of the experts, the entropy and mean of the gates, and how much \
      the expert tells about the domain; --pictures draws it. With --signs, compares several adapters of one network: the \
      fraction of weights with opposite signs (FSD) of each two and of all, block by block, the cosine of each two and the \
      overlap of what low-rank adapters read and write; --figure draws the pairs.

        graft inspect runs/lora
        graft inspect --signs runs/books runs/dvd runs/kitchen --figure signs.svg
        graft inspect runs/k-moa --routing --data emoji-styles --pictures pictures/
      """)

  @Argument(
    help: "The folder of an adapter, or of a run of graft train; with --signs, of several.", completion: .directory)
  var adapters: [String]

  @Flag(help: "Report what the router of a mixture does on images.")
  var routing = false

  @Option(help: ArgumentHelp("With --routing: a folder for SVG pictures.", valueName: "folder"), completion: .directory)
  var pictures: String?

  @Option(help: ArgumentHelp("With --routing: images of each domain to run.", valueName: "count"))
  var images = 64

  @Flag(help: "Compare the signs of several adapters' weights.")
  var signs = false

  @OptionGroup(title: "With --signs") var signOptions: SignArguments
  @OptionGroup(title: "Data and model") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    if signs, routing { throw ValidationError("--signs and --routing are two reports. Ask for one.") }
    if signs, adapters.count < 2 { throw ValidationError("--signs compares adapters. Name two or more.") }
    if !signs, adapters.count != 1 { throw ValidationError("Name one adapter, or several with --signs.") }
    if !signs, signOptions.isUsed {
      throw ValidationError("--reducer, --zeros, --reference, --space and --figure go with --signs.")
    }
    guard (1...1_000_000).contains(images) else { throw ValidationError("--images must be 1 or more.") }
    if pictures != nil, !routing { throw ValidationError("--pictures goes with --routing.") }
  }

  func run() async throws {
    let console = Console(console)
    if signs { return try await inspectSigns(console) }
    let trained = try TrainedAdapter(at: adapters[0], data)
    routing ? try await inspectRouting(trained, console) : try await inspectWeights(trained, console)
  }

  // MARK: Signs

  private func inspectSigns(_ console: Console) async throws {
    let report = try await SignInspection.report(of: NamedAdapters(adapters, data), signOptions.options)
    for warning in report.warnings { console.warn(warning) }
    console.result(SignInspection.text(of: report))
    try console.json(report.json())
    guard let figure = signOptions.figure else { return }
    try AtomicFile.write(report.heatMap.svg, to: AssetFolder.path(figure))
    console.note("drawing in \(figure)")
  }

  // MARK: Routing

  private func inspectRouting(_ trained: TrainedAdapter, _ console: Console) async throws {
    let experiment = try trained.experiment()
    let network = try experiment.backbone.load()
    let model = try trained.load(onto: network)
    guard RoutingStudy.isPossible(model),
      let examples = try await experiment.examples(experiment.data(for: network), for: network, console)
        as? ImageExamples
    else { throw NoRouter(folder: trained.folder.path) }
    let study = try await RoutingStudy(
      of: model, on: examples, title: trained.folder.deletingLastPathComponent().lastPathComponent, perDomain: images,
      pictured: 1, batchSize: experiment.recipe.evaluationBatch)
    console.result(study.text)
    try console.json(study.report.json())
    guard let pictures else { return }
    let folder = AssetFolder.path(pictures)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try AtomicFile.write(study.report.json(), to: folder.appendingPathComponent("routing.json"))
    try AtomicFile.write(study.grid.svg, to: folder.appendingPathComponent("routing.svg"))
    try AtomicFile.write(study.load.svg, to: folder.appendingPathComponent("routing-load.svg"))
    console.note("pictures in \(folder.path)")
  }

  // MARK: Weights

  private func inspectWeights(_ trained: TrainedAdapter, _ console: Console) async throws {
    try show(await Self.inspected(trained), console)
  }

  private struct Found: Sendable {
    var contents: AdapterContents
    /// nil without a model.
    var inspection: AdapterInspection?
    var notes: [String] = []
  }

  @Compute
  private static func inspected(_ trained: TrainedAdapter) throws -> Found {
    var found = Found(contents: try AdapterContents(of: trained.folder))
    guard trained.namesModel else {
      found.notes = ["give --model to see sites and norms of what changes"]
      return found
    }
    let loaded = try AdapterFolder.read(from: trained.folder, onto: trained.backbone().settings.load())
    found.contents.take(loaded)
    found.inspection = try AdapterInspection(of: loaded.model)
    found.notes = loaded.notes
    return found
  }

  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashed on the two in one function.
  @inline(never)
  private func show(_ found: Found, _ console: Console) throws {
    for note in found.notes { console.note(note) }
    console.result(try found.contents.text + (found.inspection.map(Self.table) ?? found.contents.table))
    try console.json(JSONValue.object(Self.json(found.contents, found.inspection)).text(.readable))
  }

  private static func table(_ inspection: AdapterInspection) -> String {
    guard !inspection.changes.isEmpty else { return "\nNothing of the network changes.\n" }
    var table = TextTable(header: ["Place", "shape", "rank", "parameters", "|change|", "|change|/|weight|"])
    table.rows = inspection.changes.map { change in
      [
        change.place, change.shape.map(String.init).joined(separator: " × "), change.rank.map(String.init) ?? "",
        Quantity.count(change.parameters), change.norm.map { Quantity.fixed($0, 4) } ?? "by input",
        change.relative.map { Quantity.fixed($0, 4) } ?? "",
      ]
    }
    return "\n\(table.text)"
  }

  private static func json(_ contents: AdapterContents, _ inspection: AdapterInspection?) throws -> JSONObject {
    var json = try contents.json()
    json["sites"] = .array(
      (inspection?.changes ?? []).map { change in
        [
          "name": .string(change.place), "kind": .string(change.kind.rawValue),
          "shape": .array(change.shape.map(JSONValue.integer)), "rank": change.rank.map(JSONValue.integer) ?? .null,
          "parameters": .integer(change.parameters), "change_norm": change.norm.map(JSONValue.double) ?? .null,
          "change_to_weight": change.relative.map(JSONValue.double) ?? .null,
        ]
      })
    json["change_norm"] = inspection.map { .double($0.norm) }
    return json
  }
}

/// Routing was asked of an adapter that routes nothing.
struct NoRouter: Error, CustomStringConvertible {
  let folder: String
  var description: String {
    "The adapter in '\(folder)' is no mixture of adapters on a vision transformer, so there is no routing to look at."
  }
}
