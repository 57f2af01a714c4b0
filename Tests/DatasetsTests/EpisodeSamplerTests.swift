import Foundation
import Testing

@testable import Datasets

@Suite struct EpisodeSamplerTests {
  /// A pool whose classes have these numbers of examples, numbered one after the other from `start`.
  private func pool(
    _ name: String, _ counts: [Int], hierarchy: ClassHierarchy? = nil, start: Int = 0
  ) -> EpisodePool {
    var next = start
    let classes = counts.enumerated().map { label, count in
      defer { next += count }
      return EpisodePool.Class(name: "\(name)-\(label)", examples: Array(next..<next + count))
    }
    return EpisodePool(name: name, classes: classes, hierarchy: hierarchy)
  }

  /// Twenty-five alphabets of 14 to 50 characters, twenty drawings of each.
  private var omniglot: EpisodePool {
    var groups: [[Int]] = []
    for alphabet in 0..<25 {
      let start = groups.last?.last.map { $0 + 1 } ?? 0
      groups.append(Array(start..<start + 14 + alphabet * 3 / 2))
    }
    return pool("omniglot", Array(repeating: 20, count: groups.joined().count), hierarchy: .groups(groups))
  }

  /// A root above all of 600 classes, twelve nodes of 50, sixty of ten and two hundred of three.
  private var imageNet: EpisodePool {
    let classes = Array(0..<600)
    func spans(_ size: Int) -> [[Int]] { stride(from: 0, to: 600, by: size).map { Array(classes[$0..<$0 + size]) } }
    return pool(
      "imagenet", Array(repeating: 150, count: 600), hierarchy: .nodes([classes] + spans(60) + spans(10) + spans(3)))
  }

  private let unequal = (0..<60).map { 6 + 4 * $0 }

  private func sampler(
    _ pools: [EpisodePool], _ settings: EpisodeSettings = .metaDataset, seed: UInt64 = 7
  ) throws -> EpisodeSampler {
    try EpisodeSampler(pools, settings: settings, seed: seed)
  }

  @Test func `ten thousand episodes of Meta-Dataset's kind keep every rule`() throws {
    let pools = [omniglot, imageNet, pool("fungi", unequal), pool("aircraft", Array(repeating: 100, count: 15))]
    let sampler = try sampler(pools)
    var drawn = [0, 0, 0, 0]
    for number in 0..<10_000 {
      let episode = sampler.episode(number)
      let pool = pools[episode.pool]
      drawn[episode.pool] += 1
      let counts = episode.classes.map { pool.classes[$0].examples.count }
      let queries = min(10, counts.map { $0 / 2 }.min() ?? 0)
      try #require((5...50).contains(episode.ways) && Set(episode.classes).count == episode.ways)
      try #require(episode.support.count == episode.ways && episode.query.allSatisfy { $0.count == queries })
      try #require(episode.supportExamples.count <= 500)
      for (place, label) in episode.classes.enumerated() {
        try #require((1...counts[place] - queries).contains(episode.support[place].count))
        let examples = episode.support[place] + episode.query[place]
        try #require(Set(examples).count == examples.count)
        try #require(Set(examples).isSubset(of: pool.classes[label].examples))
      }
      switch episode.pool {
      case 0:
        guard case .groups(let groups) = pool.hierarchy else { continue }
        try #require(groups.contains { Set($0).isSuperset(of: episode.classes) })
        try #require(queries == 10 && episode.support.allSatisfy { $0.count <= 10 })
      case 1:
        // All ten below a small node, or fifty of the sixty below a large one; the root and the smallest never.
        let tens = Set(episode.classes.map { $0 / 10 })
        try #require(episode.ways == 10 && tens.count == 1 || episode.ways == 50 && Set(tens.map { $0 / 6 }).count == 1)
      default: break
      }
    }
    #expect(drawn.allSatisfy { abs($0 - 2_500) < 200 })
  }

  /// Means over 200,000 episodes by the same formulas in NumPy, `RandomState(0)`: ways, size of the support set, most
  /// shots of a class, share of classes with one shot.
  @Test(arguments: [
    (Array(repeating: 20, count: 35), [20.0, 95.934, 6.9005, 0.15914]),
    ((0..<60).map { 6 + 4 * $0 }, [27.5, 405.49, 47.461, 0.051552]),
    (Array(repeating: 1_000, count: 12), [8.5, 339.34, 66.238, 0.015541]),
  ])
  func `ways and shots are distributed as an independent computation has them`(counts: [Int], means: [Double]) throws {
    let sampler = try sampler([pool("p", counts)])
    let episodes = (0..<5_000).map(sampler.episode)
    func mean(_ value: (Episode) -> Double) -> Double { episodes.map(value).reduce(0, +) / Double(episodes.count) }
    #expect(abs(mean { Double($0.ways) } / means[0] - 1) < 0.02)
    #expect(abs(mean { Double($0.supportExamples.count) } / means[1] - 1) < 0.02)
    #expect(abs(mean { Double($0.support.map(\.count).max() ?? 0) } / means[2] - 1) < 0.02)
    let single = mean { Double($0.support.filter { $0.count == 1 }.count) / Double($0.ways) }
    #expect(abs(single - means[3]) < 0.008)
  }

  @Test func `classes of equal size share one size of the support set`() throws {
    for seed in 0..<200 {
      var generator = Xoshiro256(seed: UInt64(seed))
      var copy = generator
      let beta = copy.uniform()
      let counts = Array(repeating: 60, count: 8)
      let (shots, queries) = EpisodeSampler.sizes(of: counts, .metaDataset, from: &generator)
      let size = min(500, 8 * (Int(beta * 50) + 1))
      #expect(queries == 10 && shots.reduce(0, +) <= size)
      // Rounding down loses less than one of each class, unless some class had no more to give.
      #expect(shots.reduce(0, +) > size - 8 || shots.contains(50))
    }
  }

  @Test func `fixed episodes have the given numbers, of classes of one group`() throws {
    let groups = ClassHierarchy.groups([[0, 1, 2, 3], [4, 5, 6], [7, 8]])
    let sampler = try sampler(
      [pool("p", Array(repeating: 9, count: 9), hierarchy: groups)], .fixed(ways: 3, shots: 2, queries: 7))
    var seen: Set<Int> = []
    for number in 0..<500 {
      let episode = sampler.episode(number)
      #expect(episode.support.map(\.count) == [2, 2, 2] && episode.query.map(\.count) == [7, 7, 7])
      #expect(episode.supportLabels == [0, 0, 1, 1, 2, 2])
      #expect(Set(episode.classes).isSubset(of: [0, 1, 2, 3]) || Set(episode.classes) == [4, 5, 6])
      seen.formUnion(episode.classes)
    }
    #expect(seen == Set(0...6))
    // What no episode has is listed.
    #expect(sampler.leftOut.map(\.name) == ["p-7", "p-8"] && sampler.leftOut.map(\.examples) == [9, 9])
  }

  @Test func `every example of a class is as likely to be learned from as any other`() throws {
    let sampler = try sampler([pool("p", [6, 6])], .fixed(ways: 2, shots: 2, queries: 1))
    var support = Array(repeating: 0, count: 12)
    var query = support
    for number in 0..<12_000 {
      let episode = sampler.episode(number)
      for example in episode.supportExamples { support[example] += 1 }
      for example in episode.queryExamples { query[example] += 1 }
    }
    #expect(support.allSatisfy { abs($0 - 4_000) < 250 } && query.allSatisfy { abs($0 - 2_000) < 200 })
  }

  @Test func `an episode depends on the seed and its number alone`() throws {
    let pools = [pool("a", unequal), pool("b", Array(repeating: 12, count: 9), start: 10_000)]
    let (first, second) = (try sampler(pools), try sampler(pools))
    let forward = (0..<50).map(first.episode)
    #expect(forward == (0..<50).reversed().map(second.episode).reversed())
    #expect(Set(forward).count == 50)
    #expect(try sampler(pools, seed: 8).episode(0) != forward[0])
    // The draws themselves: a change of the algorithm would change what old seeds mean.
    let fixed = try sampler([pools[1]], .fixed(ways: 3, shots: 1, queries: 1), seed: 1).episode(12)
    #expect(fixed.classes == [5, 2, 8])
    #expect(fixed.supportExamples == [10060, 10033, 10098])
    #expect(fixed.queryExamples == [10063, 10031, 10106])
  }

  @Test func `a plan's batch is the support, then the query`() throws {
    let sampler = try sampler([pool("p", Array(repeating: 30, count: 8))])
    let plan = EpisodePlan(sampler)
    let episode = sampler.episode(3)
    #expect(plan.samples(atStep: 3) == episode.support.flatMap { $0 } + episode.query.flatMap { $0 })
  }

  // MARK: What cannot be drawn

  private func error(
    _ pools: [EpisodePool], _ settings: EpisodeSettings = .metaDataset, leavingOut: Bool = false
  ) -> EpisodeError? {
    #expect(throws: EpisodeError.self) {
      _ = try EpisodeSampler(pools, settings: settings, seed: 0, leavingOutSmallClasses: leavingOut)
    }
  }

  @Test func `settings out of their range are refused, by name`() {
    let any = [pool("p", Array(repeating: 30, count: 60))]
    func message(_ settings: EpisodeSettings) -> String { error(any, settings)?.description ?? "" }
    #expect(message(.fixed(ways: 1, shots: 1, queries: 1)).hasPrefix("An episode's ways cannot be 1. Give 2 to"))
    #expect(message(.fixed(ways: 5, shots: 0, queries: 1)).contains("shots cannot be 0"))
    #expect(message(.fixed(ways: 5, shots: 1, queries: 0)).contains("queries cannot be 0"))
    #expect(message(.fixed(ways: 5, shots: .max, queries: 1)).contains("shots cannot be"))
    #expect(
      message(.variable(.init(ways: 5...40, maximumSupport: 39))).contains("maximum_support cannot be 39. Give 40"))
    #expect(message(.variable(.init(ways: 5...40, maximumQueries: 0))).contains("maximum_queries"))
    var backward = VariableEpisodes()
    backward.maximumWays = 4
    #expect(message(.variable(backward)).contains("maximum_ways cannot be 4. Give 5"))
  }

  @Test func `pools that give no episode are refused, with their names`() {
    #expect(error([]) == .noPools)
    #expect(error([pool("p", [])]) == .noClasses(pool: "p"))
    #expect(error([pool("p", [30])]) == .tooFewClasses(pool: "p", classes: 1, leftOut: 0, ways: 5))
    #expect(
      error([pool("p", [30])])?.description == """
        Data set 'p' has 1 class, fewer than the 5 of an episode. Ask for fewer ways, or leave the data set out.
        """)
    let twice = [pool("p", [9, 9, 9, 9, 9]), pool("p", [9, 9, 9, 9, 9])]
    #expect(error(twice) == .repeatedPool("p"))
  }

  @Test func `classes with too few examples are named, or left out and listed`() throws {
    let mixed = pool("p", [9, 1, 9, 0, 9, 9, 9])
    #expect(
      error([mixed])
        == .smallClasses([.init(name: "p-1", examples: 1), .init(name: "p-3", examples: 0)], pool: "p", needed: 2))
    #expect(error([mixed])?.description.contains("'p-1' (1), 'p-3' (0)") == true)
    #expect(error([mixed], .fixed(ways: 2, shots: 5, queries: 5))?.description.hasPrefix("7 of the classes") == true)
    let sampler = try EpisodeSampler([mixed], settings: .metaDataset, seed: 0, leavingOutSmallClasses: true)
    #expect(sampler.leftOut.map(\.name) == ["p-1", "p-3"] && sampler.leftOut.map(\.examples) == [1, 0])
    #expect((0..<50).allSatisfy { Set(sampler.episode($0).classes) == [0, 2, 4, 5, 6] })
    // Within groups too: of the second only two classes are left, too few.
    let groups = ClassHierarchy.groups([[0, 1, 2], [3, 4, 5], [2, 4, 6]])
    let grouped = try EpisodeSampler(
      [pool("p", [9, 1, 9, 0, 9, 9, 9], hierarchy: groups)], settings: .fixed(ways: 3, shots: 1, queries: 1), seed: 0,
      leavingOutSmallClasses: true)
    #expect((0..<50).allSatisfy { Set(grouped.episode($0).classes) == [2, 4, 6] })
    #expect(grouped.leftOut.map(\.name) == ["p-0", "p-1", "p-3", "p-5"])
    let few = pool("p", [9, 1, 9])
    #expect(
      error([few], .fixed(ways: 3, shots: 1, queries: 1), leavingOut: true)
        == .tooFewClasses(pool: "p", classes: 2, leftOut: 1, ways: 3))
  }

  @Test func `a hierarchy that gives no episode is refused`() {
    let counts = Array(repeating: 9, count: 8)
    #expect(
      error([pool("p", counts, hierarchy: .groups([[0, 1, 2, 3], [4, 5, 6, 7]]))])
        == .noGroup(pool: "p", largest: 4, ways: 5, maximumSpan: nil))
    #expect(
      error([pool("p", Array(repeating: 9, count: 400), hierarchy: .nodes([Array(0..<400)]))])
        == .noGroup(pool: "p", largest: 400, ways: 5, maximumSpan: 392))
    #expect(
      error([pool("p", counts, hierarchy: .groups([[0, 1, 2, 3, 4, 5, 6, 8]]))])
        == .unknownClass(8, pool: "p", classes: 8))
    #expect(
      error([pool("p", counts, hierarchy: .groups([[0, 1, 2, 3, 4, 5]]))])
        == .ungroupedClasses(["p-6", "p-7"], pool: "p"))
  }

  @Test func `an example that could be learned from and asked about is refused`() {
    let classes = (0..<5).map { EpisodePool.Class(name: "\($0)", examples: [$0 * 2, $0 * 2 + 1]) }
    let twice = EpisodePool(name: "p", classes: classes + [.init(name: "5", examples: [20, 20])])
    #expect(error([twice]) == .repeatedExample(20, pool: "p", first: "5", second: "5"))
    let shared = EpisodePool(name: "p", classes: classes + [.init(name: "5", examples: [20, 3])])
    #expect(error([shared]) == .repeatedExample(3, pool: "p", first: "1", second: "5"))
  }
}
