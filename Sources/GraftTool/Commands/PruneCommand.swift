import Adapters
import ArgumentParser
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Reports
import Training

/// `graft prune`
struct PruneCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "prune",
    abstract: "Zero most of an adapter's weights, or measure how its accuracy falls with the fraction kept.",
    discussion: """
      The density is the fraction of the weights that is kept, matrix by matrix; biases, LayerNorms and the classifier stay \
      whole. The result is an adapter's folder like any other, stored without its zeros where that is smaller. conflicts-first \
      and minority-first look at the signs of the adapters that this one is to be mixed with, given by --with; consensus \
      zeroes every weight that any two of them disagree in, and takes no density.

      --curve measures an adapter in its run's folder on the examples that the run held out; any other adapter on all \
      examples, training ones too.

        graft prune runs/books --density 0.1 --output sparse/books
        graft prune runs/books --density 0.2 --criterion conflicts-first --with runs/dvd --with runs/kitchen --output sparse
        graft prune runs/books --curve 1,0.5,0.2,0.1,0.05 --figure curve.svg
      """)

  @Argument(help: "The folder of an adapter, or of a run of graft train.", completion: .directory)
  var adapter: String

  @Option(help: "The fraction of the weights that is kept, above 0 and at most 1.")
  var density: Double?

  @Option(
    help:
      "Which weights go first: magnitude (default), the smallest; conflicts-first; minority-first; random; or consensus."
  )
  var criterion = PruneCriterion.magnitude

  @Option(help: "Where the density is reached: tensor, in each matrix (default), or global, in all together.")
  var scope = Pruning.Scope.tensor

  @Option(
    name: .customLong("with"),
    help: ArgumentHelp("An adapter that this one is to be mixed with. Repeat it for several.", valueName: "folder"),
    completion: .directory)
  var others: [String] = []

  @Option(help: "Seeds the random criterion.")
  var seed: UInt64 = 0

  @Option(
    help: ArgumentHelp(
      "Measure the accuracy at these densities in place of writing an adapter.", valueName: "densities"))
  var curve: String?

  @Option(help: ArgumentHelp("With --curve: draw it.", valueName: "file.svg"), completion: .file(extensions: ["svg"]))
  var figure: String?

  @Option(help: ArgumentHelp("A new folder for the pruned adapter.", valueName: "folder"), completion: .directory)
  var output: String?

  @OptionGroup(title: "Data and model") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    if criterion.comparesAdapters, others.isEmpty {
      throw ValidationError("--criterion \(criterion.rawValue) compares adapters. Name the others by --with.")
    }
    if !criterion.comparesAdapters, !others.isEmpty {
      throw ValidationError("--with goes with --criterion conflicts-first, minority-first or consensus.")
    }
    if let density, !(density > 0 && density <= 1) {
      throw ValidationError("--density is the fraction kept: above 0 and at most 1.")
    }
    if curve != nil {
      guard density == nil, output == nil else {
        throw ValidationError("--curve writes no adapter: leave --density and --output out.")
      }
      guard criterion != .consensus else {
        throw ValidationError("consensus has one density: there is no curve of it.")
      }
      _ = try densities()
    } else {
      guard output != nil else { throw ValidationError("Give --output, a folder for the pruned adapter, or --curve.") }
      guard (density == nil) == (criterion == .consensus) else {
        throw ValidationError(
          criterion == .consensus
            ? "consensus takes no --density." : "Give --density, the fraction kept, as in --density 0.1.")
      }
      if figure != nil { throw ValidationError("--figure goes with --curve.") }
    }
  }

  private func densities() throws -> [Double] {
    let texts = (curve ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    let densities = texts.compactMap(Double.init)
    guard densities.count == texts.count, !densities.isEmpty, densities.allSatisfy({ $0 > 0 && $0 <= 1 }) else {
      throw ValidationError("--curve wants densities above 0 and at most 1, as in 1,0.5,0.1.")
    }
    guard Set(densities).count == densities.count else { throw ValidationError("--curve names a density twice.") }
    return densities
  }

  func run() async throws {
    let console = Console(console)
    curve == nil ? try await prune(console) : try await measure(console)
  }

  // MARK: One density

  private struct Pruned: Sendable {
    var name: String
    var kept: Int
    var weights: Int
    var density: Double
    var bytes: Int
  }

  private func prune(_ console: Console) async throws {
    let folder = AssetFolder.path(output ?? "")
    try OutputFolder.checkIsFree(folder)
    let adapters = try NamedAdapters([adapter] + others, data)
    try show(await Self.pruned(adapters, criterion, pruning(density ?? 1), to: folder), folder, console)
  }

  private func pruning(_ density: Double) -> Pruning {
    Pruning(density: density, criterion: criterion.pruning ?? .magnitude, scope: scope, seed: seed)
  }

  @Compute
  private static func pruned(
    _ adapters: NamedAdapters, _ criterion: PruneCriterion, _ pruning: Pruning, to folder: URL
  ) throws -> Pruned {
    let models = try adapters.models()
    let vectors = try models.map { try AdapterVector($0.adapter) }
    let mask =
      try criterion == .consensus
      ? PruningMask.consensus(of: vectors) : pruning.mask(of: vectors[0], among: Array(vectors.dropFirst()))
    guard mask.keptCount > 0 else { throw NothingKept(adapters: adapters.names) }
    try mask.applied(to: vectors[0]).load(into: models[0].adapter)
    try models[0].save(to: folder)
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".safetensors") }
    let bytes = try files.reduce(0) { total, name in
      let attributes = try FileManager.default.attributesOfItem(atPath: folder.appendingPathComponent(name).path)
      return total + (attributes[.size] as? Int ?? 0)
    }
    return Pruned(
      name: adapters.names[0], kept: mask.keptCount, weights: mask.layout.weightCount, density: mask.density,
      bytes: bytes)
  }

  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashes on some that are.
  @inline(never)
  private func show(_ pruned: Pruned, _ folder: URL, _ console: Console) throws {
    console.result(
      """
      pruned   \(pruned.name), \(criterion.rawValue)
      kept     \(Quantity.count(pruned.kept)) of \(Quantity.count(pruned.weights)) weights, density \
      \(Quantity.fixed(pruned.density, 4))
      size     \(Quantity.bytes(pruned.bytes))
      adapter  \(folder.path)

      """)
    try console.json(
      JSONValue.object([
        "output": .string(folder.path), "criterion": .string(criterion.rawValue), "scope": .string(scope.rawValue),
        "density": .double(pruned.density), "kept": .integer(pruned.kept), "weights": .integer(pruned.weights),
        "bytes": .integer(pruned.bytes),
      ]).text(.readable))
  }

  // MARK: The curve

  private func measure(_ console: Console) async throws {
    let densities = try densities()
    let adapters = try NamedAdapters([adapter] + others, data)
    let experiment = try adapters.adapters[0].experiment()
    let network = try experiment.backbone.load()
    let data = try experiment.data(for: network)
    let curve = try await Curve.start(adapters, on: network, classes: data.classes)
    let examples = try await experiment.examples(data, for: network, console)
    // Of other adapters the division is not known.
    let isDivided = adapters.adapters[0].isOfRun && self.data.data == nil && self.data.domains == nil
    let fold = Fold(
      of: examples, target: nil, trialSeed: experiment.recipe.trialSeed, holdout: experiment.recipe.holdout)
    if !isDivided { console.warn("measured on all examples: those that the adapter was trained on are among them.") }
    var evaluator = Evaluator(examples, batchSize: experiment.recipe.evaluationBatch)
    evaluator.precision = experiment.recipe.precision
    var points: [CurvePoint] = []
    let total = densities.count * examples.domains.count
    for density in densities {
      let kept = try await curve.prune(pruning(density))
      var accuracies: [Double] = []
      for domain in examples.domains.indices {
        console.progress.show("evaluating", points.count * examples.domains.count + domain, of: total)
        let indices = isDivided ? fold.parts[domain].out : examples.ranges[domain].filter(examples.isUsable)
        accuracies.append(try await evaluator.accuracy(of: curve.model, at: indices))
      }
      points.append(CurvePoint(density: density, kept: kept, accuracies: accuracies))
    }
    console.progress.show("evaluating", total, of: total)
    try show(points, examples.domains, adapters.names[0], console)
  }

  /// The adapter whose weights are pruned again and again.
  private struct Curve: Sendable {
    let model: AdaptedModel
    private let vector: AdapterVector
    private let others: [AdapterVector]

    @Compute
    static func start(_ adapters: NamedAdapters, on network: any PretrainedNetwork, classes: [String]) throws -> Curve {
      let models = try adapters.adapters.map { try $0.load(onto: network) }
      guard let head = models[0].head else {
        throw TrainedAdapter.Problem.noClassifier(adapters.adapters[0].folder.path)
      }
      guard head.classes == classes else { throw TrainingError.classes(head: head.classes, examples: classes) }
      let vectors = try models.map { try AdapterVector($0.adapter) }
      return Curve(model: models[0], vector: vectors[0], others: Array(vectors.dropFirst()))
    }

    /// - Returns: how many weights are kept.
    @Compute
    func prune(_ pruning: Pruning) throws -> Int {
      let (pruned, mask) = try pruning(vector, among: others)
      try pruned.load(into: model.adapter)
      return mask.keptCount
    }
  }

  private struct CurvePoint: Sendable {
    var density: Double
    var kept: Int
    /// By domain; not a number for one without examples.
    var accuracies: [Double]

    var mean: Double? { Statistics.mean(accuracies.filter { !$0.isNaN }) }
  }

  @inline(never)
  private func show(_ points: [CurvePoint], _ domains: [String], _ name: String, _ console: Console) throws {
    var table = TextTable(header: ["Density", "weights"] + domains + ["mean (%)"])
    table.rows = points.map { point in
      [Quantity.fixed(point.density, 3), Quantity.count(point.kept)] + point.accuracies.map(Quantity.percent)
        + [Quantity.percent(point.mean)]
    }
    console.result(table.text)
    try console.json(
      JSONValue.object([
        "adapter": .string(name), "criterion": .string(criterion.rawValue), "scope": .string(scope.rawValue),
        "domains": .array(domains.map(JSONValue.string)),
        "points": .array(
          points.map { point in
            [
              "density": .double(point.density), "weights": .integer(point.kept),
              "accuracies": .array(point.accuracies.map { $0.isNaN ? .null : .double($0) }),
              "mean": point.mean.map(JSONValue.double) ?? .null,
            ]
          }),
      ]).text(.readable))
    guard let figure else { return }
    let sorted = points.sorted { $0.density < $1.density }
    var series = domains.enumerated().map { place, domain in
      LineChart.Series(name: domain, points: sorted.map { .init($0.density, 100 * $0.accuracies[place]) })
    }
    if domains.count > 1 {
      series.append(.init(name: "mean", points: sorted.map { .init($0.density, 100 * ($0.mean ?? .nan)) }))
    }
    let chart = LineChart(
      title: "\(name), pruned by \(criterion.rawValue)", horizontalLabel: "density (fraction of weights kept)",
      verticalLabel: "accuracy (%)", series: series)
    try AtomicFile.write(chart.svg, to: AssetFolder.path(figure))
    console.note("drawing in \(figure)")
  }
}

/// The criteria of `Pruning`, and the mask that has a density of its own.
enum PruneCriterion: String, CaseIterable, ExpressibleByArgument {
  case magnitude
  case conflicts = "conflicts-first"
  case minority = "minority-first"
  case random
  case consensus

  /// nil for the consensus.
  var pruning: Pruning.Criterion? { Pruning.Criterion(rawValue: rawValue) }
  var comparesAdapters: Bool { pruning?.comparesAdapters ?? true }
}

extension Pruning.Scope: ExpressibleByArgument {}

/// A mask that leaves none of the weights.
struct NothingKept: Error, CustomStringConvertible {
  let adapters: [String]
  var description: String {
    """
    \(adapters.joined(separator: ", ")) disagree in the sign of every weight, so nothing would be left. Leave some of them out, or \
    prune by conflicts-first at a density.
    """
  }
}
