import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Training

/// What a run would do, found out before it does any of it: the images' headers are read, two steps are timed, and
/// nothing is written.
struct Preflight {
  let experiment: ExperimentSettings
  let backbone: VisionTransformer
  let folder: DomainFolder
  let scan: ImageScan
  /// Straight from the files: the cache of decoded images is part of the work.
  private let examples: ImageExamples

  init(_ experiment: ExperimentSettings, _ console: Console) async throws {
    self.experiment = experiment
    backbone = try experiment.backbone.load()
    folder = try experiment.folder()
    let recipe = experiment.recipe
    scan = try await ImageScan(of: folder, policy: recipe.badImages) { done, total in
      console.progress.show("scanning", done, of: total)
    }
    let paths = folder.samples.map(folder.path)
    examples = try ImageExamples(
      folder, from: ImageFiles(paths: paths, minimumSide: 2 * recipe.imageSize), size: recipe.imageSize,
      normalization: experiment.normalization(for: backbone), augmentation: recipe.augmentation,
      badImages: scan.badImages)
  }

  struct Row {
    let method: Method
    let plan: Plan
    /// Seconds of one run.
    let seconds: Double
    /// Seconds spent once, whatever the number of runs: features of the frozen network.
    let shared: Double
  }

  /// - Parameter target: the domain left out; nil for none.
  func row(for method: Method, leavingOut target: String?) async throws -> Row {
    var recipe = experiment.recipe
    recipe.learningRate = method.learningRate ?? recipe.learningRate
    let model = try method.model(on: backbone, classes: folder.classes, seed: recipe.seed)
    let index = try target.map { try folder.leavingOut($0).target }
    let fold = Fold(of: examples, target: index, trialSeed: recipe.trialSeed, holdout: recipe.holdout)
    let plan = try await Plan.timed(model, on: examples, fold: fold, configuration: recipe)
    guard let time = plan.time else { return Row(method: method, plan: plan, seconds: .nan, shared: 0) }
    // A classifier alone trains on features that are computed once.
    let isStored = model.adapter.parameters.isEmpty && (recipe.augmentation == nil || recipe.cachedViews > 0)
    guard isStored else { return Row(method: method, plan: plan, seconds: time.total, shared: 0) }
    let views = recipe.augmentation == nil ? 1 : recipe.cachedViews + 1
    return Row(
      method: method, plan: plan, seconds: Double(recipe.steps) * Self.secondsPerStoredStep,
      shared: Double(folder.samples.count * views) * time.perEvaluatedImage)
  }

  /// A step of a classifier on stored features: small matrix products.
  private static let secondsPerStoredStep = 0.001

  // MARK: As text

  /// The images: how many of what, and which cannot be used.
  var dataText: String {
    var table = TextTable(header: ["Domain", "images", "smallest class", "largest class"])
    for (domain, name) in folder.domains.enumerated() {
      let classes = scan.countsByClass[domain]
      table.rows.append([
        name, Quantity.count(scan.countsByDomain[domain]), "\(classes.min() ?? 0)", "\(classes.max() ?? 0)",
      ])
    }
    let formats = scan.countsByFormat.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    var text = "Data: \(folder.root.path)\n"
    text += "\(folder.domains.count) domains, \(folder.classes.count) classes, \(formats)"
    if let sides = scan.sides { text += ", sides \(sides.lowerBound) to \(sides.upperBound) pixels" }
    text += "\n\n\(table.text)"
    if !scan.badImages.isEmpty {
      text += "\n\(scan.badImages.count) images cannot be used and would be left out:\n"
      text += scan.badImages.prefix(20).map { "  \($0)\n" }.joined()
      if scan.badImages.count > 20 { text += "  and \(scan.badImages.count - 20) more\n" }
    }
    return text
  }

  var backboneText: String {
    let configuration = backbone.configuration
    var text = "Model: \(experiment.backbone.folder.path)\n"
    text += "\(configuration.family.rawValue), \(configuration.depth) blocks of width \(configuration.width), "
    text += "patches of \(configuration.patchSize) pixels, \(Quantity.count(backbone.parameterCount)) parameters, "
    text += "on \(backbone.device), images of \(experiment.recipe.imageSize) pixels\n"
    if !backbone.report.assumptions.isEmpty {
      text += "Assumed: \(backbone.report.assumptions.joined(separator: "; "))\n"
    }
    return text
  }

  /// The adapted sites of one method.
  static func sitesText(_ plan: Plan) -> String {
    var table = TextTable(header: ["Site", "in", "out", "parameters"])
    for site in plan.sites where plan.adapterParameters > 0 {
      table.rows.append([site.name, "\(site.inFeatures)", "\(site.outFeatures)", Quantity.count(site.parameters)])
    }
    let atSites = plan.sites.reduce(0) { $0 + $1.parameters }
    if plan.adapterParameters > atSites {
      table.rows.append(["shared and elsewhere", "", "", Quantity.count(plan.adapterParameters - atSites)])
    }
    table.rows.append(["head", "", "", Quantity.count(plan.headParameters)])
    return table.text
  }

  static func memoryText(_ memory: Plan.MemoryEstimate) -> String {
    "about \(Quantity.bytes(memory.total)): weights \(Quantity.bytes(memory.weights)), "
      + "training \(Quantity.bytes(memory.training)), activations \(Quantity.bytes(memory.activations))"
  }

  // MARK: As JSON

  var dataJSON: JSONValue {
    [
      "root": .string(folder.root.path), "domains": .array(folder.domains.map(JSONValue.string)),
      "classes": .array(folder.classes.map(JSONValue.string)),
      "images": .array(scan.countsByDomain.map(JSONValue.integer)),
      "bad_images": .array(scan.badImages.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
    ]
  }

  static func json(_ row: Row) -> JSONValue {
    let plan = row.plan
    return [
      "method": .string(row.method.name),
      "sites": .array(
        plan.sites.map {
          [
            "name": .string($0.name), "in": .integer($0.inFeatures), "out": .integer($0.outFeatures),
            "parameters": .integer($0.parameters),
          ]
        }),
      "adapter_parameters": .integer(plan.adapterParameters), "head_parameters": .integer(plan.headParameters),
      "all_parameters": .integer(plan.parameters.total), "batch": .integer(plan.batch), "steps": .integer(plan.steps),
      "memory_bytes": .integer(plan.memory.total),
      "seconds_per_step": plan.time.map { .double($0.perStep) } ?? .null,
      "seconds": .double(row.seconds + row.shared),
    ]
  }
}
