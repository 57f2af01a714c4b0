import ArgumentParser
import Datasets
import Formats
import Foundation
import Training

/// Flags for the network and its inputs, over what a configuration file says.
struct DataOptions: ParsableArguments {
  @Option(
    name: .shortAndLong, help: "A YAML file of settings; flags go over it.",
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(
    help: "The frozen network: a folder with model.safetensors, or a name such as vit-s14.", completion: .directory)
  var model: String?

  @Option(
    help: ArgumentHelp(
      "Images as domain/class/image, or texts as domain.jsonl, .csv or .tsv: a folder, or a name such as emoji-styles or "
        + "sentiment."), completion: .directory)
  var data: String?

  @Option(help: ArgumentHelp("The domains that take part (default: all).", valueName: "names"))
  var domains: String?

  @Option(help: ArgumentHelp("Side of the square images, in pixels (default: 224).", valueName: "pixels"))
  var imageSize: Int?

  @Option(help: ArgumentHelp("Where texts are cut (default: what the network takes).", valueName: "tokens"))
  var maximumLength: Int?

  @Option(help: "What to do about images, or lines of texts, that cannot be read: error or skip.")
  var badImages: BadSamplePolicy?

  @Option(help: "cpu, cuda, cuda:INDEX or mps (default: cpu).")
  var device: String?

  @Option(
    help:
      "How tokens become features: class-token, mean-patch or class-and-mean-patch; of texts, class-token, mean or pooler."
  )
  var pooling: String?

  func apply(to section: inout Section) {
    section.set("model", model.map(JSONValue.string), flag: "--model")
    section.set("data", data.map(JSONValue.string), flag: "--data")
    section.set("domains", domains.map(list), flag: "--domains")
    section.set("image_size", imageSize.map(JSONValue.integer), flag: "--image-size")
    section.set("maximum_length", maximumLength.map(JSONValue.integer), flag: "--maximum-length")
    section.set("bad_images", badImages.map { .string($0.rawValue) }, flag: "--bad-images")
    section.set("device", device.map(JSONValue.string), flag: "--device")
    section.set("pooling", pooling.map(JSONValue.string), flag: "--pooling")
  }
}

/// Flags for the training recipe, over what a configuration file says.
struct RecipeOptions: ParsableArguments {
  @Option(help: "Optimizer steps.")
  var steps: Int?

  @Option(help: "Images of each source domain in one step.")
  var batchSize: Int?

  @Option(help: "The learning rate.")
  var learningRate: Double?

  @Option(help: "Seeds everything but the split.")
  var seed: UInt64?

  @Option(help: "float32 or bfloat16.")
  var precision: TrainingConfiguration.Precision?

  @Option(
    help: ArgumentHelp("Where the results go: a new folder, or that of a run to go on with.", valueName: "folder"),
    completion: .directory)
  var output: String?

  @Flag(help: "Only say what would be done: adapted sites, parameters, memory, data, time.")
  var dryRun = false

  func apply(to section: inout Section) {
    section.set("steps", steps.map(JSONValue.integer), flag: "--steps")
    section.set("batch_per_domain", batchSize.map(JSONValue.integer), flag: "--batch-size")
    section.set("learning_rate", learningRate.map(JSONValue.double), flag: "--learning-rate")
    section.set("seed", seed.map { .integer(Int(clamping: $0)) }, flag: "--seed")
    section.set("precision", precision.map { .string($0.rawValue) }, flag: "--precision")
    section.set("output", output.map(JSONValue.string), flag: "--output")
  }
}

extension BadSamplePolicy: ExpressibleByArgument {}
extension TrainingConfiguration.Precision: ExpressibleByArgument {}

/// `one,two` as a list.
func list(_ text: String) -> JSONValue {
  .array(text.split(separator: ",").map { .string($0.trimmingCharacters(in: .whitespaces)) })
}
