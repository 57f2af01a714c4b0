import Adapters
import ArgumentParser
import Datasets
import Formats
import Foundation
import Reports
import Training

/// `graft eval`
struct EvaluateCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Measure a trained adapter's accuracy on each domain of a folder of images or texts.",
    discussion: """
      Every image or text counts, those it was trained on too: which ones those are, the run's results.jsonl says. Where the \
      adapter lies in the folder of a run, the run's settings are the defaults.

        graft eval runs/lora
        graft eval runs/lora/adapter --model vit-s14 --data photographs --image-size 112
      """)

  @Argument(help: "The folder of an adapter, or of a run of graft train.", completion: .directory)
  var adapter: String

  @OptionGroup(title: "Data and model") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let trained = try TrainedAdapter(at: adapter, data)
    let experiment = try trained.experiment()
    let network = try experiment.backbone.load()
    let data = try experiment.data(for: network)
    let model = try trained.load(onto: network)
    guard let head = model.head else { throw TrainedAdapter.Problem.noClassifier(adapter) }
    guard head.classes == data.classes else {
      throw TrainingError.classes(head: head.classes, examples: data.classes)
    }
    let examples = try await experiment.examples(data, for: network, console)
    var evaluator = Evaluator(examples, batchSize: experiment.recipe.evaluationBatch)
    evaluator.precision = experiment.recipe.precision

    var table = TextTable(header: ["Domain", data.noun, "accuracy (%)"])
    var domains: [JSONValue] = []
    var accuracies: [Double] = []
    for (domain, name) in examples.domains.enumerated() {
      let indices = examples.ranges[domain].filter(examples.isUsable)
      console.progress.show("evaluating", domain, of: examples.domains.count)
      let accuracy = try await evaluator.accuracy(of: model, at: indices)
      table.rows.append([name, Quantity.count(indices.count), Quantity.percent(accuracy)])
      domains.append(
        [
          "domain": .string(name), data.noun: .integer(indices.count),
          "accuracy": accuracy.isNaN ? .null : .double(accuracy),
        ])
      if !accuracy.isNaN { accuracies.append(accuracy) }
    }
    console.progress.show("evaluating", examples.domains.count, of: examples.domains.count)
    let mean = Statistics.mean(accuracies)
    table.rows.append(["mean of domains", "", Quantity.percent(mean)])
    console.result(table.text)
    try console.json(
      JSONValue.object([
        "adapter": .string(trained.folder.path), "domains": .array(domains),
        "mean": mean.map(JSONValue.double) ?? .null,
        "bad_\(data.noun)": .array(examples.badSamples.map { .string("\($0)") }),
      ]).text(.readable))
  }
}
