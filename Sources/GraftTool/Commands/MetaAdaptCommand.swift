import Adapters
import ArgumentParser
import Datasets
import Formats
import Foundation
import MetaTuning
import NeuralNetworks
import Tensors
import Tokenizers
import Training

/// `graft meta adapt`
struct MetaAdaptCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "adapt",
    abstract: "Make a task's model of a few labelled examples.",
    discussion: """
      Without any training: the examples decide how the experts are mixed and where the classes lie. On a network for \
      images the support is a folder of class/image; on a text encoder, texts with their labels.

        graft meta adapt --meta runs/smat --support my-classes --output runs/my-task
        graft predict runs/my-task photo.png

      The output folder gets adapter/ (what changes of the frozen network, sparse, and a classifier by the cosine to \
      the classes' prototypes), task.json (where it comes from, how the experts are mixed), config.yaml and, with \
      --merged, model/: the whole network with the change in its weights, as any program reads it.
      """)

  @Option(
    help: ArgumentHelp("The folder of a run of graft meta train, or of its model.", valueName: "folder"),
    completion: .directory)
  var meta: String

  @Option(
    help: ArgumentHelp("The labelled examples: class/image, or texts.", valueName: "folder"), completion: .directory)
  var support: String

  // Unconditional, so that of a negative number the range is told.
  @Option(
    parsing: .unconditional,
    help: "How much of what was trained is taken, 0 to 1: 1 is all, less goes back to the pretrained network.")
  var scale = 1.0

  @Flag(help: "Also write the whole network with the task's weights.")
  var merged = false

  @Option(help: ArgumentHelp("A new folder for the result.", valueName: "folder"), completion: .directory)
  var output: String

  @OptionGroup(title: "Model") var data: AdaptOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    guard (0...1).contains(scale) else { throw ValidationError("--scale must be 0 to 1.") }
  }

  func run() async throws {
    let console = Console(console)
    let started = ContinuousClock.now
    let job = try prepared()
    let support = try await job.support(at: AssetFolder.path(support))
    if !support.badSamples.isEmpty {
      let shown = support.badSamples.prefix(5).map { "\n  \($0)" }.joined()
      console.warn("\(support.badSamples.count) examples cannot be used and are left out:\(shown)")
    }
    let written = try await Self.write(job, support, scale, merged)
    try report(written, job, support, (ContinuousClock.now - started) / .seconds(1), console)
  }

  private struct Job: Sendable {
    let meta: MetaFolder
    let backbone: BackboneSettings
    let texts: TextSettings
    let imageSize: Int
    let normalization: Normalization?
    let badImages: BadSamplePolicy
    let network: any PretrainedNetwork
    let output: URL

    func support(at folder: URL) async throws -> SupportSet {
      guard let encoder = network as? TextTransformer else {
        return try SupportSet(
          imagesIn: folder, size: imageSize, normalization: normalization ?? network.usualNormalization,
          badImages: badImages)
      }
      return try await SupportSet(
        textsIn: folder, options: texts.options, tokenizer: Tokenizer(from: backbone.folder), for: encoder,
        maximumLength: texts.length(for: encoder))
    }

    /// What `graft predict` needs to know.
    ///
    /// - Parameter folder: of the network that the classifier is for; nil for the frozen one.
    func settings(model folder: URL? = nil) throws -> String {
      var network = backbone
      network.folder = folder ?? backbone.folder
      var object = network.resolved
      if self.network is TextTransformer {
        for (key, value) in texts.resolved.members { object[key] = value }
      } else {
        object["image_size"] = .integer(imageSize)
        object["normalization"] = try normalization.map { try JSONValue(of: $0) }
      }
      return "# What this task's classifier is used with.\n" + (try JSONValue.object(object).yaml())
    }
  }

  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashed on the two in one function.
  @inline(never)
  private func prepared() throws -> Job {
    let meta = try MetaFolder(at: self.meta)
    let recipe = try MetaModel.settings(in: meta.folder)
    var section = meta.section
    data.apply(to: &section)
    let output = AssetFolder.path(output)
    try OutputFolder.checkIsFree(output)
    let backbone = try BackboneSettings(section)
    let size = try section.integer("image_size") ?? recipe.imageSize
    guard (1...8_192).contains(size) else {
      throw ConfigurationError.value(
        place: section.place("image_size"), problem: "the size must be 1 to 8192 pixels.")
    }
    let badImages = try section.badImages() ?? .error
    var texts = try TextSettings(section)
    texts.options.badLines = badImages
    let network = try backbone.load()
    try (network as? VisionTransformer)?.check(imageSize: size, place: section.place("image_size"))
    return Job(
      meta: meta, backbone: backbone, texts: texts, imageSize: size, normalization: recipe.normalization,
      badImages: badImages, network: network, output: output)
  }

  private struct Written: Sendable {
    let record: TaskRecord
    let changed: Int
    let weights: Int
    let bytes: Int
    let deviation: MergeRecord.Deviation?
  }

  @Compute
  private static func write(_ job: Job, _ support: SupportSet, _ scale: Double, _ merges: Bool) throws -> Written {
    let meta = try MetaModel.load(from: job.meta.folder, backbone: job.network)
    meta.weights.scale = scale
    let inputs = try support.inputs.to(job.network.device)
    let task = try TaskModel(meta, support: inputs, labels: support.labels, classes: support.classes)
    let record = try TaskRecord(
      task, of: meta, in: job.meta.folder,
      support: support.counts.map { TaskRecord.Support(name: $0.name, examples: $0.examples) },
      imageSize: job.network is TextTransformer ? nil : job.imageSize)
    let adapter = job.output.appendingPathComponent(TrainRun.adapterFolder, isDirectory: true)
    try FileManager.default.createDirectory(at: job.output, withIntermediateDirectories: true)
    try task.model.save(to: adapter)
    var deviation: MergeRecord.Deviation?
    if merges {
      let part = try MergedCheckpoint.part(at: adapter, onto: job.network, from: job.backbone.folder)
      var checkpoint = try MergedCheckpoint(
        of: job.network, from: job.backbone.folder, probe: inputs, source: "the support")
      let model = job.output.appendingPathComponent("model")
      checkpoint.besideHead[OutputFolder.settingsName] = try job.settings(model: model)
      deviation = try checkpoint.write([part], to: model).record.deviation
    }
    try AtomicFile.write(job.settings(), to: job.output.appendingPathComponent(OutputFolder.settingsName))
    // Last: its presence says that the folder is whole.
    try record.write(to: job.output)
    return Written(
      record: record, changed: try task.changedWeights, weights: job.network.parameterCount,
      bytes: try size(of: adapter), deviation: deviation)
  }

  private nonisolated static func size(of folder: URL) throws -> Int {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: [.fileSizeKey]).reduce(0) {
      try $0 + ($1.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0)
    }
  }

  @inline(never)
  private func report(
    _ written: Written, _ job: Job, _ support: SupportSet, _ seconds: Double, _ console: Console
  ) throws {
    let record = written.record
    let share = Double(written.changed) / Double(max(1, written.weights))
    var text = """
      task       \(support.classes.count) classes, \(support.labels.count) examples
      mixing     \(record.mixing.isEmpty ? "none" : record.mixing.map { Quantity.fixed($0, 3) }.joined(separator: " "))
      changes    \(Quantity.count(written.changed)) of \(Quantity.count(written.weights)) weights \
      (\(Quantity.percent(share)) %), \(Quantity.bytes(written.bytes))
      adapter    \(job.output.appendingPathComponent(TrainRun.adapterFolder).path)

      """
    if let deviation = written.deviation {
      text +=
        "model      \(job.output.appendingPathComponent("model").path), features within "
        + "\(String(format: "%.1e", deviation.features))\n"
    }
    console.result(text + "time       \(Quantity.duration(seconds))\n")
    console.note("to use it: graft predict \(job.output.path) \(job.network is TextTransformer ? "TEXT" : "IMAGE")")
    try console.json(
      JSONValue.object([
        "output": .string(job.output.path), "task": try JSONValue(of: record), "changed": .integer(written.changed),
        "bytes": .integer(written.bytes), "seconds": .double(seconds),
      ]).text(.readable))
  }
}

/// Flags for the network of a saved model, over what its run says.
struct AdaptOptions: ParsableArguments {
  @Option(help: "The network that was tuned, where the run does not name it.", completion: .directory)
  var model: String?

  @Option(help: ArgumentHelp("Side of the square images, in pixels (default: the run's).", valueName: "pixels"))
  var imageSize: Int?

  @Option(help: "What to do about images, or lines of texts, that cannot be read: error or skip (default: error).")
  var badImages: BadSamplePolicy?

  @Option(help: "cpu, cuda, cuda:INDEX or mps (default: the run's).")
  var device: String?

  func apply(to section: inout Section) {
    section.set("model", model.map(JSONValue.string), flag: "--model")
    section.set("image_size", imageSize.map(JSONValue.integer), flag: "--image-size")
    // What the run's own data allowed says nothing of these few.
    section.set("bad_images", .string((badImages ?? .error).rawValue), flag: "--bad-images")
    section.set("device", device.map(JSONValue.string), flag: "--device")
  }
}
