import Datasets
import Formats
import Foundation
import Mixing
import Studies
import Training

/// What `graft study` does. In a file:
///
/// ```yaml
/// model: minilm                     # a text encoder with its tokenizer
/// data: text-domains                # a file or a folder of texts for each domain, labels its own
/// domains: [amazon, movie, bbc]     # by default all there are
/// text_column: text                 # and label_column, second_text_column
/// maximum_length: 32                # tokens
/// training: 1000                    # texts of each domain to train on at most; test, to measure every mixture by
/// test: 100
/// kinds:
///   - {name: Houlsby, method: houlsby, learning_rate: 1e-3}
///   - {name: LoRA, method: lora, settings: {rank: 8}, targets: [query, value], space: delta}
/// seeds: [0, 1, 2]
/// steps: 200                        # and any other setting of the recipe
/// batch_size: 16
/// sets: all                         # or {up_to: 3, sampled: 30, seed: 0}: larger ones drawn
/// random_orders: 20
/// evaluation_precision: bfloat16    # of the passes that measure mixtures
/// pruning: {densities: [1, 0.5, 0.1], sizes: [4], criteria: [magnitude, conflicts-first]}
/// attacks: {methods: [deepwordbug, pwws], sizes: [1, 4], examples: 20, queries: 100, edits: 8, wordnet: wordnet}
/// output: runs/study
/// ```
struct StudySettings: Sendable {
  var backbone: BackboneSettings
  var data: URL
  /// nil for all there are.
  var domains: [String]?
  var columns: TextFolder.Options
  var maximumLength: Int
  var split: TextSplit.Options
  var kinds: [Kind]
  var study: StudyConfiguration
  var attacks: Attacks?
  var output: URL?

  struct Kind: Sendable {
    var method: MethodSettings
    var space: MixingSpace
  }

  struct Attacks: Sendable {
    var methods: [String]
    var edits: Int
    var synonyms: Int
    var wordNet: URL?
  }

  private static let kindKeys = MethodSettings.keys + ["space"]
  private static let setKeys = ["up_to", "sampled", "seed"]
  private static let pruningKeys = ["densities", "sizes", "criteria"]
  private static let attackKeys = ["methods", "sizes", "examples", "queries", "edits", "synonyms", "wordnet"]
  private static let attackNames = ["deepwordbug", "pwws"]
  private static let spaces = [MixingSpace.factors, .delta]

  /// Settings of the recipe that mean nothing for texts, or belong to the study.
  private static let foreign = [
    "seed", "holdout", "trial_seed", "batch_per_domain", "image_size", "augmentation", "cached_views", "normalization",
    "evaluation_interval", "evaluates_at_start", "scores_training_images", "bad_images",
  ]

  static let keys =
    BackboneSettings.keys + [
      "data", "domains", "text_column", "second_text_column", "label_column", "maximum_length", "training", "test",
      "split_seed", "kinds", "seeds", "sets", "random_orders", "similarity_examples", "evaluation_precision",
      "pruning", "attacks", "output", "batch_size",
    ] + TrainingConfiguration.keys.filter { !foreign.contains($0) }

  init(_ section: Section) throws {
    func fail(_ key: String, _ problem: String) -> ConfigurationError {
      .value(place: section.place(key), problem: problem)
    }
    func count(_ key: String, _ standard: Int, in range: ClosedRange<Int> = 1...1_000_000) throws -> Int {
      guard let value = try section.integer(key) else { return standard }
      guard range.contains(value) else {
        throw fail(key, "'\(key)' must be \(range.lowerBound) to \(range.upperBound).")
      }
      return value
    }
    backbone = try BackboneSettings(section)
    guard let folder = try section.string("data") else { throw ConfigurationError.missing("data", flag: "--data") }
    data = try AssetFolder.find(folder, .data, place: section.place("data"))
    domains = try section.strings("domains")
    columns = TextFolder.Options()
    if let text = try section.string("text_column") { columns.text = .named(text) }
    if let second = try section.string("second_text_column") { columns.secondText = .named(second) }
    if let label = try section.string("label_column") { columns.label = .named(label) }
    maximumLength = try count("maximum_length", 128, in: 3...100_000)
    split = TextSplit.Options()
    split.largestTraining = try section.integer("training") == nil ? nil : count("training", 0)
    split.largestTest = try count("test", 100)
    split.seed = UInt64(try count("split_seed", 0, in: 0...Int.max))
    output = try section.string("output").map(AssetFolder.path)

    guard let kinds = try section.sections("kinds"), !kinds.isEmpty else {
      throw ConfigurationError.missing("kinds", flag: nil)
    }
    self.kinds = try kinds.map { kind in
      try kind.check(known: Self.kindKeys)
      let spelled = try kind.string("space") ?? MixingSpace.factors.rawValue
      guard let space = Self.spaces.first(where: { $0.rawValue == spelled }) else {
        throw ConfigurationError.value(
          place: kind.place("space"), problem: "the space cannot be '\(spelled)'. Write factors or delta.")
      }
      return Kind(method: try MethodSettings(kind), space: space)
    }
    study = try Self.study(section)
    attacks = try Self.attacks(section, &study)
    do { try study.validate(domains: domains?.count ?? MixtureSet.limit) } catch let error as StudyError {
      throw ConfigurationError.value(place: section.place(), problem: "\(error)")
    }
  }

  private static func study(_ section: Section) throws -> StudyConfiguration {
    var study = StudyConfiguration()
    var recipe = section
    if let batch = try section.integer("batch_size") { recipe.replace("batch_per_domain", .integer(batch)) }
    recipe.replace("augmentation", "none")
    study.recipe = try recipe.trainingConfiguration()
    study.batch = study.recipe.evaluationBatch
    if let seeds = try section.numbers("seeds") {
      study.seeds = try seeds.map { number in
        guard let seed = UInt64(exactly: number), seed <= UInt64(Int.max) else {
          throw ConfigurationError.value(
            place: section.place("seeds"), problem: "a seed is a whole number, 0 or more, not \(number).")
        }
        return seed
      }
    }
    if section.values["sets"]?.string == nil, let sets = try section.section("sets") {
      try sets.check(known: setKeys)
      study.sets = .sampled(
        upTo: try sets.integer("up_to") ?? 2, count: try sets.integer("sampled") ?? 50,
        seed: UInt64(max(0, try sets.integer("seed") ?? 0)))
    } else if let text = try section.string("sets"), text != "all" {
      throw ConfigurationError.value(
        place: section.place("sets"), problem: "the sets cannot be '\(text)'. Write all, or {up_to: 3, sampled: 30}.")
    }
    study.randomOrders = try section.integer("random_orders") ?? study.randomOrders
    study.similarityExamples = try section.integer("similarity_examples") ?? study.similarityExamples
    if let text = try section.string("evaluation_precision") {
      guard let precision = TrainingConfiguration.Precision(rawValue: text) else {
        throw ConfigurationError.value(
          place: section.place("evaluation_precision"),
          problem: "the precision cannot be '\(text)'. Write float32 or bfloat16.")
      }
      study.precision = precision
    }
    if let pruning = try section.section("pruning") {
      try pruning.check(known: pruningKeys)
      var curve = StudyConfiguration.PruningCurve()
      curve.densities = try pruning.numbers("densities") ?? curve.densities
      curve.sizes = try integers("sizes", in: pruning) ?? curve.sizes
      if let names = try pruning.strings("criteria") {
        curve.criteria = try names.map { name in
          guard let criterion = Pruning.Criterion(rawValue: name) else {
            let known = Pruning.Criterion.allCases.map(\.rawValue)
            throw ConfigurationError.value(
              place: pruning.place("criteria"),
              problem: "there is no criterion '\(name)'.\(Suggestion.didYouMean(name, among: known)) "
                + "The criteria are \(known.joined(separator: ", ")).")
          }
          return criterion
        }
      }
      study.pruning = curve
    }
    return study
  }

  private static func integers(_ key: String, in section: Section) throws -> [Int]? {
    try section.numbers(key)?.map { number in
      guard let whole = Int(exactly: number) else {
        throw ConfigurationError.value(
          place: section.place(key), problem: "'\(key)' must be whole numbers, and \(number) is none.")
      }
      return whole
    }
  }

  private static func attacks(_ section: Section, _ study: inout StudyConfiguration) throws -> Attacks? {
    guard let attacks = try section.section("attacks") else { return nil }
    try attacks.check(known: attackKeys)
    var robustness = StudyConfiguration.Robustness()
    robustness.sizes = try integers("sizes", in: attacks) ?? robustness.sizes
    robustness.examples = try attacks.integer("examples") ?? robustness.examples
    robustness.queries = try attacks.integer("queries") ?? robustness.queries
    study.robustness = robustness
    let methods = try attacks.strings("methods") ?? attackNames
    if let unknown = methods.first(where: { !attackNames.contains($0) }) {
      throw ConfigurationError.value(
        place: attacks.place("methods"),
        problem: "there is no attack '\(unknown)'.\(Suggestion.didYouMean(unknown, among: attackNames)) "
          + "The attacks are \(attackNames.joined(separator: ", ")).")
    }
    let (edits, synonyms) = (try attacks.integer("edits") ?? 30, try attacks.integer("synonyms") ?? 8)
    guard edits > 0, synonyms > 0 else {
      throw ConfigurationError.value(
        place: attacks.place(edits > 0 ? "synonyms" : "edits"), problem: "edits and synonyms must be 1 or more.")
    }
    let wordNet =
      methods.contains("pwws")
      ? try AssetFolder.find(attacks.string("wordnet") ?? "wordnet", .data, place: attacks.place("wordnet")) : nil
    return Attacks(methods: methods, edits: edits, synonyms: synonyms, wordNet: wordNet)
  }

  /// As a file would say it, everything spelled out.
  func resolved() throws -> JSONObject {
    var object: JSONObject = [
      "model": .string(backbone.folder.path), "device": .string("\(backbone.device)"),
      "pooling": .string(backbone.poolingName), "data": .string(data.path),
    ]
    object["domains"] = domains.map { .array($0.map(JSONValue.string)) }
    object["maximum_length"] = .integer(maximumLength)
    object["training"] = split.largestTraining.map(JSONValue.integer)
    object["test"] = split.largestTest.map(JSONValue.integer)
    object["split_seed"] = .integer(Int(clamping: split.seed))
    object["kinds"] = .array(
      try kinds.map { kind in
        var resolved = try kind.method.resolved()
        resolved["space"] = .string(kind.space.rawValue)
        return .object(resolved)
      })
    object["seeds"] = .array(study.seeds.map { .integer(Int(clamping: $0)) })
    for (key, value) in try JSONValue(of: study.recipe).object?.members ?? []
    where !Self.foreign.contains(key) && !value.isNull { object[key] = value }
    object["batch_size"] = .integer(study.recipe.batchPerDomain)
    switch study.sets {
    case .all: object["sets"] = "all"
    case .sampled(let size, let count, let seed):
      object["sets"] = ["up_to": .integer(size), "sampled": .integer(count), "seed": .integer(Int(clamping: seed))]
    }
    object["random_orders"] = .integer(study.randomOrders)
    object["similarity_examples"] = .integer(study.similarityExamples)
    object["evaluation_precision"] = .string(study.precision.rawValue)
    if let pruning = study.pruning {
      object["pruning"] = [
        "densities": .array(pruning.densities.map(JSONValue.double)),
        "sizes": .array(pruning.sizes.map(JSONValue.integer)),
        "criteria": .array(pruning.criteria.map { .string($0.rawValue) }),
      ]
    }
    if let attacks, let robustness = study.robustness {
      var resolved: JSONObject = [
        "methods": .array(attacks.methods.map(JSONValue.string)),
        "sizes": .array(robustness.sizes.map(JSONValue.integer)), "examples": .integer(robustness.examples),
        "queries": .integer(robustness.queries), "edits": .integer(attacks.edits),
        "synonyms": .integer(attacks.synonyms),
      ]
      resolved["wordnet"] = attacks.wordNet.map { .string($0.path) }
      object["attacks"] = .object(resolved)
    }
    object["output"] = output.map { .string($0.path) }
    return object
  }
}
