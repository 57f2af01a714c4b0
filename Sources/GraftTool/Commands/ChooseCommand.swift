import Adapters
import ArgumentParser
import Datasets
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Tensors
import Tokenizers
import Training

/// `graft choose`
struct ChooseCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "choose",
    abstract: "Say which adapters to mix for a domain, in which order and with which weights.",
    discussion: """
      Rules by texts compare the target's texts with those of the other domains and need no labels: similarity \
      (AdapterSoup's mean cosine above 0.15), similarity-weighted and clustering (a Gaussian mixture, a tenth of the \
      target's texts or more). Adapters are optional there; those given are named as the domains are. Rules by signs, \
      fsd and fsd-adaptive, start from the target's adapter and need no texts. Rules by validation, greedy-soup and \
      validation-greedy, mix the adapters and measure them on labelled texts of the target, with the classifier of the \
      first that is chosen.

        graft choose --data sentiment --target kitchen --model minilm
        graft choose runs/books runs/dvd runs/kitchen --rule fsd --target kitchen --model minilm
        graft choose runs/books runs/dvd --rule greedy-soup --data sentiment --target kitchen --model minilm

      Three parts of the target, drawn with --seed, stay apart: texts to choose by come from its training part, labels \
      from its validation part, and its test part is not looked at. graft train divides in a way of its own: an adapter \
      trained on the target has seen some of the validation part.
      """)

  enum Rule: String, CaseIterable, ExpressibleByArgument {
    case similarity
    case similarityWeighted = "similarity-weighted"
    case clustering
    case fsd
    case fsdAdaptive = "fsd-adaptive"
    case greedySoup = "greedy-soup"
    case validationGreedy = "validation-greedy"
  }

  @Argument(help: "Folders of adapters, or of runs.", completion: .directory)
  var adapters: [String] = []

  @Option(help: "How to choose.")
  var rule = Rule.similarity

  @Option(help: ArgumentHelp("The domain, or for rules by signs the adapter, to choose for.", valueName: "name"))
  var target: String

  @Option(
    help: ArgumentHelp(
      "How many adapters at most (default: 5 by texts, all by signs and validation-greedy; not with greedy-soup).",
      valueName: "count"))
  var maximum: Int?

  @Option(
    help: ArgumentHelp(
      "Texts of each domain that are compared, or labelled ones that are measured.", valueName: "count"))
  var texts = 100

  @Option(help: "With similarity: the score that a domain must exceed (default: 0.15).")
  var threshold: Double?

  @Option(
    help: ArgumentHelp("With fsd: no adapter joins that takes the FSD of the set above this.", valueName: "fraction"))
  var maximumFSD: Double?

  @Option(help: "Of the draws.")
  var seed: UInt64 = 0

  @OptionGroup(title: "Data and model") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    guard texts >= 1 else { throw ValidationError("--texts must be 1 or more.") }
    guard maximum ?? 1 >= 1 else { throw ValidationError("--maximum must be 1 or more.") }
    if maximum != nil, rule == .greedySoup {
      throw ValidationError("--rule greedy-soup takes as many as help: no --maximum.")
    }
    if threshold != nil, rule != .similarity, rule != .similarityWeighted {
      throw ValidationError("--threshold goes with --rule similarity and similarity-weighted.")
    }
    if maximumFSD != nil, rule != .fsd, rule != .fsdAdaptive {
      throw ValidationError("--maximum-fsd goes with --rule fsd and fsd-adaptive.")
    }
    switch rule {
    case .similarity, .similarityWeighted, .clustering: break
    default: if adapters.isEmpty { throw ValidationError("--rule \(rule.rawValue) chooses among adapters. Name them.") }
    }
  }

  func run() async throws {
    let console = Console(console)
    let work = try prepared(console)
    let found = try await Compute.run { try work() }
    try show(found, console)
  }

  /// What was chosen, and for rules by signs and validation what the mixtures on the way did.
  struct Found: Sendable {
    var selection: Selection
    /// What the scores are.
    var score: String
    var curve: [SignGreedy.Step] = []
    /// The adapters' folders by name, where there are any.
    var folders: [String: URL] = [:]
  }

  /// Settings are read here, before any weight is.
  private func prepared(_ console: Console) throws -> @Sendable () throws -> Found {
    let named = try NamedAdapters(adapters, data)
    if isByValidation, named.names.contains(target) {
      console.warn(
        "'\(target)' is among the adapters, and was trained on some of the texts that it is measured by here.")
    }
    let folders = Dictionary(zip(named.names, named.adapters.map(\.folder))) { first, _ in first }
    let knowing = named.adapters.first(where: \.namesModel) ?? named.adapters.first
    switch rule {
    case .fsd, .fsdAdaptive:
      let backbone = try knowing?.backbone().settings ?? BackboneSettings(section())
      return { [self] in
        var found = try bySigns(named, backbone.load())
        found.folders = folders
        return found
      }
    default:
      var experiment = try knowing?.experiment() ?? ExperimentSettings(section())
      // A run may have been on one domain of those that there are.
      experiment.domains = data.domains.flatMap { list($0).array?.compactMap(\.string) }
      experiment.perClass = nil
      return { [self, experiment] in
        var found = try byTexts(experiment, named)
        found.folders = folders
        return found
      }
    }
  }

  private func section() throws -> Section {
    var section = Section()
    if let config = data.config {
      try section.add(YAMLFile(contentsOf: AssetFolder.path(config)), known: ExperimentSettings.keys)
    }
    data.apply(to: &section)
    return section
  }

  // MARK: By signs

  private func bySigns(_ named: NamedAdapters, _ network: any PretrainedNetwork) throws -> Found {
    let names = named.names
    guard let first = names.firstIndex(of: target) else { throw MixtureError.unknownMember(target, known: names) }
    let models = try named.adapters.map { try $0.load(onto: network) }
    var options = SignOptions()
    // Bottlenecks are no change of a weight: theirs are the signs of the parameters.
    let merge = models.allSatisfy { $0.adapter.configuration.obstacleToMerging == nil }
    options.space = merge ? .delta : .factors
    let signs = try SignStatistics(of: models, names: names, options: options)
    let greedy = SignGreedy(
      rule == .fsd ? .static : .adaptive, stop: maximumFSD.map { .conflict(above: $0) } ?? .none, maximum: maximum)
    let result = try greedy.choose(from: names, first: first, pairs: signs.pairs)
    return Found(
      selection: result.selection, score: rule == .fsd ? "FSD to \(target)" : "FSD of the set", curve: result.curve)
  }

  // MARK: By texts

  private func byTexts(_ settings: ExperimentSettings, _ named: NamedAdapters) throws -> Found {
    var settings = settings
    // The mean of the last hidden states, unless another is asked for; a classifier wants what it was trained on.
    if !isByValidation, try PretrainedKind(of: settings.backbone.folder) == .text {
      settings.backbone.pooling = data.pooling ?? "mean"
    }
    let network = try settings.backbone.loadForTexts("graft choose")
    let folder = try TextFolder(at: settings.data.resolvingSymlinksInPath(), options: options(settings))
    guard let novel = folder.domains.firstIndex(of: target) else {
      throw DomainDatasetError.unknown(target, among: folder.domains)
    }
    let parts = TextSplit.Options(largestTraining: texts, largestValidation: texts, seed: seed)
    let tokenizer = try Tokenizer(from: settings.backbone.folder)
    let length = settings.texts.length(for: network)
    guard !isByValidation else {
      let validation = try folder.split(ofDomain: novel, parts).validation.map { folder.samples[$0] }
      return try byValidation(
        named, network, validation, classes: folder.classes,
        TextEmbeddings(network, tokenizer, maximumLength: length))
    }
    let embed = TextEmbeddings(network, tokenizer, maximumLength: length)
    func embeddings(_ domain: Int) throws -> Tensor {
      // The target's texts are drawn without looking at labels, the others' by class.
      guard domain == novel else {
        return try embed(folder.split(ofDomain: domain, parts).training.map { folder.samples[$0] })
      }
      var pool = try folder.split(ofDomain: domain, TextSplit.Options(seed: seed)).training
      var generator = Xoshiro256(seed: seed, stream: 0x6368_6f6f)
      generator.shuffle(&pool)
      return try embed(pool.prefix(texts).sorted().map { folder.samples[$0] })
    }
    let others = candidates(folder.domains, named.names)
    let domains = try others.map { name in
      guard let domain = folder.domains.firstIndex(of: name) else {
        throw DomainDatasetError.unknown(name, among: folder.domains)
      }
      return (name: name, embeddings: try embeddings(domain))
    }
    let target = try embeddings(novel)
    if rule == .clustering {
      var clustering = DomainClustering()
      clustering.seed = seed
      if let maximum { clustering.maximum = maximum }
      return Found(selection: try clustering.choose(domains, for: target), score: "share of the texts")
    }
    var similarity = SentenceSimilarity()
    similarity.isWeighted = rule == .similarityWeighted
    if let maximum { similarity.maximum = maximum }
    if let threshold { similarity.threshold = threshold }
    return Found(selection: try similarity.choose(domains, for: target), score: "mean cosine")
  }

  private var isByValidation: Bool { rule == .greedySoup || rule == .validationGreedy }

  private func options(_ settings: ExperimentSettings) -> TextFolder.Options {
    var options = settings.texts.options
    options.domains = settings.domains.map { $0.contains(target) ? $0 : $0 + [target] }
    return options
  }

  /// The domains to choose among: those that there are adapters of, or all but the target.
  private func candidates(_ domains: [String], _ adapters: [String]) -> [String] {
    (adapters.isEmpty ? domains : adapters).filter { $0 != target }
  }

  // MARK: By validation

  private func byValidation(
    _ named: NamedAdapters, _ network: TextTransformer, _ samples: [TextFolder.Sample], classes: [String],
    _ embed: TextEmbeddings
  ) throws -> Found {
    let members = try zip(named.names, named.adapters).map { MixMember($0, try $1.load(onto: network)) }
    for member in members {
      guard let head = member.model.head else { throw TrainedAdapter.Problem.noClassifier(member.name) }
      guard head.classes == classes else { throw TrainingError.classes(head: head.classes, examples: classes) }
    }
    let merges = members.allSatisfy { $0.model.adapter.configuration.obstacleToMerging == nil }
    func accuracy(_ chosen: [Int]) throws -> Double {
      let mixed = Mix(
        chosen.map { members[$0] }, space: merges ? .delta : .factors, head: members[chosen[0]].name)
      let model = try chosen.count == 1 ? members[chosen[0]].model : mixed.result().model
      let logits = try model.head.map { head in
        try withoutGradients { try head(embed(samples, adaptation: model.adapter).to(network.device)) }
      }
      let predicted = try logits?.argmax(-1).integers() ?? []
      return Double(zip(predicted, samples).count { $0 == $1.label }) / Double(samples.count)
    }
    let names = named.names
    let selection =
      rule == .greedySoup
      ? try GreedySoup.choose(names, metric: accuracy)
      : try ValidationGreedy.choose(names, maximum: maximum ?? names.count, metric: accuracy)
    return Found(selection: selection, score: rule == .greedySoup ? "accuracy alone" : "accuracy with it")
  }

  // MARK: Reporting

  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashes on some that are.
  @inline(never)
  private func show(_ found: Found, _ console: Console) throws {
    let selection = found.selection
    if selection.isFallback { console.warn("none qualifies; the best one stands in.") }
    let weights = Dictionary(zip(selection.names, selection.weights)) { first, _ in first }
    var table = TextTable(header: ["Adapter", found.score, "weight", "left out"])
    table.rows = selection.candidates.map { candidate in
      [
        candidate.name, Quantity.fixed(candidate.score, 4),
        weights[candidate.name].map { Quantity.fixed($0, 4) } ?? "", candidate.reason?.description ?? "",
      ]
    }
    console.result(table.text)
    if !found.folders.isEmpty, selection.names.count > 1 {
      let terms = zip(selection.names, selection.weights).map { name, weight in
        "\(found.folders[name]?.path ?? name)@\(Quantity.fixed(weight, 4))"
      }
      console.note("graft mix \(terms.joined(separator: " ")) --method weighted --output mixed")
    }
    try console.json(JSONValue.object(json(found, weights)).text(.readable))
  }

  private func json(_ found: Found, _ weights: [String: Double]) -> JSONObject {
    var json: JSONObject = [
      "rule": .string(rule.rawValue), "target": .string(target), "score": .string(found.score),
      "fallback": .bool(found.selection.isFallback),
      "candidates": .array(
        found.selection.candidates.map { candidate in
          [
            "name": .string(candidate.name), "score": .double(candidate.score),
            "weight": weights[candidate.name].map(JSONValue.double) ?? .null,
            "left_out": candidate.reason.map { .string($0.description) } ?? .null,
            "folder": found.folders[candidate.name].map { .string($0.path) } ?? .null,
          ]
        }),
    ]
    guard !found.curve.isEmpty else { return json }
    json["fsd_of_the_set"] = .array(found.curve.map { .double($0.conflict) })
    return json
  }
}
