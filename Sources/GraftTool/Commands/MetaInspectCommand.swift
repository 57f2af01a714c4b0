import ArgumentParser
import Formats
import Foundation
import MetaTuning
import NeuralNetworks
import Tensors
import Training

/// `graft meta inspect`
struct MetaInspectCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract:
      "Say what a meta-tuned model learned: where its experts are open, what they share, which data sets use which.",
    discussion: """
      Of sparse experts: the fraction of open gates by layer type and by block, as mean and deviation over experts; the \
      overlap of every two experts, beside what chance would give; gates that are neither open nor closed. With --test, \
      the test.json of graft meta test, a tree of its data sets by the experts they use (average linkage). Of dense \
      offsets: how far they moved each part of the network.

        graft meta inspect runs/smat --test runs/test/test.json --figures figures
      """)

  @Argument(help: "The folder of a run of graft meta train, or of its model.", completion: .directory)
  var meta: String

  @Option(
    help: ArgumentHelp("The test.json of graft meta test.", valueName: "file"), completion: .file(extensions: ["json"]))
  var test: String?

  @Option(help: ArgumentHelp("A folder for the drawings, as SVG.", valueName: "folder"), completion: .directory)
  var figures: String?

  @OptionGroup(title: "Model") var data: AdaptOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let found = try await Self.inspected(MetaFolder(at: meta), data)
    try show(found, tree: test.map(Self.tree), console)
  }

  private struct Found: Sendable {
    let folder: URL
    let configuration: MetaConfiguration
    let tasksSeen: Int
    let weights: Int
    let measures: [(name: String, value: Double)]
    /// nil for a method without masks.
    let masks: MaskReport?
    /// For a method without masks.
    let changes: ChangeReport?
    /// τ; nil where no sparsity is asked for.
    let sparsity: Double?
  }

  @Compute
  private static func inspected(_ meta: MetaFolder, _ options: AdaptOptions) throws -> Found {
    var section = meta.section
    options.apply(to: &section)
    let network = try BackboneSettings(section).load()
    let model = try MetaModel.load(from: meta.folder, backbone: network)
    let experts = model.weights as? SparseExperts
    return Found(
      folder: meta.folder, configuration: model.configuration, tasksSeen: model.tasksSeen,
      weights: network.parameterCount, measures: try model.weights.measures(),
      masks: try experts.map { try MaskReport(of: $0, on: network) },
      changes: experts == nil ? try ChangeReport(of: model.weights, on: network) : nil,
      sparsity: experts.flatMap { $0.settings.masks == nil ? $0.settings.sparsity : nil })
  }

  /// Of the first row that mixes experts.
  private static func tree(_ path: String) throws -> TaskTree {
    let url = AssetFolder.path(path)
    let table: MetaTestTable
    do {
      table = try JSONDecoder().decode(MetaTestTable.self, from: Data(contentsOf: url))
    } catch let error as DecodingError {
      throw NoTest(path: url.path, reason: "\(error)")
    } catch let error as MetaTestTableError {
      throw NoTest(path: url.path, reason: "\(error)")
    } catch let error as CocoaError {
      throw NoTest(path: url.path, reason: error.localizedDescription)
    }
    let mixed = table.rows.first { row in row.datasets.contains { !$0.meanMixing.isEmpty } }
    guard let row = mixed ?? table.rows.first else { throw MetaTestTableError.empty }
    return try TaskTree(of: row)
  }

  private struct NoTest: Error, CustomStringConvertible {
    let path: String
    let reason: String
    var description: String { "'\(path)' is no test.json of graft meta test: \(reason)" }
  }

  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashed on the two in one function.
  @inline(never)
  private func show(_ found: Found, tree: TaskTree?, _ console: Console) throws {
    var text = """
      model      \(found.folder.path)
      method     \(found.configuration.method.rawValue), \(found.configuration.preset.rawValue)
      trained    \(Quantity.count(found.tasksSeen)) tasks, \(found.configuration.steps) steps
      network    \(Quantity.count(found.weights)) weights

      """
    if let masks = found.masks {
      text += Self.sparsity(masks, asked: found.sparsity) + Self.text(masks)
    } else {
      var table = TextTable(header: ["Measure", "value"])
      table.rows = found.measures.map { [$0.name, Quantity.fixed($0.value, 4)] }
      text += "\n" + table.text + (found.changes.map(Self.text) ?? "")
    }
    if let tree { text += "\n" + Self.text(tree) }
    console.result(text)
    if let masks = found.masks, let asked = found.sparsity, let missed = masks.sparsityBelow(asked) {
      console.warn(
        """
        the masks of some experts are less sparse than was asked for: \(Quantity.fixed(missed, 3)) of \
        \(Quantity.fixed(asked, 3)). Train longer, or with a higher mask_rate_per_weight or multiplier_rate
        """)
    }
    try console.json(JSONValue.object(Self.json(found, tree)).text(.readable))
    try draw(found.masks, tree, console)
  }

  private func draw(_ masks: MaskReport?, _ tree: TaskTree?, _ console: Console) throws {
    guard let figures else { return }
    let folder = AssetFolder.path(figures)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let drawings = [
      ("density-by-type.svg", masks?.typeFigure), ("density-by-block.svg", masks?.blockFigure),
      ("expert-overlap.svg", masks?.overlapFigure), ("task-tree.svg", tree?.figure),
    ]
    for case (let name, let svg?) in drawings { try AtomicFile.write(svg, to: folder.appendingPathComponent(name)) }
    console.note("drawings in \(folder.path)")
  }

  private static func sparsity(_ masks: MaskReport, asked: Double?) -> String {
    let reached = masks.total.experts.map { 1 - $0 }
    let range = [reached.min(), reached.max()].map { $0.map { Quantity.fixed($0, 4) } ?? "-" }
    return "sparsity   \(asked.map { Quantity.fixed($0, 4) } ?? "none") asked for; \(range[0]) to \(range[1]) reached\n"
  }

  private static func text(_ masks: MaskReport) -> String {
    func table(_ title: String, _ rows: [MaskReport.Density]) -> String {
      var table = TextTable(header: [title, "weights", "open", "±"])
      table.rows = rows.map {
        [$0.name, Quantity.count($0.weights), Quantity.fixed($0.mean, 4), Quantity.fixed($0.deviation, 4)]
      }
      return table.text
    }
    var overlap = TextTable(header: ["IoU"] + masks.intersectionOverUnion.indices.map { "\($0)" })
    overlap.rows = masks.intersectionOverUnion.enumerated().map { expert, row in
      ["\(expert)"] + row.map { Quantity.fixed($0, 2) }
    }
    func number(_ value: Double?) -> String { value.map { Quantity.fixed($0, 3) } ?? "-" }
    return """

      \(table("Layer type", masks.types + [masks.total]))
      \(table("Block", masks.blocks))
      \(overlap.text)
      overlap    IoU \(number(masks.meanIntersectionOverUnion)) on average; \
      \(number(masks.chanceIntersectionOverUnion)) by chance, |A∩B|/|A| \(number(masks.chanceContainment)) by chance
      open       the fraction of gates above 0, each letting its weight's offset through: mean ± deviation over experts
      blocks     numbered from 0, as in the names of tensors
      union      \(Quantity.percent(masks.union)) % of the weights are open in some expert
      gates      \(Quantity.percent(masks.notBinary)) % neither 0 nor 1; \
      \(Quantity.percent(masks.openInEstimatorOnly)) % open for the L0 paper's estimator only

      """
  }

  private static func text(_ changes: ChangeReport) -> String {
    func table(_ title: String, _ rows: [ChangeReport.Change]) -> String {
      var table = TextTable(header: [title, "weights", "moved", "of its norm"])
      table.rows = rows.map {
        [$0.name, Quantity.count($0.weights), Quantity.fixed($0.norm, 4), "\(Quantity.percent($0.relative)) %"]
      }
      return table.text
    }
    return """

      \(table("Layer type", changes.types + [changes.total]))
      \(table("Block", changes.blocks))
      moved      the norm of the change from the pretrained weights; of experts, mixed in equal parts
      blocks     numbered from 0, as in the names of tensors

      """
  }

  private static func text(_ tree: TaskTree) -> String {
    var members = tree.names.map { [$0] }
    var table = TextTable(header: ["Data sets joined by the experts they use", "distance"])
    for join in tree.joins {
      members.append(members[join.first] + members[join.second])
      table.rows.append([members[members.count - 1].joined(separator: ", "), Quantity.fixed(join.height, 3)])
    }
    return table.text + """
      distance   between the mean mixing weights of data sets, Euclidean; the mean over pairs of the two sides joined

      """
  }

  private static func json(_ found: Found, _ tree: TaskTree?) throws -> JSONObject {
    var measures = JSONObject()
    for (name, value) in found.measures { measures[name] = .double(value) }
    return [
      "model": .string(found.folder.path), "configuration": try JSONValue(of: found.configuration),
      "sparsity": found.masks.map { masks in
        [
          "asked": found.sparsity.map(JSONValue.double) ?? .null,
          "reached": .array(masks.total.experts.map { .double(1 - $0) }),
        ]
      } ?? .null,
      "tasks_seen": .integer(found.tasksSeen), "weights": .integer(found.weights), "measures": .object(measures),
      "changes": try found.changes.map { try JSONValue(of: $0) } ?? .null,
      "masks": try found.masks.map(json) ?? .null, "task_tree": try tree.map { try JSONValue(of: $0) } ?? .null,
    ]
  }

  private static func json(_ masks: MaskReport) throws -> JSONValue {
    // JSON has no not-a-number: an expert that is closed everywhere overlaps with none.
    func matrix(_ rows: [[Double]]) -> JSONValue {
      .array(rows.map { .array($0.map { $0.isFinite ? .double($0) : .null }) })
    }
    func densities(_ rows: [MaskReport.Density]) throws -> JSONValue { .array(try rows.map { try JSONValue(of: $0) }) }
    return [
      "types": try densities(masks.types), "blocks": try densities(masks.blocks),
      "total": try JSONValue(of: masks.total),
      "union": .double(masks.union), "not_binary": .double(masks.notBinary),
      "open_in_estimator_only": .double(masks.openInEstimatorOnly),
      "intersection_over_union": matrix(masks.intersectionOverUnion), "containment": matrix(masks.containment),
      "chance_intersection_over_union": masks.chanceIntersectionOverUnion.map(JSONValue.double) ?? .null,
      "chance_containment": masks.chanceContainment.map(JSONValue.double) ?? .null,
    ]
  }
}
