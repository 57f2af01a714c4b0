import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Training

/// What a run would do, found out before it does any of it: the images' headers or the texts are read, two steps are timed,
/// and nothing is written.
struct Preflight {
  let experiment: ExperimentSettings
  let backbone: any PretrainedNetwork
  let data: ExperimentData
  /// nil for texts.
  private let scan: ImageScan?
  /// Images straight from the files: the cache of decoded images is part of the work.
  private let examples: any Examples

  init(_ experiment: ExperimentSettings, _ console: Console) async throws {
    self.experiment = experiment
    backbone = try experiment.backbone.load()
    data = try experiment.data(for: backbone)
    switch data {
    case .images(let folder):
      let recipe = experiment.recipe
      let scan = try await ImageScan(of: folder, policy: recipe.badImages) { done, total in
        console.progress.show("scanning", done, of: total)
      }
      let paths = folder.samples.map(folder.path)
      examples = try ImageExamples(
        folder, from: ImageFiles(paths: paths, minimumSide: 2 * recipe.imageSize), size: recipe.imageSize,
        normalization: experiment.normalization(for: backbone), augmentation: recipe.augmentation,
        badImages: scan.badImages)
      self.scan = scan
    case .texts(let folder):
      examples = try experiment.textExamples(folder, for: backbone)
      scan = nil
    }
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
    let model = try method.model(on: backbone, classes: data.classes, seed: recipe.seed)
    let index = try target.map(data.target(leavingOut:))
    let fold = Fold(of: examples, target: index, trialSeed: recipe.trialSeed, holdout: recipe.holdout)
    let plan = try await Plan.timed(model, on: examples, fold: fold, configuration: recipe)
    guard let time = plan.time else { return Row(method: method, plan: plan, seconds: .nan, shared: 0) }
    // A classifier alone trains on features that are computed once.
    let isStored = model.adapter.stored.isEmpty && (!examples.varies || recipe.cachedViews > 0)
    guard isStored else { return Row(method: method, plan: plan, seconds: time.total, shared: 0) }
    let views = examples.varies ? recipe.cachedViews + 1 : 1
    return Row(
      method: method, plan: plan, seconds: Double(recipe.steps) * Self.secondsPerStoredStep,
      shared: Double(data.count * views) * time.perEvaluatedImage)
  }

  /// A step of a classifier on stored features: small matrix products.
  private static let secondsPerStoredStep = 0.001

  // MARK: As text

  /// The images or texts: how many of what, and which cannot be used.
  var dataText: String {
    var table = TextTable(header: ["Domain", data.noun, "smallest class", "largest class"])
    for (name, classes) in zip(data.domains, countsByClass) {
      table.rows.append([
        name, Quantity.count(classes.reduce(0, +)), "\(classes.min() ?? 0)", "\(classes.max() ?? 0)",
      ])
    }
    var text = "Data: \(data.root.path)\n"
    text += "\(data.domains.count) domains, \(data.classes.count) classes"
    if let scan {
      text += ", "
      text += scan.countsByFormat.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
      if let sides = scan.sides { text += ", sides \(sides.lowerBound) to \(sides.upperBound) pixels" }
    }
    text += "\n\n\(table.text)"
    let bad = examples.badSamples
    if !bad.isEmpty {
      text += "\n\(bad.count) \(data.noun) cannot be used and would be left out:\n"
      text += bad.prefix(20).map { "  \($0)\n" }.joined()
      if bad.count > 20 { text += "  and \(bad.count - 20) more\n" }
    }
    return text
  }

  /// Of the samples that can be used, by domain.
  private var countsByClass: [[Int]] {
    examples.ranges.map { range in
      range.filter(examples.isUsable).reduce(into: data.classes.map { _ in 0 }) { $0[examples.labels[$1]] += 1 }
    }
  }

  var backboneText: String {
    let recipe = experiment.recipe
    var text = "Model: \(experiment.backbone.folder.path)\n"
    if let vision = backbone as? VisionTransformer {
      let configuration = vision.configuration
      text += "\(configuration.family.rawValue), \(configuration.depth) blocks of width \(configuration.width), "
      text += "patches of \(configuration.patchSize) pixels, images of \(recipe.imageSize) pixels"
    } else if let encoder = backbone as? TextTransformer {
      let configuration = encoder.configuration
      text += "\(configuration.family.rawValue), \(configuration.depth) blocks of width \(configuration.width), "
      text += "texts of up to \(experiment.texts.length(for: encoder)) tokens"
    }
    text += ", \(Quantity.count(backbone.parameterCount)) parameters, on \(backbone.device)\n"
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
      "root": .string(data.root.path), "domains": .array(data.domains.map(JSONValue.string)),
      "classes": .array(data.classes.map(JSONValue.string)),
      data.noun: .array(countsByClass.map { .integer($0.reduce(0, +)) }),
      "bad_\(data.noun)": .array(examples.badSamples.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
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
