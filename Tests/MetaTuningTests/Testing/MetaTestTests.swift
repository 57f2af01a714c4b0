import Adapters
import Datasets
import NeuralNetworks
import Synchronization
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct MetaTestTests {
  /// The accuracy of the nearest class mean by cosine, in plain arithmetic.
  private func nearestCentroid(_ episode: Episode, _ features: [[Double]]) -> Double {
    func cosine(_ a: [Double], _ b: [Double]) -> Double {
      func dot(_ x: [Double], _ y: [Double]) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }
      return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    }
    let means = episode.support.map { examples in
      features[0].indices.map { column in examples.reduce(0) { $0 + features[$1][column] } / Double(examples.count) }
    }
    let right = zip(episode.queryExamples, episode.queryLabels).count { example, label in
      let scores = means.map { cosine(features[example], $0) }
      return scores.firstIndex(of: scores.max() ?? 0) == label
    }
    return Double(right) / Double(episode.queryLabels.count)
  }

  @Test @Compute func `the floor is the nearest centroid of the frozen features, episode by episode`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples)
    let result = try await test.run(.frozen(backbone), frozen: FrozenFeatures(of: examples, by: backbone))
    let rows = try backbone.features(examples.inputs).doubles()
    let features = (0..<80).map { Array(rows[$0 * 16..<($0 + 1) * 16]) }
    for (index, dataset) in result.datasets.enumerated() {
      let sampler = try EpisodeSampler([test.pools[index]], settings: test.settings, seed: 1)
      #expect(dataset.accuracies == (0..<10).map { nearestCentroid(sampler.episode($0), features) })
      #expect(dataset.meanMixing.isEmpty && dataset.learningRates.isEmpty)
    }
    #expect(result.datasets.map(\.name) == ["seen", "new"])
    #expect(result.datasets.map(\.isInDomain) == [true, false])
    // A test in which everything is right, or nothing, would not tell.
    #expect((0.3...0.95).contains(result.datasets[0].mean))
  }

  @Test @Compute func `a model that has not trained is the floor, a trained one scaled by 0 too, and by 1 it is not`()
    async throws
  {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples)
    let frozen = FrozenFeatures(of: examples, by: backbone)
    let floor = try await test.run(.frozen(backbone), frozen: frozen).datasets.map(\.accuracies)
    let fresh = try MetaModel(of: backbone, configuration: Tiny.configuration(.smat))
    #expect(try await test.run(.model("fresh", fresh), frozen: frozen).datasets.map(\.accuracies) == floor)
    let tuned = try Tiny.tuned(on: backbone)
    let interpolated = try await test.run(.model("tuned", tuned, scale: 0), frozen: frozen)
    #expect(interpolated.datasets.map(\.accuracies) == floor && interpolated.scale == 0)
    #expect(tuned.weights.scale == 1)
    let whole = try await test.run(.model("tuned", tuned), frozen: frozen)
    #expect(whole.datasets.map(\.accuracies) != floor)
    for dataset in whole.datasets {
      #expect(dataset.meanMixing.count == 3 && abs(dataset.meanMixing.reduce(0, +) - 1) < 1e-6)
    }
    // The same again, bit for bit.
    #expect(try await test.run(.model("tuned", tuned), frozen: frozen) == whole)
  }

  private func mode(_ rates: RateSearch, adapter: Bool = false) -> TestMode {
    var tuning = adapter ? FineTuning.ofAdapter : FineTuning()
    tuning.steps = 4
    tuning.rates = rates
    return adapter ? .lora(tuning) : .fullFineTuning(tuning)
  }

  @Test(arguments: [false, true]) @Compute
  func `tuning at a rate of 0 is no tuning, and at another rate changes answers`(adapter: Bool) async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples, count: 4)
    let frozen = FrozenFeatures(of: examples, by: backbone)
    let tuned = try Tiny.tuned(on: backbone)
    let free = try await test.run(.model("tuned", tuned), frozen: frozen)
    let still = try await test.run(.model("tuned", tuned), mode: mode(.fixed(0), adapter: adapter), frozen: frozen)
    #expect(still.datasets.map(\.accuracies) == free.datasets.map(\.accuracies))
    let moved = try await test.run(.model("tuned", tuned), mode: mode(.fixed(0.05), adapter: adapter), frozen: frozen)
    #expect(moved.datasets.map(\.accuracies) != free.datasets.map(\.accuracies))
    #expect(moved.datasets.map(\.learningRates) == [[0.05, 0.05, 0.05, 0.05], [0.05, 0.05, 0.05, 0.05]])
    #expect(moved.mode == (adapter ? "LoRA" : "full fine-tuning") && moved.rates == "fixed at 0.05")
    #expect(try #require(moved.tuning).hasPrefix(adapter ? "LoRA on query, value (alpha " : "all weights, "))
    // A rate that is given is the rate, of an adapter too.
    #expect(moved.rateFactor == nil)
    #expect(mode(.fixed(0.05), adapter: adapter).fineTuning?.candidates == [0.05])
    // What was tuned in one episode does not reach the next: the model is as it was.
    #expect(try await test.run(.model("tuned", tuned), frozen: frozen) == free)
  }

  @Test @Compute func `rates by folds of the support do not depend on the queries`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples, count: 3)
    // The queries of the first episodes, with other pixels. What is one episode's support stays.
    let sampler = try EpisodeSampler([test.pools[0]], settings: test.settings, seed: 1)
    let kept = Set((0..<3).flatMap { sampler.episode($0).supportExamples })
    let noise = try Tensor.normal([80, 3, 8, 8], from: Generator(seed: 77))
    let changed = try TensorExamples(
      inputs: .stacked((0..<80).map { try (kept.contains($0) ? examples.inputs : noise).select(0, $0) }),
      labels: examples.labels, classes: examples.classes, domains: examples.domains, counts: [80])
    func result(_ examples: TensorExamples) async throws -> MetaTestResult {
      let test = try MetaTest(
        [test.pools[0]], inDomain: [], on: examples, episodes: test.settings, count: 3, seed: 1)
      return try await test.run(
        .frozen(backbone), mode: mode(.supportFolds(candidates: [0, 0.01, 0.1], folds: 2)),
        frozen: FrozenFeatures(of: examples, by: backbone))
    }
    let (first, second) = (try await result(examples), try await result(changed))
    #expect(first.datasets[0].learningRates == second.datasets[0].learningRates)
    #expect(first.datasets[0].accuracies != second.datasets[0].accuracies)
    #expect(Set(first.datasets[0].learningRates).isSubset(of: [0, 0.01, 0.1]))
    #expect(first.rates == "2 folds of each support")
  }

  @Test @Compute func `single shots leave nothing to search a rate with, and the episodes are counted`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try MetaTest(
      [Tiny.pool("new", of: examples, classes: 4..<10)], inDomain: [], on: examples,
      episodes: .fixed(ways: 3, shots: 1, queries: 2), count: 3, seed: 1)
    let result = try await test.run(
      .frozen(backbone), mode: mode(.supportFolds(candidates: [0.1], folds: 2)),
      frozen: FrozenFeatures(of: examples, by: backbone))
    #expect(result.datasets[0].unsearched == 3 && result.datasets[0].learningRates == [0, 0, 0])
  }

  @Test @Compute func `an adapter's rates are searched among ten times the candidates, and reported as they were`()
    async throws
  {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples, count: 2)
    let search = RateSearch.supportFolds(candidates: [0.25, 0.005], folds: 2)
    #expect(mode(search, adapter: true).fineTuning?.candidates == [0.05, 2.5])
    let result = try await test.run(
      .frozen(backbone), mode: mode(search, adapter: true), frozen: FrozenFeatures(of: examples, by: backbone))
    let rates = result.datasets.flatMap(\.learningRates)
    #expect(rates.count == 4 && Set(rates).isSubset(of: [0.05, 2.5]))
    #expect(result.rates == "2 folds of each support" && result.rateFactor == 10)
  }

  @Test func `a data set's one rate is searched on other classes, or officially on its own, by other episodes`()
    throws
  {
    let examples = try Tiny.images()
    let test = try Tiny.test(examples, count: 2)
    let own = Tiny.pool("new", of: examples, classes: 0..<5)
    let third = Tiny.pool("third", of: examples, classes: 1..<6)
    let official = try test.searches(for: mode(.official(episodes: 3, candidates: [0, 1]))).map { try #require($0) }
    #expect(official.map(\.sampler.pools) == test.pools.map { [$0] } && official.map(\.episodes) == [3, 3])
    let honest = try test.searches(for: mode(.otherClasses([own, third], episodes: 2, candidates: [0, 1])))
      .map { try #require($0) }
    // "seen" has no pool of its name there.
    #expect(honest.map(\.sampler.pools) == [[own, third], [own]] && honest.map(\.episodes) == [2, 2])
    for search in official + honest {
      #expect(search.sampler.settings == test.settings && search.sampler.seed != test.seed)
    }
    for none in [RateSearch.fixed(1), .supportFolds(candidates: [1], folds: 2)] {
      #expect(try test.searches(for: mode(none)).allSatisfy { $0 == nil })
    }
  }

  @Test @Compute func `a data set's one rate is the best of its search, and the row names the search`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples, count: 2)
    let frozen = FrozenFeatures(of: examples, by: backbone)
    // A rate at which everything ends in infinities is never the best.
    let rates = [1e-3, 1e30]
    let official = try await test.run(
      .frozen(backbone), mode: mode(.official(episodes: 2, candidates: rates)), frozen: frozen)
    #expect(official.datasets.map(\.learningRates) == [[1e-3, 1e-3], [1e-3, 1e-3]])
    #expect(official.rates == "official: 2 labelled episodes of the test classes" && official.rateFactor == 1)
    let other = Tiny.pool("new", of: examples, classes: 0..<5)
    let honest = try await test.run(
      .frozen(backbone), mode: mode(.otherClasses([other], episodes: 2, candidates: rates)), frozen: frozen)
    #expect(honest.datasets.map(\.learningRates) == [[1e-3, 1e-3], [1e-3, 1e-3]])
    #expect(honest.rates == "2 episodes of other classes")
  }

  @Test func `small classes are left out of the search where they are of the test, and listed`() throws {
    let examples = try Tiny.images()
    let pool = Tiny.pool("new", of: examples, classes: 4..<10)
    // Four examples where an episode takes five.
    let small = EpisodePool.Class(name: "small", examples: [0, 1, 2, 3])
    let other = EpisodePool(name: "new", classes: Tiny.pool("new", of: examples, classes: 1..<5).classes + [small])
    func leftOut(leavingOut: Bool) throws -> [String] {
      let test = try MetaTest(
        [pool], inDomain: [], on: examples, episodes: .fixed(ways: 4, shots: 2, queries: 3), count: 2, seed: 1,
        leavingOutSmallClasses: leavingOut)
      // No tested class is small.
      #expect(test.leftOut.isEmpty)
      return try test.leftOut(inSearchFor: mode(.otherClasses([other], episodes: 2, candidates: [0]))).map(\.name)
    }
    #expect(try leftOut(leavingOut: true) == ["small"])
    #expect(throws: EpisodeError.self) { try leftOut(leavingOut: false) }
  }

  @Test @Compute func `a search that cannot be made is refused before the first episode`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples, count: 2)
    let few = Tiny.pool("new", of: examples, classes: 0..<2)
    let steps = Mutex(0)
    await #expect(throws: EpisodeError.tooFewClasses(pool: "new", classes: 2, leftOut: 0, ways: 4)) {
      // The first data set could be searched.
      let pools = [Tiny.pool("seen", of: examples, classes: 4..<10), few]
      _ = try await test.run(
        .frozen(backbone), mode: mode(.otherClasses(pools, episodes: 1, candidates: [0])),
        frozen: FrozenFeatures(of: examples, by: backbone)
      ) { _ in steps.withLock { $0 += 1 } }
    }
    #expect(steps.withLock { $0 } == 0)
  }

  @Test @Compute func `rows of one model at different scales do not disturb each other`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples)
    let frozen = FrozenFeatures(of: examples, by: backbone)
    let tuned = try Tiny.tuned(on: backbone)
    tuned.weights.scale = 0.5
    async let none = test.run(.model("tuned", tuned, scale: 0), frozen: frozen)
    async let whole = test.run(.model("tuned", tuned), frozen: frozen)
    let together = try await [none, whole]
    let (first, second) = (
      try await test.run(.model("tuned", tuned, scale: 0), frozen: frozen),
      try await test.run(.model("tuned", tuned), frozen: frozen)
    )
    #expect(together == [first, second] && first.datasets != second.datasets)
    #expect(tuned.weights.scale == 0.5)
  }

  @Test @Compute func `a model is not tested on classes that it was trained on, or chosen by`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let model = try MetaModel(of: backbone, configuration: Tiny.configuration(.pmf, steps: 1))
    _ = try await MetaTraining(
      of: model, on: examples, sampler: Tiny.sampler(examples, classes: 0..<4),
      validation: [Tiny.sampler(examples, classes: 4..<8)]
    ).finish()
    func run(_ name: String, _ classes: Range<Int>) async throws {
      let test = try MetaTest(
        [Tiny.pool(name, of: examples, classes: classes)], inDomain: [], on: examples,
        episodes: .fixed(ways: 2, shots: 2, queries: 3), count: 1, seed: 1)
      _ = try await test.run(.model("PMF", model), frozen: FrozenFeatures(of: examples, by: backbone))
    }
    try await run("patterns", 8..<10)
    // Another data set may have classes of the same names.
    try await run("shapes", 0..<4)
    for (classes, seen) in [(3..<10, ["class 3", "class 4", "class 5", "class 6", "class 7"]), (7..<10, ["class 7"])] {
      let error = await #expect(
        throws: MetaTestError.seenClasses(row: "PMF", dataset: "patterns", classes: seen)
      ) { try await run("patterns", classes) }
      #expect(error?.description.contains("Test on classes of another split") == true)
    }
  }

  @Test @Compute func `an episode whose tuning diverges counts as wrong`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let test = try Tiny.test(examples, count: 2)
    let result = try await test.run(
      .frozen(backbone), mode: mode(.fixed(1e30)), frozen: FrozenFeatures(of: examples, by: backbone))
    #expect(result.datasets.map(\.accuracies) == [[0, 0], [0, 0]])
    #expect(result.datasets.map(\.diverged) == [2, 2])
  }

  @Test @Compute func `what cannot be measured is refused, with what to do`() async throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let pool = Tiny.pool("patterns", of: examples, classes: 0..<6)
    func test(_ pools: [EpisodePool], count: Int = 3, ways: Int = 4, on examples: TensorExamples? = nil) throws
      -> MetaTest
    {
      try MetaTest(
        pools, inDomain: [], on: examples ?? Tiny.images(), episodes: .fixed(ways: ways, shots: 2, queries: 3),
        count: count,
        seed: 0)
    }
    #expect(throws: MetaTestError.noDatasets) { try test([]) }
    #expect(throws: MetaTestError.episodes(0)) { try test([pool], count: 0) }
    #expect(throws: EpisodeError.tooFewClasses(pool: "patterns", classes: 6, leftOut: 0, ways: 7)) {
      try test([pool], ways: 7)
    }
    let damaged = try TensorExamples(
      inputs: examples.inputs, labels: examples.labels, classes: examples.classes, domains: examples.domains,
      counts: [80], usable: (0..<80).map { $0 != 9 })
    #expect(throws: MetaTestError.unusable(example: 9, dataset: "patterns")) { try test([pool], on: damaged) }
    let other = try Tiny.vision(seed: 30)
    let run = try test([pool])
    await #expect(throws: MetaTestError.self) {
      try await run.run(.frozen(other), frozen: FrozenFeatures(of: examples, by: backbone))
    }
    var unusual = FineTuning()
    unusual.rateFactor = 0
    let wrong = TestMode.fullFineTuning(unusual)
    await #expect(throws: MetaTestError.rateFactor(0)) {
      try await run.run(.frozen(backbone), mode: wrong, frozen: FrozenFeatures(of: examples, by: backbone))
    }
    await #expect(throws: MetaTestError.rate(-1)) {
      try await run.run(
        .frozen(backbone), mode: mode(.fixed(-1)), frozen: FrozenFeatures(of: examples, by: backbone))
    }
  }
}
