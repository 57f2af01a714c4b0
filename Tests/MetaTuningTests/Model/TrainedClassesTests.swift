import Datasets
import Testing

@testable import MetaTuning

@Suite struct TrainedClassesTests {
  /// A pool of classes that have four examples each, unless a name ends in `!`: then one.
  private func pool(_ name: String, _ classes: String...) -> EpisodePool {
    EpisodePool(
      name: name,
      classes: classes.enumerated().map { place, name in
        .init(name: name, examples: Array(10 * place..<10 * place + (name.hasSuffix("!") ? 1 : 4)))
      })
  }

  private func sampler(_ pools: EpisodePool...) throws -> EpisodeSampler {
    try EpisodeSampler(
      pools, settings: .fixed(ways: 2, shots: 1, queries: 1), seed: 0, leavingOutSmallClasses: true)
  }

  @Test func `classes are recorded by data set, without those that no episode has`() throws {
    let classes = try TrainedClasses(
      training: sampler(pool("scripts", "b", "a", "small!"), pool("birds", "jay", "tit")),
      validation: [sampler(pool("scripts", "d", "c")), sampler(pool("digits", "0", "1"))])
    #expect(classes.datasets.map(\.name) == ["birds", "digits", "scripts"])
    #expect(classes.datasets.map(\.training) == [["jay", "tit"], [], ["a", "b"]])
    #expect(classes.datasets.map(\.validation) == [[], ["0", "1"], ["c", "d"]])
    // What only chose the state was not trained on.
    #expect(classes.inDomain == ["birds", "scripts"])
  }

  @Test func `what was trained on or chosen by is seen, in the data set of the name alone`() throws {
    let classes = try TrainedClasses(
      training: sampler(pool("scripts", "a", "b")), validation: [sampler(pool("scripts", "c", "d"))])
    #expect(classes.seen(in: pool("scripts", "e", "d", "a")) == ["d", "a"])
    #expect(classes.seen(in: pool("scripts", "e", "f")) == [])
    #expect(classes.seen(in: pool("letters", "a", "b")) == [])
  }

  @Test func `a model that trained twice has seen both`() throws {
    let first = try TrainedClasses(training: sampler(pool("scripts", "a", "b")))
    let second = try TrainedClasses(
      training: sampler(pool("scripts", "b", "c")), validation: [sampler(pool("birds", "jay", "tit"))])
    let both = first.union(second)
    #expect(both == second.union(first) && first.union(nil) == first)
    #expect(both.datasets.map(\.training) == [[], ["a", "b", "c"]])
    #expect(both.datasets.map(\.validation) == [["jay", "tit"], []])
  }
}
