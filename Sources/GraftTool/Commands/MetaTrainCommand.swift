import ArgumentParser
import Datasets
import Formats
import Foundation
import MetaTuning
import NeuralNetworks
import Training

/// `graft meta train`
struct MetaTrainCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Tune a network on few-shot episodes.",
    discussion: """
      Draws episodes of the training classes of each data set, and keeps the state that is best on episodes of their \
      validation classes.

        graft meta train --model vit-s14 --data few-shot --training scripts,symbols --image-size 56 \\
          --set 'episodes={ways: 5, shots: 2, queries: 3}' --set tasks_per_step=1 --steps 300 --output runs/smat

      The data is a folder of dataset/class/image with splits.json, Meta-Dataset's records, or a file of texts for each \
      data set. The output folder gets config.yaml, training.jsonl (a line for each step and validation), checkpoints/ \
      and, at the end, meta/. Ctrl-C writes a checkpoint; --resume --output FOLDER goes on from it, bit for bit.

      Settings come from the defaults of the method and preset, the file given by --config over them, and flags over \
      both. Training images are cropped, mirrored and varied in colour unless told otherwise; where a mirror image is \
      another thing, as with characters, give --set 'augmentation={flip_probability: 0}' or --set augmentation=none, \
      by which the frozen network's features are computed once. The file may hold: \(MetaSettings.keys.joined(separator: ", ")).

      methods: \(MetaMethod.allCases.map(\.rawValue).joined(separator: ", "))
      presets: \(MetaPreset.allCases.map(\.rawValue).joined(separator: ", "))
      """)

  @OptionGroup(title: "Data and model") var data: FewShotOptions

  @Option(help: ArgumentHelp("Data sets whose training classes are drawn (default: all).", valueName: "names"))
  var training: String?

  @Option(
    help: ArgumentHelp(
      "Data sets whose validation classes choose what is kept, or none (default: those trained on).",
      valueName: "names"))
  var validation: String?

  @Option(help: ArgumentHelp("What is tuned; see above.", valueName: "name"))
  var method: String?

  @Option(help: ArgumentHelp("Which account of the method is followed; see above.", valueName: "name"))
  var preset: String?

  @Option(help: "Optimizer steps.")
  var steps: Int?

  @Option(help: "The learning rate of the offsets.")
  var rate: Double?

  @Option(help: "Seeds masks, episodes and noise.")
  var seed: Int?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("Any other setting, as in --set experts=4; may be repeated.", valueName: "key=value"))
  var settings: [String] = []

  @Option(
    help: ArgumentHelp("Where the results go: a new folder, or that of a run to go on with.", valueName: "folder"),
    completion: .directory)
  var output: String?

  @Flag(help: "Go on with the run in the output folder, with its settings where none are given.")
  var resume = false

  @Flag(help: "Only say what would be done: data sets, episodes, parameters, time.")
  var dryRun = false

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let runner = try MetaTrainRunner(settings: MetaSettings(section()), isResumed: resume, console: console)
    try await dryRun ? runner.preflight() : runner.run()
  }

  /// Defaults, the run's own settings where it is resumed, the file, the flags.
  private func section() throws -> Section {
    var section = Section()
    if resume {
      guard let output else { throw ConfigurationError.missing("output", flag: "--output") }
      let file = AssetFolder.path(output).appendingPathComponent(OutputFolder.settingsName)
      guard FileManager.default.fileExists(atPath: file.path) else { throw OutputError.nothingToResume(output) }
      try section.add(YAMLFile(contentsOf: file), known: MetaSettings.keys)
    }
    if let config = data.config {
      try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: MetaSettings.keys)
    }
    data.apply(to: &section)
    section.set("training", training.map(list), flag: "--training")
    section.set("validation", validation.map { $0 == "none" ? [] : list($0) }, flag: "--validation")
    section.set("method", method.map(JSONValue.string), flag: "--method")
    section.set("preset", preset.map(JSONValue.string), flag: "--preset")
    section.set("steps", steps.map(JSONValue.integer), flag: "--steps")
    section.set("delta_rate", rate.map(JSONValue.double), flag: "--rate")
    section.set("seed", seed.map(JSONValue.integer), flag: "--seed")
    section.set("output", output.map(JSONValue.string), flag: "--output")
    try section.set(pairs: settings, flag: "--set")
    try section.check(known: MetaSettings.keys)
    return section
  }
}

/// Flags for network and data sets, over what a configuration file says.
struct FewShotOptions: ParsableArguments {
  @Option(
    name: .shortAndLong, help: "A YAML file of settings; flags go over it.",
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(
    help: "The frozen network: a folder with model.safetensors, or a name such as vit-s14.", completion: .directory)
  var model: String?

  @Option(
    help: ArgumentHelp(
      "Data sets: dataset/class/image, Meta-Dataset's records or files of texts; a folder, or a name such as few-shot."),
    completion: .directory)
  var data: String?

  @Option(help: ArgumentHelp("Side of the square images, in pixels (default: 128).", valueName: "pixels"))
  var imageSize: Int?

  @Option(help: "What to do about images, or lines of texts, that cannot be read: error or skip.")
  var badImages: BadSamplePolicy?

  @Flag(help: "Leave out classes with fewer examples than an episode takes, and list them.")
  var leaveOutSmallClasses = false

  @Option(help: "cpu, cuda, cuda:INDEX or mps (default: cpu).")
  var device: String?

  func apply(to section: inout Section) {
    section.set("model", model.map(JSONValue.string), flag: "--model")
    section.set("data", data.map(JSONValue.string), flag: "--data")
    section.set("image_size", imageSize.map(JSONValue.integer), flag: "--image-size")
    section.set("bad_images", badImages.map { .string($0.rawValue) }, flag: "--bad-images")
    section.set(
      "leave_out_small_classes", leaveOutSmallClasses ? .bool(true) : nil, flag: "--leave-out-small-classes")
    section.set("device", device.map(JSONValue.string), flag: "--device")
  }
}

extension Section {
  /// Settings given as `key=value`, the value in YAML.
  mutating func set(pairs: [String], flag: String) throws {
    for pair in pairs {
      let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        throw ConfigurationError.value(place: flag, problem: "'\(pair)' is not of the form key=value.")
      }
      set(parts[0], try YAMLFile("value: \(parts[1])", name: flag).root["value"] ?? .null, flag: flag)
    }
  }
}
