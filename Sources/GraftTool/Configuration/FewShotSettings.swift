import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tokenizers
import Training

/// Network and few-shot data sets: what the commands of `graft meta` have in common.
struct FewShotSettings: Sendable {
  var backbone: BackboneSettings
  /// `dataset/class/image`, Meta-Dataset's records, or a file of texts for each data set.
  var data: URL
  var texts: TextSettings
  var imageSize: Int
  /// Where the size was written, for messages.
  private let imageSizePlace: String
  /// nil for what the network wants.
  var normalization: Normalization?
  var badImages: BadSamplePolicy
  /// Divides the classes of data sets that no `splits.json` divides.
  var splitSeed: UInt64
  /// Whether classes with too few examples are left out of all episodes, and listed.
  var leavesOutSmallClasses: Bool

  static let keys =
    BackboneSettings.keys + [
      "data", "split_seed", "leave_out_small_classes", "image_size", "normalization", "bad_images",
    ]
    + TextSettings.keys

  init(_ section: Section) throws {
    backbone = try BackboneSettings(section)
    guard let folder = try section.string("data") else { throw ConfigurationError.missing("data", flag: "--data") }
    data = try AssetFolder.find(folder, .data, place: section.place("data"))
    texts = try TextSettings(section)
    texts.options.allowsMissingClasses = true
    imageSize = try section.integer("image_size") ?? 128
    imageSizePlace = section.place("image_size")
    guard (1...8_192).contains(imageSize) else {
      throw ConfigurationError.value(
        place: imageSizePlace, problem: "the size must be 1 to 8192 pixels.")
    }
    normalization = try section.decode(Inputs.self, keys: ["normalization"]).normalization
    let policy = try section.badImages() ?? .error
    if policy == .skip, try Self.holdsRecords(data) {
      throw ConfigurationError.value(
        place: section.place("bad_images"),
        problem: "Meta-Dataset's records are decoded when an episode draws them, so that none can be skipped. "
          + "Take error, and mend or leave out what cannot be read.")
    }
    badImages = policy
    texts.options.badLines = policy
    splitSeed = try section.seed("split_seed") ?? 0
    leavesOutSmallClasses = try section.bool("leave_out_small_classes") ?? false
  }

  private struct Inputs: Decodable {
    var normalization: Normalization?
  }

  /// The data sets, decoded or cut into tokens.
  ///
  /// - Parameter augmentation: of training images; nil for none.
  func load(
    for network: any PretrainedNetwork, augmentation: TrainingTransform.Settings? = nil, _ console: Console
  ) async throws -> FewShotData {
    let root = data.resolvingSymlinksInPath()
    // Before any image is decoded.
    try (network as? VisionTransformer)?.check(imageSize: imageSize, place: imageSizePlace)
    if let encoder = network as? TextTransformer {
      let datasets = try FewShotDataProblem.describing {
        try FewShotTexts(TextFolder(at: root, options: texts.options), seed: splitSeed)
      }
      let examples = try TextExamples(
        datasets.dataset, tokenizer: Tokenizer(from: backbone.folder), for: encoder,
        maximumLength: texts.length(for: encoder))
      return FewShotData(examples: examples, domains: datasets.dataset.domains) { split, names in
        try datasets.pools(split, named: names) { examples.isUsable($0) }
      }
    }
    if try Self.holdsRecords(root) {
      let records = try MetaDatasetFolder(at: root)
      let examples = try ImageExamples(
        records.folder, from: records.images, size: imageSize,
        normalization: normalization ?? network.usualNormalization, augmentation: augmentation)
      return FewShotData(examples: examples, domains: records.folder.domains) { split, names in
        try records.pools(split, named: names)
      }
    }
    let datasets = try FewShotDataProblem.describing { try FewShotFolder(at: root, seed: splitSeed) }
    for file in datasets.folder.ignoredFiles.prefix(5) where file.path.contains("/") {
      console.note("not used: \(file)")
    }
    var recipe = TrainingConfiguration()
    recipe.imageSize = imageSize
    recipe.augmentation = augmentation
    recipe.badImages = badImages
    let examples = try await ImageExamples.open(
      datasets.folder, configuration: recipe, normalization: normalization ?? network.usualNormalization,
      cache: AssetFolder.imageCache
    ) { done, total in
      console.progress.show("decoding", done, of: total)
    }
    if !examples.badSamples.isEmpty {
      let shown = examples.badSamples.prefix(5).map { "\n  \($0)" }.joined()
      console.warn("\(examples.badSamples.count) images cannot be used and are left out:\(shown)")
    }
    return FewShotData(examples: examples, domains: datasets.folder.domains) { split, names in
      try datasets.pools(split, named: names) { examples.isUsable($0) }
    }
  }

  private static func holdsRecords(_ data: URL) throws -> Bool {
    let root = data.resolvingSymlinksInPath()
    return try FileManager.default.contentsOfDirectory(atPath: root.path).contains { name in
      let file = root.appendingPathComponent(name).appendingPathComponent(MetaDatasetSpecification.fileName)
      return FileManager.default.fileExists(atPath: file.path)
    }
  }

  /// As a file would say it.
  func resolved() throws -> JSONObject {
    var object = backbone.resolved
    object["data"] = .string(data.path)
    object["split_seed"] = .integer(Int(clamping: splitSeed))
    object["leave_out_small_classes"] = .bool(leavesOutSmallClasses)
    object["image_size"] = .integer(imageSize)
    object["bad_images"] = .string(badImages.rawValue)
    for (key, value) in texts.resolved.members { object[key] = value }
    object["normalization"] = try normalization.map { try JSONValue(of: $0) }
    return object
  }
}

/// Labelled examples, and the classes of each data set that episodes are drawn from.
struct FewShotData: Sendable {
  let examples: any Examples
  let domains: [String]
  /// The pools of a split, of all data sets that have classes in it or of the named ones.
  let pools: @Sendable (_ split: ClassSplit, _ names: [String]?) throws -> [EpisodePool]

  /// - Throws: as `FewShotDataset.pools`.
  func pools(_ split: ClassSplit, named names: [String]?) throws -> [EpisodePool] { try pools(split, names) }

  /// The data sets among `names`, or of all, that have classes in a split; none is no error.
  func poolsWhereThereAre(_ split: ClassSplit, among names: [String]?) throws -> [EpisodePool] {
    do {
      return try pools(split, nil).filter { names?.contains($0.name) ?? true }
    } catch FewShotError.noClasses {
      return []
    }
  }
}

/// What is wrong with a folder of data sets, in the words of who calls its domains data sets.
struct FewShotDataProblem: Error, Equatable, CustomStringConvertible {
  let description: String

  static func describing<Result>(_ work: () throws -> Result) throws -> Result {
    do {
      return try work()
    } catch DomainFolderError.noDomains(let root) {
      throw FewShotDataProblem(
        description:
          "'\(root)' has no data sets. It should hold images as dataset/class/image, with one folder per data set.")
    } catch DomainFolderError.noClasses(let dataset, let root) {
      throw FewShotDataProblem(
        description:
          "Data set '\(dataset)' in '\(root)' has no class folders. Images belong in \(dataset)/class/image: "
          + "give the folder above that of the data set, or remove the folder if it is none.")
    } catch TextFolderError.noDomains(let root) {
      throw FewShotDataProblem(
        description: "'\(root)' has no data sets. It should hold a .jsonl, .csv or .tsv file for each data set.")
    }
  }
}

extension VisionTransformer {
  /// - Throws: `ConfigurationError.value` for a side that whole patches do not fill, with the nearest that they do.
  func check(imageSize: Int, place: String) throws {
    let patch = configuration.patchSize
    guard !imageSize.isMultiple(of: patch) else { return }
    let below = imageSize / patch * patch
    let nearest = below > 0 ? "\(below) or \(below + patch)" : "\(patch)"
    throw ConfigurationError.value(
      place: place,
      problem: "the images' side, \(imageSize) pixels, is no multiple of the patch size \(patch). Take \(nearest).")
  }
}

extension Section {
  func badImages() throws -> BadSamplePolicy? {
    guard let spelled = try string("bad_images") else { return nil }
    guard let policy = BadSamplePolicy(rawValue: spelled) else {
      throw ConfigurationError.value(place: place("bad_images"), problem: "'\(spelled)' is neither error nor skip.")
    }
    return policy
  }

  func seed(_ key: String) throws -> UInt64? {
    guard let value = try integer(key) else { return nil }
    guard value >= 0 else {
      throw ConfigurationError.value(place: place(key), problem: "a seed is a whole number, 0 or more, not \(value).")
    }
    return UInt64(value)
  }
}
