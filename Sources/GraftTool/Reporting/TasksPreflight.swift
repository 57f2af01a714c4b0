import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Training

/// `graft tasks --dry-run`: the tasks, what each method trains, and how long all of it takes, by two steps of each method.
struct TasksPreflight {
  let settings: TaskSettings
  let console: Console

  /// A step of a classifier on stored features: small matrix products.
  private static let secondsPerStoredStep = 0.001

  func run() async throws {
    let folder = try settings.folder()
    let groups = try settings.groups(of: folder)
    let backbone = try settings.experiment.backbone.loadForImages("graft tasks")
    let recipe = settings.experiment.recipe
    var tasks = TextTable(header: ["Task", "group", "classes", "training", "validation", "test"])
    for group in groups.groups {
      for task in folder.tasks where group.tasks.contains(task.name) {
        tasks.rows.append([
          task.name, group.name, "\(task.classes.count)", "\(task.training.count)", "\(task.validation.count)",
          "\(task.test.count)",
        ])
      }
    }
    var methods = TextTable(header: ["Method", "trainable", "memory", "s/step", "s/image tested", "all its runs"])
    var total = 0.0
    var json: [JSONValue] = []
    for (place, method) in settings.methods.enumerated() {
      console.progress.show("timing", place, of: settings.methods.count)
      let plan = try await plan(method.row, on: folder.tasks[0], backbone, recipe)
      let seconds = seconds(plan, folder)
      total += seconds
      methods.rows.append([
        method.name, Quantity.count(plan.adapterParameters), Quantity.bytes(plan.memory.total),
        plan.time.map { Quantity.fixed($0.perStep, 2) } ?? "-",
        plan.time.map { Quantity.fixed($0.perEvaluatedImage, 4) } ?? "-", Quantity.duration(seconds),
      ])
      json.append([
        "method": .string(method.name), "adapter_parameters": .integer(plan.adapterParameters),
        "seconds_per_step": plan.time.map { .double($0.perStep) } ?? .null, "seconds": .double(seconds),
      ])
    }
    console.progress.show("timing", settings.methods.count, of: settings.methods.count)
    let rates = settings.learningRates.count
    console.result(
      """
      Data: \(folder.root.path)
      \(tasks.text)
      \(methods.text)
      \(settings.methods.count * folder.tasks.count * (rates + settings.trials)) runs: \(settings.methods.count) \
      methods, \(folder.tasks.count) tasks, \(rates) learning rates, \(settings.trials) trials, \(recipe.steps) steps \
      of \(recipe.batchPerDomain) images each
      time: about \(Quantity.duration(total)) in one process
      """)
    try console.json(
      JSONValue.object([
        "tasks": .array(
          folder.tasks.map {
            [
              "name": .string($0.name), "classes": .array($0.classes.map(JSONValue.string)),
              "training": .integer($0.training.count), "validation": .integer($0.validation.count),
              "test": .integer($0.test.count),
            ]
          }),
        "methods": .array(json), "seconds": .double(total),
      ]).text(.readable))
  }

  private func plan(
    _ method: Method, on task: ClassificationTask, _ backbone: VisionTransformer, _ recipe: TrainingConfiguration
  ) async throws -> Plan {
    // Straight from the files: the cache of decoded images is part of the work.
    let paths = task.folder.samples.map(task.folder.path)
    let images = try ImageExamples(
      task.folder, from: ImageFiles(paths: paths, minimumSide: 2 * recipe.imageSize), size: recipe.imageSize,
      normalization: settings.experiment.normalization(for: backbone), augmentation: recipe.augmentation)
    let examples = try TaskExamples(task, images)
    let model = try method.model(on: backbone, classes: task.classes, seed: recipe.seed)
    return try await Plan.timed(model, on: images, fold: examples.fold(for: .search), configuration: recipe)
  }

  /// Of a method's searches and results on every task.
  private func seconds(_ plan: Plan, _ folder: TaskFolder) -> Double {
    guard let time = plan.time else { return .nan }
    let recipe = settings.experiment.recipe
    let isStored = plan.adapterParameters == 0 && (recipe.augmentation == nil || recipe.cachedViews > 0)
    let (rates, trials) = (Double(settings.learningRates.count), Double(settings.trials))
    return folder.tasks.reduce(0) { sum, task in
      let images = Double(task.folder.samples.count)
      if isStored {
        return sum + images * time.perEvaluatedImage
          + (rates + trials) * Double(recipe.steps) * Self.secondsPerStoredStep
      }
      let training = Double(recipe.steps) * time.perStep
      return sum + rates * (training + Double(task.validation.count) * time.perEvaluatedImage)
        + trials * (training + Double(task.test.count) * time.perEvaluatedImage)
    }
  }
}
