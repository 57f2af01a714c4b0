import Adapters
import ArgumentParser
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

/// `graft merge`
struct MergeCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Make adapters part of a network's weights, or take them out again.",
    discussion: """
      Writes a normal checkpoint of the network's own format: same tensors, names, types and files, so that whatever read \
      the old one reads the new one, at no extra cost. Several adapters are added with their weights, ADAPTER@WEIGHT. What \
      was written is read back and compared with the adapted network on a few inputs; where the two differ by more than \
      1e-4 of the largest output (1e-2 in float16, 5e-2 in bfloat16), nothing is left behind. graft_merge.json says what \
      was merged and how well. A classifier goes to the folder head/, which eval and predict read, with the size, \
      normalization and pooling that it was trained with.

        graft merge --model vit-s14 --adapter runs/lora --output merged --data emoji-styles
        graft merge --model vit-s14 --adapter runs/a@0.7 --adapter runs/b@0.3 --output merged
        graft merge --unmerge --model merged --output restored
        graft predict merged/head photo.jpg

      A mixture with a router does not merge. With --approximate its gates are replaced by their means over the probe, and \
      the error is reported.

      Unmerging is bit-exact with --base, or where the merge kept the originals; else the recorded adapters are subtracted \
      and the difference is measured.
      """)

  @Option(
    help: ArgumentHelp(
      "An adapter's folder, or that of a run, and its weight (default: 1). Repeat it for several.",
      valueName: "folder[@weight]"),
    completion: .directory)
  var adapter: [String] = []

  @Option(help: ArgumentHelp("A new folder for the checkpoint.", valueName: "folder"), completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("Inputs to compare on: images with --data, else noise.", valueName: "count"))
  var probe = 16

  @Option(help: "The largest deviation accepted, as a fraction of the largest output.")
  var tolerance: Double?

  @Flag(help: "Merge a mixture with the mean gates of its router.")
  var approximate = false

  @Flag(help: "Keep the tensors that change, so that --unmerge gives back every bit.")
  var keepOriginals = false

  @Flag(help: "Merge an adapter that the model holds already.")
  var again = false

  @Flag(help: "Take the adapters of the last merge out of --model.")
  var unmerge = false

  @Option(help: ArgumentHelp("With --unmerge: the model that was merged into.", valueName: "folder"))
  var base: String?

  @OptionGroup(title: "Model and probe") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    guard (1...4_096).contains(probe) else { throw ValidationError("--probe must be 1 to 4096.") }
    if let tolerance, !(tolerance >= 0 && tolerance.isFinite) {
      throw ValidationError("--tolerance must be 0 or more.")
    }
    guard unmerge || !adapter.isEmpty else { throw ValidationError("Give at least one --adapter.") }
    if base != nil, !unmerge { throw ValidationError("--base goes with --unmerge.") }
    if unmerge, approximate || keepOriginals || again || tolerance != nil {
      throw ValidationError("--approximate, --keep-originals, --again and --tolerance do not go with --unmerge.")
    }
    if unmerge, data.model == nil { throw ValidationError("Give the merged --model.") }
  }

  func run() async throws {
    let console = Console(console)
    let output = AssetFolder.path(output)
    try OutputFolder.checkIsFree(output)
    unmerge ? try await takeOut(to: output, console) : try await merge(to: output, console)
  }

  // MARK: Merging

  private func merge(to output: URL, _ console: Console) async throws {
    if approximate, data.data == nil {
      console.warn("the gates are averaged over noise; give --data for those of real images")
    }
    let job = try prepared(output, console)
    let outcome = try await Compute.run { try job.work() }
    try job.finish(outcome)
  }

  private struct Job: Sendable {
    let work: @Sendable () throws -> MergedCheckpoint.Outcome
    let finish: @Sendable (MergedCheckpoint.Outcome) throws -> Void
  }

  /// All that can be refused before the work, the work, and what is said of it.
  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashed on the two in one function.
  @inline(never)
  private func prepared(_ output: URL, _ console: Console) throws -> Job {
    let terms = try adapter.map { try Self.term($0) }
    let trained = try terms.map { try TrainedAdapter(at: $0.path, data) }
    let (settings, recipe) = try trained[0].backbone()
    let backbone = try settings.load()
    let probe = try probe(for: backbone, recipe)
    let parts = try zip(trained, terms).map { trained, term in
      try MergedCheckpoint.part(
        at: trained.folder, weight: term.weight, onto: backbone, from: settings.folder, again: again)
    }
    var checkpoint = try MergedCheckpoint(
      of: backbone, from: settings.folder, probe: probe.inputs.to(backbone.device), source: probe.source)
    checkpoint.keepsOriginals = keepOriginals
    checkpoint.approximates = approximate
    checkpoint.tolerance = tolerance
    let isOfTexts = backbone is TextTransformer
    if let owner = zip(trained, parts).first(where: { $0.1.model.head != nil })?.0 {
      var network = settings
      network.folder = output
      let used = try owner.settings(with: network, isOfTexts: isOfTexts)
      checkpoint.besideHead[OutputFolder.settingsName] =
        "# What this classifier is used with.\n" + (try JSONValue.object(used).yaml())
    }
    let work = { @Sendable [checkpoint] in
      do {
        return try checkpoint.write(parts, to: output)
      } catch let error as MergeError {
        guard case .obstacle(MixtureOfAdapters.method, _) = error else { throw error }
        throw MixtureRefused(error: error)
      }
    }
    return Job(work: work) { [self] outcome in
      report(outcome, of: backbone, output, console)
      try console.json(Self.json(outcome, output).text(.readable))
    }
  }

  /// `runs/a@0.5` is the folder `runs/a` with the weight 0.5, unless there is a folder of that whole name.
  static func term(_ text: String) throws -> (path: String, weight: Double) {
    guard let at = text.lastIndex(of: "@"), !FileManager.default.fileExists(atPath: AssetFolder.path(text).path) else {
      return (text, 1)
    }
    guard let weight = Double(text[text.index(after: at)...]), weight.isFinite else {
      throw ConfigurationError.value(
        place: "--adapter", problem: "'\(text)' ends in no weight. Write FOLDER@WEIGHT, as in runs/a@0.5.")
    }
    return (String(text[..<at]), weight)
  }

  /// The recipe's image size in whole patches; for texts, tokens enough for a sentence.
  private func size(for backbone: any PretrainedNetwork, _ recipe: TrainingConfiguration) -> Int {
    guard let vision = backbone as? VisionTransformer else { return 32 }
    let patch = vision.configuration.patchSize
    return max(1, recipe.imageSize / patch) * patch
  }

  private func probe(for backbone: any PretrainedNetwork, _ recipe: TrainingConfiguration) throws -> Probe {
    let size = size(for: backbone, recipe)
    guard let folder = data.data, backbone is VisionTransformer else {
      return try .noise(for: backbone, count: probe, size: size)
    }
    return try .images(
      of: AssetFolder.find(folder, .data, place: "--data"), count: probe, size: size,
      normalization: recipe.normalization ?? backbone.usualNormalization)
  }

  private func report(
    _ outcome: MergedCheckpoint.Outcome, of backbone: any PretrainedNetwork, _ output: URL, _ console: Console
  ) {
    let record = outcome.record
    for rounding in outcome.roundings {
      console.warn(
        "\(rounding.tensors) of the changed tensors are \(rounding.dtype): rounding to it lost "
          + "\(Quantity.percent(rounding.loss)) % of the change")
    }
    for file in outcome.leftOut { console.note("not copied: \(file)") }
    if outcome.heads > 1 {
      console.warn("the adapters have \(outcome.heads) classifiers, which do not add up: none is written")
    }
    if let own = backbone.pretrainedClassifier?.weight.shape.first {
      console.warn(
        "the checkpoint keeps its own classifier of \(own) classes, from before the adapter: programs that read it with "
          + "the checkpoint do not get the adapter's")
    }
    var text = ""
    for part in record.adapters {
      text += "merged     \(part.method.lowercased()) from \(part.folder), weight \(part.weight)\n"
    }
    text += "changed    \(record.changed.count) tensors\n"
    text += "compared   \(record.probe.shape[0]) inputs, \(record.probe.source)\n"
    text += Self.text(record.deviation, isApproximate: record.isApproximate)
    if let classes = outcome.classes {
      let head = output.appendingPathComponent(MergedCheckpoint.headName).path
      text += "classifier \(classes.count) classes in \(head)\n"
      let input = backbone is VisionTransformer ? "IMAGE" : "TEXT"
      console.note("to use it: graft predict \(head) \(input)")
    }
    if record.keepsOriginals { text += "originals  kept\n" }
    console.result(text + "checkpoint \(output.path)\n")
  }

  private static func text(_ deviation: MergeRecord.Deviation, isApproximate: Bool) -> String {
    func number(_ value: Double) -> String { String(format: "%.1e", value) }
    var text = isApproximate ? "error      " : "deviation  "
    text += "features \(number(deviation.features)) (largest \(Quantity.fixed(deviation.largestFeature, 2)))"
    if let logits = deviation.logits, let largest = deviation.largestLogit, let agreement = deviation.agreement {
      text += ", logits \(number(logits)) (largest \(Quantity.fixed(largest, 2)))"
      text += ", same class for \(Quantity.percent(agreement)) %"
    }
    return text + (isApproximate ? "; mean gates in place of the router\n" : "\n")
  }

  private static func json(_ outcome: MergedCheckpoint.Outcome, _ output: URL) throws -> JSONValue {
    [
      "output": .string(output.path), "merge": try outcome.record.json(),
      "left_out": .array(outcome.leftOut.map { .string("\($0)") }),
    ]
  }

  // MARK: Unmerging

  private func takeOut(to output: URL, _ console: Console) async throws {
    let folder = try AssetFolder.find(data.model ?? "", .models, place: "--model")
    let merged = try UnmergedCheckpoint(of: folder)
    let means: UnmergedCheckpoint.Means
    let what: String
    if let base {
      means = .base(try AssetFolder.find(base, .models, place: "--base"))
      what = "from the model that was merged into"
    } else if merged.record.keepsOriginals {
      means = .originals
      what = "from the originals that were kept"
    } else {
      let given = adapter.isEmpty ? merged.record.adapters.map(\.folder) : adapter
      let trained = try given.map { try TrainedAdapter(at: $0, data) }
      guard let first = trained.first else {
        let file = folder.appendingPathComponent(MergeRecord.fileName)
        throw MergedCheckpointError.record(file.path, problem: "it names no adapter")
      }
      let (settings, recipe) = try first.backbone()
      let backbone = try settings.load()
      let inputs = try probe(for: backbone, recipe).inputs.to(backbone.device)
      means = .adapters(trained.map(\.folder), onto: backbone, probe: inputs)
      what = "by subtraction"
    }
    let outcome = try await Compute.run { try merged.write(by: means, to: output) }
    var text = "restored   \(outcome.restored) tensors \(what)\n"
    // Of an approximate merge this would be the merge's own error.
    if let deviation = outcome.deviation, !merged.record.isApproximate {
      text += Self.text(deviation, isApproximate: false)
    }
    text +=
      outcome.isExact
      ? "sha256     \(outcome.digest.prefix(12))…, the base's: bit-exact\n"
      : "sha256     \(outcome.digest.prefix(12))…, the base's was \(outcome.expected.prefix(12))…: not bit-exact\n"
    console.result(text + "checkpoint \(output.path)\n")
    var json: JSONObject = [
      "output": .string(output.path), "restored": .integer(outcome.restored), "exact": .bool(outcome.isExact),
      "sha256": .string(outcome.digest), "base_sha256": .string(outcome.expected),
    ]
    json["deviation"] = outcome.deviation.map { .double($0.features) }
    try console.json(JSONValue.object(json).text(.readable))
  }
}

/// What stands in the way of a mixture, with the way around it that the tool has.
struct MixtureRefused: Error, CustomStringConvertible {
  let error: MergeError
  var description: String { "\(error) Ask for it with --approximate." }
}
