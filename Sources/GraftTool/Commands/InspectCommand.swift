import Adapters
import ArgumentParser
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Tensors
import Training

/// `graft inspect`
struct InspectCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Say what is in an adapter's folder, or what its router does.",
    discussion: """
      Lists the method, its settings, the adapted sites and, where the change of a weight does not depend on the \
      input, its Frobenius norm and how large it is beside the weight. With --routing, runs images through a mixture \
      and reports for each layer and domain the load of the experts, the entropy and mean of the gates, and how much \
      the expert tells about the domain; --pictures draws it.

        graft inspect runs/lora
        graft inspect runs/k-moa --routing --data emoji-styles --pictures pictures/
      """)

  @Argument(help: "The folder of an adapter, or of a run of graft train.", completion: .directory)
  var adapter: String

  @Flag(help: "Report what the router of a mixture does on images.")
  var routing = false

  @Option(help: ArgumentHelp("With --routing: a folder for SVG pictures.", valueName: "folder"), completion: .directory)
  var pictures: String?

  @Option(help: ArgumentHelp("With --routing: images of each domain to run.", valueName: "count"))
  var images = 64

  @OptionGroup(title: "Data and model") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    guard (1...1_000_000).contains(images) else { throw ValidationError("--images must be 1 or more.") }
    if pictures != nil, !routing { throw ValidationError("--pictures goes with --routing.") }
  }

  func run() async throws {
    let console = Console(console)
    let trained = try TrainedAdapter(at: adapter, data)
    routing ? try await inspectRouting(trained, console) : try await inspectWeights(trained, console)
  }

  // MARK: Routing

  private func inspectRouting(_ trained: TrainedAdapter, _ console: Console) async throws {
    let experiment = try trained.experiment()
    let (model, backbone) = try trained.load(onto: experiment.backbone.load())
    guard RoutingStudy.isPossible(model) else { throw NoRouter(folder: trained.folder.path) }
    let examples = try await experiment.examples(experiment.folder(), for: backbone, console)
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
    // The settings can be read without the network; the norms need it.
    let details = try JSONValue(contentsOf: trained.folder.appendingPathComponent("adapter_config.json"))
    let graft = trained.folder.appendingPathComponent("graft.json")
    let own = FileManager.default.fileExists(atPath: graft.path) ? try JSONValue(contentsOf: graft) : .null
    let files = try ["adapter_model.safetensors", "head.safetensors"].compactMap { name -> SafetensorsFile? in
      let url = trained.folder.appendingPathComponent(name)
      return FileManager.default.fileExists(atPath: url.path) ? try SafetensorsFile(contentsOf: url) : nil
    }
    let method = own["method"]?.string ?? details["peft_type"]?.string ?? "unknown"
    let classes = own["classes"]?.array?.compactMap(\.string) ?? []
    var rows: [SiteRow] = []
    if trained.namesModel {
      let (model, _) = try trained.load(onto: trained.backbone().settings.load())
      rows = try await Self.rows(of: model)
    } else {
      console.note("give --model to see sites and norms")
    }

    var text = "method    \(method.lowercased())\n"
    for (key, value) in (own["settings"]?.object ?? details.object ?? JSONObject()).members where !value.isNull {
      text += "  \(key): \(try value.text())\n"
    }
    for file in files { text += "\(file.url.lastPathComponent): \(Quantity.count(Self.count(file))) numbers\n" }
    if !classes.isEmpty { text += "classes   \(classes.joined(separator: ", "))\n" }
    if !rows.isEmpty {
      var table = TextTable(header: ["Site", "in", "out", "parameters", "|change|", "|change|/|weight|"])
      table.rows = rows.map { row in
        [
          row.site.name, "\(row.site.inFeatures)", "\(row.site.outFeatures)", Quantity.count(row.parameters),
          row.norm.map { Quantity.fixed($0, 4) } ?? "by input", row.relative.map { Quantity.fixed($0, 4) } ?? "",
        ]
      }
      text += "\n\(table.text)"
    }
    console.result(text)
    try console.json(
      JSONValue.object([
        "adapter": .string(trained.folder.path), "method": .string(method),
        "settings": own["settings"] ?? details, "classes": .array(classes.map(JSONValue.string)),
        "numbers": .integer(files.reduce(0) { $0 + Self.count($1) }),
        "sites": .array(rows.map(\.json)),
      ]).text(.readable))
  }

  private struct SiteRow: Sendable {
    let site: Site
    let parameters: Int
    /// Frobenius norm of the change of the weight; nil where it depends on the input.
    let norm: Double?
    let relative: Double?

    var json: JSONValue {
      [
        "name": .string(site.name), "in": .integer(site.inFeatures), "out": .integer(site.outFeatures),
        "parameters": .integer(parameters), "change_norm": norm.map(JSONValue.double) ?? .null,
        "change_to_weight": relative.map(JSONValue.double) ?? .null,
      ]
    }
  }

  @Compute
  private static func rows(of model: AdaptedModel) throws -> [SiteRow] {
    let tuned = Dictionary(model.adapter.parameters.map { ($0.name, $0) }) { first, _ in first }
    return try model.adapter.sites.map { site in
      let own = model.adapter.parameters.filter { $0.name.hasPrefix(site.name + ".") }
      let weight = try model.backbone.linear(at: site).weight
      var norm: Double?
      try withoutGradients {
        if let delta = try model.adapter.delta(at: site)?.weight {
          norm = try delta.materialized().norm().item()
        } else if let replaced = tuned["\(site.name).weight"] {
          norm = try (replaced.value.detached() - weight).norm().item()
        }
      }
      let size: Double = try withoutGradients { try weight.norm().item() }
      return SiteRow(
        site: site, parameters: own.reduce(0) { $0 + $1.count }, norm: norm,
        relative: norm.flatMap { size > 0 ? $0 / size : nil })
    }
  }

  private static func count(_ file: SafetensorsFile) -> Int {
    file.names.reduce(0) { $0 + (file[$1]?.shape.reduce(1, *) ?? 0) }
  }
}

/// Routing was asked of an adapter that routes nothing.
struct NoRouter: Error, CustomStringConvertible {
  let folder: String
  var description: String {
    "The adapter in '\(folder)' is no mixture of adapters on a vision transformer, so there is no routing to look at."
  }
}
