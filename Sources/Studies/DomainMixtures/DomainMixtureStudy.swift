import Adapters
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Reports
import Tensors
import Training

/// What mixing does to the domains that were mixed: the in-domain protocol of Nguyen & Le 2024, arXiv:2402.10639, on
/// any domains, kinds of adapters and seeds.
///
/// For every kind and seed an adapter and a classifier are trained on each of `n` domains, from one start. Then every
/// mixture `θ̄(S) = (1/|S|) Σ_{i∈S} θ_i` is measured on the test part of each of its members `i` with that member's
/// classifier; which sets there are, `StudyConfiguration.sets` says. From that come accuracy over `|S|`, its
/// correlation with the fraction of sign difference, and what orders of adding domains are worth; pruning and attacks
/// are measured where they are asked for. That mixtures are enumerated and attacked, and that signs guide mixing and
/// pruning, is the paper's; the details are ours, as `docs/results.md` says of each.
///
/// Under `output` each piece of work has a folder, named by what it is and by a hash of everything that decides its
/// numbers: what is done is not done again, other settings make other folders, and several processes may work in one
/// output folder at once. A process that is killed leaves its lock behind unlocked and its records whole; the next one
/// goes on after the last.
public struct DomainMixtureStudy: AsyncSequence, Sendable {
  public typealias Element = StudyEvent

  public let domains: [StudyDomain]
  public let backbone: any Backbone
  public let kinds: [StudyKind]
  public let configuration: StudyConfiguration
  public let attacks: [any TextAttack]
  /// Texts to what the backbone reads, `[texts, …]`.
  public let encode: (@Sendable ([String]) throws -> Tensor)?
  public let output: URL
  /// All there is to do, in the order in which it is begun.
  public let runs: [StudyRun]
  /// Trainable numbers of each kind's adapter, classifiers not counted.
  public let parameters: [String: Int]

  /// Mixtures in one piece of work.
  static let setsInPart = 32

  /// - Parameters:
  ///   - kinds: with names of their own.
  ///   - attacks: what `configuration.robustness` measures by.
  ///   - encode: needed where there are attacks.
  /// - Throws: `StudyError`, `TrainingConfigurationError`, and what making each kind's model throws: nothing starts
  ///   before every kind is known to fit.
  public init(
    of domains: [StudyDomain], backbone: any Backbone, kinds: [StudyKind], configuration: StudyConfiguration,
    attacks: [any TextAttack] = [], encode: (@Sendable ([String]) throws -> Tensor)? = nil, output: URL
  ) throws {
    let names = domains.map(\.name)
    guard domains.count > 1 else { throw StudyError.domains(names) }
    guard domains.count <= MixtureSet.limit else {
      throw StudyError.tooManyDomains(domains.count, limit: MixtureSet.limit)
    }
    func check(_ names: [String], _ what: String) throws {
      guard !names.isEmpty, Set(names).count == names.count else { throw StudyError.names(names, of: what) }
    }
    try check(names, "domains")
    try check(kinds.map(\.name), "kinds of adapters")
    try configuration.validate(domains: domains.count)
    if configuration.robustness != nil {
      try check(attacks.map(\.name), "attacks")
      if let domain = domains.first(where: { $0.text == nil }) { throw StudyError.noTexts(domain: domain.name) }
      guard encode != nil else { throw StudyError.noEncoder }
    }
    var configuration = configuration
    // Nothing before the last step decides anything, so nothing before it is measured.
    configuration.recipe.evaluationInterval = configuration.recipe.steps
    var parameters: [String: Int] = [:]
    for kind in kinds {
      var recipe = configuration.recipe
      recipe.learningRate = kind.method.learningRate ?? recipe.learningRate
      try recipe.validate()
      for domain in domains {
        let model = try kind.method.model(on: backbone, classes: domain.examples.classes, seed: configuration.seeds[0])
        if domain.name == names[0] {
          parameters[kind.name] = model.adapter.parameterCount
          _ = try StudyMembers([model], kind: kind)
        }
      }
    }
    self.domains = domains
    self.backbone = backbone
    self.kinds = kinds
    self.configuration = configuration
    self.attacks = attacks
    self.encode = encode
    self.output = output
    self.parameters = parameters
    runs = try StudyPlan(domains, backbone, kinds, configuration, attacks).runs
  }

  public func makeAsyncIterator() -> EventIterator<StudyEvent> {
    EventIterator { send in try await run(send) }
  }

  /// Reads the events to the end.
  public func finish() async throws -> StudyReport {
    var completed: StudyReport?
    for try await event in self {
      if case .completed(let report) = event { completed = report }
    }
    guard let completed else { throw CancellationError() }
    return completed
  }

  /// What is recorded, without doing anything.
  public func report() throws -> StudyReport { try StudyReport(of: self, failures: []) }

  // MARK: The work

  private func run(_ send: @escaping @Sendable (StudyEvent) -> Void) async throws {
    let tests = try await TestBatches(of: domains, size: configuration.batch)
    let failures = try await work.perform(send) { run, progress in try await perform(run, tests, progress) }
    send(.completed(try StudyReport(of: self, failures: failures)))
  }

  private func perform(
    _ run: StudyRun, _ tests: TestBatches, _ progress: @escaping @Sendable (Int, Int) -> Void
  ) async throws {
    switch run.phase {
    case .training: try await train(run, progress)
    case .similarity: try await measureSimilarity(run)
    case .mixtures, .orders: try await Compute.run { try measureMixtures(run, tests, progress) }
    case .pruning: try await Compute.run { try measurePruning(run, tests, progress) }
    case .robustness: try await Compute.run { try measureRobustness(run, tests, progress) }
    }
  }

  private var work: SharedWork<StudyRun> { SharedWork(output: output, runs: runs) }

  public func folder(of run: StudyRun) -> RunFolder { work.folder(of: run) }

  /// Test examples of each domain.
  var testCounts: [Int] { domains.map(\.test.count) }

  func kind(of run: StudyRun) throws -> StudyKind {
    guard let kind = kinds.first(where: { $0.name == run.kind }) else {
      throw StudyError.names([run.kind], of: "kinds of adapters")
    }
    return kind
  }

  // MARK: Training

  private static let adapterFolder = "adapter"

  private func train(_ run: StudyRun, _ progress: @escaping @Sendable (Int, Int) -> Void) async throws {
    let (kind, domain) = (try kind(of: run), domains[run.domain ?? 0])
    let own = configuration.recipe(of: kind, seed: run.seed)
    let recorded = RecordedRun(
      folder: folder(of: run), arguments: run.arguments, hyperparameters: try kind.method.hyperparameters(with: own),
      configuration: own, examples: domain.examples, fold: domain.fold)
    let model = try kind.method.model(on: backbone, classes: domain.examples.classes, seed: run.seed)
    let result = try await recorded.perform(model, store: FeatureStore()) { event in
      if case .step(let report) = event { progress(report.step, own.steps) }
    }
    let adapter = folder(of: run).url.appendingPathComponent(Self.adapterFolder, isDirectory: true)
    try result.model.saveAgain(to: adapter)
    try recorded.markDone()
  }

  /// The trained adapters of a kind and seed.
  func members(of run: StudyRun) throws -> StudyMembers {
    let trained = runs.filter { $0.phase == .training && $0.kind == run.kind && $0.seed == run.seed }
    let models = try trained.sorted { ($0.domain ?? 0) < ($1.domain ?? 0) }.map { run in
      try backbone.adapted(
        from: folder(of: run).url.appendingPathComponent(Self.adapterFolder, isDirectory: true))
    }
    return try StudyMembers(models, kind: kind(of: run))
  }

  // MARK: Similarity

  /// AdapterSoup's: the mean cosine over all pairs of a text of one domain and one of the other, by the frozen network.
  private func measureSimilarity(_ run: StudyRun) async throws {
    var features: [Tensor] = []
    for domain in domains {
      let texts = StudyDomain.draw(
        configuration.similarityExamples, of: domain.training, labels: domain.examples.labels, seed: 0)
      let batches = try await TestBatches.batches(domain.examples, at: texts, size: configuration.batch)
      features.append(try await Compute.run { try backbone.frozenFeatures(batches) })
    }
    let similarities = try features.map { one in
      try features.map { try SentenceSimilarity.meanCosine(one, $0) }
    }
    try RecordFile(in: folder(of: run).url).write([SimilarityRecord(similarities: similarities)])
    try folder(of: run).markDone()
  }
}

extension StudyConfiguration {
  /// How one adapter is trained.
  func recipe(of kind: StudyKind, seed: UInt64) -> TrainingConfiguration {
    var own = recipe
    own.learningRate = kind.method.learningRate ?? recipe.learningRate
    own.seed = seed
    return own
  }
}
