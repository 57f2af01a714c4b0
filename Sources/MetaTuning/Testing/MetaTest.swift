import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

/// Few-shot accuracy on data sets: for each the same seeded episodes for every row of a table.
///
/// In each episode the support set, through the frozen backbone, decides the mixing weights; the task's weights are merged, and tuned
/// where the mode asks for it; the support set under them gives prototypes, and each query goes to the nearest. The mean accuracy of
/// the episodes stands with `1.96 · s/√n`.
///
/// ```swift
/// let test = try MetaTest(pools, inDomain: ["fungi", "birds"], on: examples, episodes: .metaDataset, seed: 0)
/// let frozen = FrozenFeatures(of: examples, by: backbone)
/// let floor = try await test.run(.frozen(backbone), frozen: frozen)
/// let tuned = try await test.run(.model("SMAT", model), mode: .fullFineTuning(FineTuning()), frozen: frozen)
/// ```
public struct MetaTest: Sendable {
  public let pools: [EpisodePool]
  /// The names of data sets that meta-training drew classes of; the others are out of domain.
  public let inDomain: Set<String>
  public let examples: any Examples
  public let settings: EpisodeSettings
  /// Of each data set.
  public let episodes: Int
  public let seed: UInt64
  /// Examples in one forward pass without gradients.
  public var batchSize = 64
  public var precision = TrainingConfiguration.Precision.float32
  /// Classes that have too few examples and take no part.
  public let leftOut: [EpisodeSampler.LeftOutClass]
  private let samplers: [EpisodeSampler]
  private let leavesOutSmallClasses: Bool

  /// - Parameters:
  ///   - pools: one for each data set, of test classes.
  ///   - examples: what the pools' indices count.
  ///   - settings: ways and shots.
  ///   - count: episodes of each data set.
  ///   - leavingOutSmallClasses: as in `EpisodeSampler`.
  /// - Throws: `EpisodeError`; `MetaTestError` for no data set, no episode or an example that cannot be read.
  public init(
    _ pools: [EpisodePool], inDomain: Set<String>, on examples: any Examples, episodes settings: EpisodeSettings,
    count: Int = 600, seed: UInt64, leavingOutSmallClasses: Bool = false
  ) throws {
    guard !pools.isEmpty else { throw MetaTestError.noDatasets }
    guard count > 0 else { throw MetaTestError.episodes(count) }
    try Self.check(pools, on: examples)
    samplers = try pools.map {
      try EpisodeSampler([$0], settings: settings, seed: seed, leavingOutSmallClasses: leavingOutSmallClasses)
    }
    self.pools = pools
    self.inDomain = inDomain
    self.examples = examples
    self.settings = settings
    episodes = count
    self.seed = seed
    leftOut = samplers.flatMap(\.leftOut)
    leavesOutSmallClasses = leavingOutSmallClasses
  }

  private static func check(_ pools: [EpisodePool], on examples: any Examples) throws(MetaTestError) {
    for pool in pools {
      if let bad = pool.classes.lazy.flatMap(\.examples).first(where: { !examples.isUsable($0) }) {
        throw .unusable(example: bad, dataset: pool.name)
      }
    }
  }

  /// - Throws: `MetaTestError.seenClasses` where a model was trained on classes that are tested, or chosen by them.
  public func check(_ row: String, trainedOn classes: TrainedClasses) throws(MetaTestError) {
    for pool in pools {
      let seen = classes.seen(in: pool)
      if !seen.isEmpty { throw .seenClasses(row: row, dataset: pool.name, classes: seen) }
    }
  }

  /// Identifies the episodes: two results can be compared episode by episode where this is the same.
  public var digest: String {
    var hash = ""
    for sampler in samplers {
      let drawn = (0..<episodes).map { sampler.episode($0) }.map { "\($0.classes) \($0.support) \($0.query)" }
      hash = FileDigest.sha256(of: Data((hash + sampler.pools[0].name + drawn.joined(separator: "\n")).utf8))
    }
    return FileDigest.sha256(of: Data((hash + examples.fingerprint).utf8))
  }

  /// Where a run is.
  public struct Progress: Sendable, Hashable {
    public let dataset: String
    public let completed: Int
    public let total: Int
    /// Whether a rate is being searched.
    public let isSearching: Bool
    /// Of the episodes so far, `0 ... 1`; nil while a rate is searched.
    public let accuracy: Double?
  }

  /// One row of a table.
  ///
  /// - Parameters:
  ///   - subject: what is tested. A model's own `scale` stays.
  ///   - frozen: of these examples; shared by the rows, each example goes through the frozen backbone once.
  /// - Throws: `MetaTestError`; `EpisodeError` where no rate can be searched; `PrototypeError`; `MetaWeightsError`; what reading an
  ///   example throws.
  @Compute
  public func run(
    _ subject: MetaTestSubject, mode: TestMode = .gradientFree, frozen: FrozenFeatures,
    progress: (@Sendable (Progress) -> Void)? = nil
  ) async throws -> MetaTestResult {
    if let trained = subject.model?.trainedOn { try check(subject.name, trainedOn: trained) }
    let tester = try EpisodeTester(subject, mode, self, frozen)
    let searches = try searches(for: mode)
    var datasets: [MetaTestResult.Dataset] = []
    for (index, sampler) in samplers.enumerated() {
      let rate = try await search(tester, searches[index], for: sampler.pools[0].name, progress)
      datasets.append(try await measure(tester, sampler, rate: rate, progress))
    }
    return try tester.result(datasets)
  }

  /// The episodes that one data set's rate is searched on.
  struct Search: Sendable {
    let sampler: EpisodeSampler
    let episodes: Int
  }

  /// For each data set; nil where every episode has its own rate, or none is searched.
  func searches(for mode: TestMode) throws -> [Search?] {
    // Another seed than that of the episodes that are measured.
    var generator = Xoshiro256(seed: seed, stream: RandomStream.search)
    let seed = generator.next()
    func search(_ pools: [EpisodePool], _ episodes: Int) throws -> Search {
      try Self.check(pools, on: examples)
      let sampler = try EpisodeSampler(
        pools, settings: settings, seed: seed, leavingOutSmallClasses: leavesOutSmallClasses)
      return Search(sampler: sampler, episodes: episodes)
    }
    return try pools.map { pool in
      switch mode.fineTuning?.rates {
      case nil, .fixed, .supportFolds: return nil
      case .official(let episodes, _): return try search([pool], episodes)
      case .otherClasses(let others, let episodes, _):
        let own = others.filter { $0.name == pool.name }
        return try search(own.isEmpty ? others : own, episodes)
      }
    }
  }

  /// Classes that have too few examples and take no part where a mode searches its rate.
  ///
  /// - Throws: as `run` would for the search.
  public func leftOut(inSearchFor mode: TestMode) throws -> [EpisodeSampler.LeftOutClass] {
    var found: [EpisodeSampler.LeftOutClass] = []
    for left in try searches(for: mode).compactMap({ $0 }).flatMap(\.sampler.leftOut) where !found.contains(left) {
      found.append(left)
    }
    return found
  }

  /// The one rate of a data set; nil where there is none to search for all of its episodes.
  @Compute
  private func search(
    _ tester: EpisodeTester, _ search: Search?, for dataset: String, _ progress: (@Sendable (Progress) -> Void)?
  ) async throws -> Double? {
    guard let search else { return nil }
    var choice = RateChoice(tester.candidates)
    for number in 0..<search.episodes {
      progress?(
        Progress(
          dataset: dataset, completed: number, total: search.episodes, isSearching: true, accuracy: nil))
      for try await batch in batches(of: search.sampler, number..<number + 1) {
        choice.add(try tester.accuracies(of: batch, search.sampler.episode(number), number: number))
      }
    }
    try Task.checkCancellation()
    return choice.best
  }

  @Compute
  private func measure(
    _ tester: EpisodeTester, _ sampler: EpisodeSampler, rate: Double?, _ progress: (@Sendable (Progress) -> Void)?
  ) async throws -> MetaTestResult.Dataset {
    let name = sampler.pools[0].name
    var dataset = MetaTestResult.Dataset(name: name, isInDomain: inDomain.contains(name))
    for try await batch in batches(of: sampler, 0..<episodes) {
      try Task.checkCancellation()
      dataset.add(try tester.measure(batch, sampler.episode(batch.step), rate: rate))
      progress?(
        Progress(
          dataset: name, completed: dataset.accuracies.count, total: episodes, isSearching: false,
          accuracy: dataset.mean))
    }
    // A cancelled stream of batches ends without a word.
    try Task.checkCancellation()
    return dataset
  }

  private func batches(of sampler: EpisodeSampler, _ steps: Range<Int>) -> Batches {
    examples.batches(of: EpisodePlan(sampler), steps: steps, for: .evaluation)
  }
}

/// What a row of a table is a test of.
public struct MetaTestSubject: Sendable {
  public let name: String
  public let backbone: any Backbone
  /// nil for the frozen backbone alone.
  public let model: MetaModel?
  /// `c`, by which what was trained is scaled: 1 as it was trained, less interpolates with the pretrained network (Wortsman et al.
  /// 2022, WiSE-FT, arXiv:2109.01903).
  public let scale: Double

  /// The frozen backbone: without gradients the nearest centroid of its features by cosine, the floor of every table.
  public static func frozen(_ backbone: any Backbone, name: String = "Frozen") -> MetaTestSubject {
    MetaTestSubject(name: name, backbone: backbone, model: nil, scale: 1)
  }

  /// A meta-tuned model.
  public static func model(_ name: String, _ model: MetaModel, scale: Double = 1) -> MetaTestSubject {
    MetaTestSubject(name: name, backbone: model.backbone, model: model, scale: scale)
  }
}
