import Datasets
import Formats
import Foundation
import MetaTuning
import NeuralNetworks
import Studies
import Training

/// What `graft meta study` does. In a file:
///
/// ```yaml
/// data: few-shot                    # dataset/class/image
/// training: [scripts, symbols]      # data sets to meta-tune on
/// unseen: [emoji, digits]           # and others
/// seeds: [0, 1, 2]
/// test_episodes: {ways: 8, shots: 3, queries: 6}
/// test_count: 60                    # episodes of each data set
/// validation_count: 40
/// reference: PMF                    # the method that others are compared with at the same rate
/// steps: 800                        # and any other setting of graft meta train
/// methods:
///   - {name: PMF, method: pmf, rates: [0.003, 0.01], scales: [1, 0.5]}
///   - {name: SMAT, method: smat, sparsity: 0.9, rates: [0.003, 0.01]}
/// networks:
///   - {name: ViT-S/14, model: vit-s14, image_size: 56, steps: 100}
///   - name: tiny
///     image_size: 32
///     network: {patch_size: 8, width: 32, depth: 3, heads: 2}
///     pretraining: {datasets: [emoji, latin], steps: 1500, batch_per_domain: 48, learning_rate: 1e-3}
/// output: runs/few-shot
/// ```
struct FewShotStudySettings: Sendable {
  var data: URL
  var networks: [Network]
  var study: FewShotStudyConfiguration
  var output: URL?
  private var resolvedValues: JSONObject

  struct Network: Sendable {
    enum Source: Sendable {
      case model(BackboneSettings)
      case pretraining(FewShotNetwork.Pretraining)
    }

    var name: String
    var imageSize: Int
    var source: Source
    var methods: [FewShotMethod]
  }

  /// Settings of meta-tuning that are the study's own, or of no effect in it.
  private static let foreign = [
    "delta_rate", "seed", "image_size", "normalization", "bad_images", "validation_interval", "validation_episodes",
    "keeps_best", "checkpoint_interval", "kept_checkpoints",
  ]
  private static let recipeKeys = MetaConfiguration.keys.filter { !foreign.contains($0) }
  private static let networkKeys =
    BackboneSettings.keys + ["name", "image_size", "network", "pretraining", "methods", "steps"]
  private static let methodKeys = recipeKeys + ["name", "rates", "scales"]
  private static let shapeKeys = ["patch_size", "width", "depth", "heads", "mlp_ratio"]

  static let keys =
    [
      "data", "training", "unseen", "seeds", "test_episodes", "test_count", "validation_count", "reference", "methods",
      "networks", "output",
    ] + recipeKeys.filter { !["method", "preset"].contains($0) }

  init(_ section: Section) throws {
    func names(_ key: String) throws -> [String] {
      guard let names = try section.strings(key), !names.isEmpty else {
        throw ConfigurationError.missing(key, flag: nil)
      }
      return names
    }
    guard let folder = try section.string("data") else { throw ConfigurationError.missing("data", flag: "--data") }
    data = try AssetFolder.find(folder, .data, place: section.place("data"))
    output = try section.string("output").map(AssetFolder.path)
    var study = FewShotStudyConfiguration(training: try names("training"), unseen: try names("unseen"))
    if let seeds = try section.numbers("seeds") {
      study.seeds = try seeds.map { number in
        guard let seed = UInt64(exactly: number), seed <= UInt64(Int.max) else {
          throw ConfigurationError.value(
            place: section.place("seeds"), problem: "a seed is a whole number, 0 or more, not \(number).")
        }
        return seed
      }
    }
    study.testEpisodes = try section.episodes("test_episodes") ?? study.testEpisodes
    study.testCount = try section.integer("test_count") ?? study.testCount
    study.validationCount = try section.integer("validation_count") ?? study.validationCount
    study.reference = try section.string("reference") ?? ""
    self.study = study
    guard let networks = try section.sections("networks"), !networks.isEmpty else {
      throw ConfigurationError.missing("networks", flag: nil)
    }
    self.networks = try networks.map { try Self.network($0, in: section) }
    resolvedValues = section.values
    resolvedValues["data"] = .string(data.path)
  }

  private static func network(_ own: Section, in section: Section) throws -> Network {
    try own.check(known: networkKeys)
    guard let name = try own.string("name") else { throw ConfigurationError.missing("networks.name", flag: nil) }
    guard let size = try own.integer("image_size") else {
      throw ConfigurationError.missing("networks.image_size", flag: nil)
    }
    guard let methods = try own.sections("methods") ?? section.sections("methods"), !methods.isEmpty else {
      throw ConfigurationError.missing("methods", flag: nil)
    }
    return Network(
      name: name, imageSize: size, source: try source(own, imageSize: size),
      methods: try methods.map { try method($0, of: own, in: section) })
  }

  private static func source(_ own: Section, imageSize: Int) throws -> Network.Source {
    guard let shape = try own.section("network") else { return .model(try BackboneSettings(own)) }
    if own.has("model") {
      throw ConfigurationError.value(
        place: own.place("model"), problem: "a network has either a 'model' or a 'network' of its own, not both.")
    }
    try shape.check(known: shapeKeys)
    func count(_ key: String, _ standard: Int? = nil) throws -> Int {
      guard let value = try shape.integer(key) ?? standard else {
        throw ConfigurationError.missing("networks.network.\(key)", flag: nil)
      }
      return value
    }
    let untrained = UntrainedVisionTransformer(
      imageSize: imageSize, patchSize: try count("patch_size"), width: try count("width"), depth: try count("depth"),
      heads: try count("heads"), mlpRatio: try count("mlp_ratio", 4))
    guard let pretraining = try own.section("pretraining"), let datasets = try pretraining.strings("datasets") else {
      throw ConfigurationError.missing("networks.pretraining.datasets", flag: nil)
    }
    try pretraining.check(
      known: ["datasets"] + TrainingConfiguration.keys.filter { $0 != "image_size" && $0 != "seed" })
    var recipe = try pretraining.trainingConfiguration()
    recipe.imageSize = imageSize
    do { try untrained.validate() } catch {
      throw ConfigurationError.value(place: own.place("network"), problem: "\(error)")
    }
    return .pretraining(FewShotNetwork.Pretraining(untrained, on: datasets, recipe: recipe))
  }

  /// The method's own settings over the network's steps over the file's.
  private static func method(_ own: Section, of network: Section, in section: Section) throws -> FewShotMethod {
    try own.check(known: methodKeys)
    var merged = own
    for key in recipeKeys where !own.has(key) {
      let value = key == "steps" ? network.values["steps"] ?? section.values["steps"] : section.values[key]
      merged.replace(key, value)
    }
    merged.replace("image_size", network.values["image_size"])
    guard let name = try own.string("name") else { throw ConfigurationError.missing("methods.name", flag: nil) }
    guard let rates = try own.numbers("rates"), !rates.isEmpty, rates.allSatisfy({ $0 > 0 && $0.isFinite }) else {
      throw ConfigurationError.value(
        place: own.place("rates"), problem: "'rates' must be learning rates above 0, as in [0.003, 0.01].")
    }
    let scales = try own.numbers("scales") ?? [1]
    guard scales.contains(1), scales.allSatisfy(\.isFinite) else {
      throw ConfigurationError.value(
        place: own.place("scales"), problem: "'scales' must be finite numbers with 1, what was trained, among them.")
    }
    return FewShotMethod(name, try merged.metaConfiguration(), rates: rates, scales: scales)
  }

  /// As the file said it, with flags over it.
  func resolved() -> JSONObject {
    var object = resolvedValues
    object["output"] = output.map { .string($0.path) }
    return object
  }
}
