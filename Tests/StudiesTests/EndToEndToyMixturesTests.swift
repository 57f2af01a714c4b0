import Adapters
import Mixing
import NeuralNetworks
import Reports
import Tensors
import Testing
import Training

@testable import Studies

/// The toy experiment: six domains whose teachers grow apart, bottlenecks after each block of a random residual net,
/// trained from one start and from six. Every mixture is measured on its members.
@Suite struct EndToEndToyMixturesTests {
  private static let domainCount = 6

  /// The kinds are two ways to start; what is recorded of each seed.
  private func measure(seeds: [UInt64]) async throws -> StudyReport {
    let angles = (0..<Self.domainCount).map { 0.2 + 0.24 * Double($0) }
    var cells: [String: [StudyReport.Cell]] = [:]
    for seed in seeds {
      let domains = try toyDomains(angles: angles, training: 1_500, test: 500, seed: 100 + seed)
      let backbone = try ResidualNet(seed: 5 + seed)
      let tests = try await TestBatches(of: domains, size: 500)
      for start in ["same", "different"] {
        var models: [AdaptedModel] = []
        for (index, domain) in domains.enumerated() {
          var recipe = toyRecipe(steps: 220)
          recipe.seed = seed
          recipe.evaluationInterval = recipe.steps
          let first = start == "same" ? seed : 1_000 + 10 * seed + UInt64(index)
          let model = try Method(start, toyBottleneck()).model(
            on: backbone, classes: domain.examples.classes, seed: first)
          models.append(
            try await Training(of: model, on: domain.examples, fold: domain.fold, configuration: recipe).finish().model)
        }
        let cell = try await Compute.run { [models] in
          try Self.records(of: models, StudyKind(Method(start, toyBottleneck())), tests, seed: seed)
        }
        cells[start, default: []].append(cell)
      }
    }
    return try StudyReport(
      domains: angles.map { "\($0)" }, testCounts: angles.map { _ in 500 },
      kinds: [("same", 0, .factors), ("different", 0, .factors)], cells: cells,
      chosen: Set(MixtureSets.all.sets(of: Self.domainCount)), similarities: [], randomOrders: 4)
  }

  @Compute
  private static func records(of models: [AdaptedModel], _ kind: StudyKind, _ tests: TestBatches, seed: UInt64) throws
    -> StudyReport.Cell
  {
    let members = try StudyMembers(models, kind: kind)
    let signs = try members.signs(.raw)
    let evaluator = MixtureEvaluator(
      backbone: models[0].backbone, members: members, tests: tests, precision: .float32)
    var sum = MixtureSum(of: members.vectors)
    let mixtures = try MixtureSets.all.sets(of: domainCount).map { set in
      let places = set.members
      let pairwise = signs.set(places, .pairwise)
      return MixtureRecord(
        members: places, correct: try evaluator.correct(sum.mean(of: set), on: places),
        signs: .init(
          pairwise: pairwise, any: signs.set(places, .any), minority: signs.set(places, .minority), pairwiseDelta: 0,
          anyDelta: 0, minorityDelta: 0))
    }
    return StudyReport.Cell(seed: seed, mixtures: mixtures)
  }

  @Test func `accuracy falls with the adapters mixed, less from one start, where signs tell by how much`() async throws
  {
    let report = try await measure(seeds: [0, 1])
    let (same, different) = (report.kinds[0], report.kinds[1])
    for kind in report.kinds {
      #expect(kind.single.allSatisfy { $0.mean > 0.8 })
      for (size, next) in zip(kind.sizes, kind.sizes.dropFirst()) {
        #expect(next.relative.mean <= size.relative.mean + 0.01)
      }
    }
    for (one, other) in zip(same.sizes, different.sizes).dropFirst() {
      #expect(one.relative.mean > other.relative.mean)
    }
    // Unrelated starts agree in every other sign, whatever the domains: nothing to be read from that.
    func meanOverPairs(_ kind: StudyReport.Kind) -> Double {
      SignGreedy.meanOverPairs(Array(0..<Self.domainCount), kind.pairs)
    }
    #expect(abs(meanOverPairs(different) - 0.5) < 0.01)
    #expect((0.3..<0.46).contains(meanOverPairs(same)))
    let spearman = { (kind: StudyReport.Kind) in kind.correlations.first { $0.signs == .pairwise }?.spearman }
    let (mean, error) = (try #require(spearman(same)).mean, try #require(spearman(same)?.standardError))
    // Of two seeds the standard error is half their distance: both are negative.
    #expect(mean + error < 0)
  }
}
