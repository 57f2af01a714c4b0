import Datasets
import Testing

@testable import MetaTuning

func makeResult(_ name: String, _ accuracies: [String: [Double]], digest: String = "d", mode: String = "gradient-free")
  -> MetaTestResult
{
  MetaTestResult(
    name: name, mode: mode, rates: nil, scale: 1, settings: .fixed(ways: 5, shots: 1, queries: 15), episodes: 4,
    seed: 3, digest: digest,
    datasets: accuracies.sorted { $0.key < $1.key }.map { name, values in
      var dataset = MetaTestResult.Dataset(name: name, isInDomain: name.hasPrefix("in"))
      dataset.accuracies = values
      return dataset
    })
}

@Suite struct MetaTestResultTests {
  private let first = makeResult(
    "a", ["in1": [0, 1, 1, 0], "in2": [0.5, 0.5, 0.5, 0.5], "out": [0.2, 0.4, 0.6, 0.8]])
  private let second = makeResult(
    "b", ["in1": [0, 0, 0, 0], "in2": [0.5, 0.4, 0.5, 0.4], "out": [0.1, 0.3, 0.5, 0.7]])

  @Test func `an interval is 1.96 s/√n with the deviation of the sample`() throws {
    // s² = 1/3 for 0, 1, 1, 0.
    let half = try #require(first.datasets[0].halfWidth)
    #expect(first.datasets[0].mean == 0.5)
    #expect(abs(half - 1.96 * (1.0 / 3).squareRoot() / 2) < 1e-12)
    #expect(first.datasets[1].halfWidth == 0)
    #expect(makeResult("c", ["out": [0.5]]).datasets[0].halfWidth == nil)
  }

  @Test func `means are over data sets, apart for those that training knew`() throws {
    let inside = try #require(first.inDomain)
    #expect(inside.mean == 0.5 && inside.datasets == 2)
    #expect(abs(try #require(inside.halfWidth) - 1.96 * (1.0 / 3).squareRoot() / 4) < 1e-12)
    #expect(try #require(first.outOfDomain).mean == 0.5)
    #expect(makeResult("c", ["out": [0.5]]).inDomain == nil)
  }

  @Test func `differences are taken episode by episode`() throws {
    let differences = try first.difference(from: second)
    #expect(differences.map(\.name) == ["in1", "in2", "ID mean", "out", "OOD mean"])
    for (difference, expected) in zip(differences, [0.5, 0.05, 0.275, 0.1, 0.1]) {
      #expect(abs(difference.mean - expected) < 1e-12)
    }
    // What both rows find hard falls out: the difference of "out" is the same in every episode.
    #expect(try #require(differences[3].halfWidth) < 1e-12)
    #expect(try #require(first.datasets[2].halfWidth) > 0.2)
    #expect(throws: MetaTestTableError.otherEpisodes("a", "b")) {
      try first.difference(from: makeResult("b", ["in1": [1], "in2": [1], "out": [1]], digest: "e"))
    }
  }

  @Test func `rows of networks that were not meta-tuned have one mean, unless data sets are said to be in domain`() {
    var frozen = makeResult("Frozen", ["out1": [0.5], "out2": [0.7]])
    frozen.isMetaTuned = false
    #expect(MetaTestResult.groups(of: [frozen]) == [.init(name: "Mean", members: [0, 1])])
    #expect(abs((frozen.mean(over: MetaTestResult.groups(of: [frozen])[0])?.mean ?? 0) - 0.6) < 1e-12)
    var tuned = frozen
    tuned.isMetaTuned = true
    #expect(MetaTestResult.groups(of: [frozen, tuned]) == [.init(name: "OOD mean", members: [0, 1])])
    frozen.datasets[1].isInDomain = true
    #expect(
      MetaTestResult.groups(of: [frozen]) == [
        .init(name: "ID mean", members: [1]), .init(name: "OOD mean", members: [0]),
      ])
  }

  @Test func `the mean mixing is over episodes`() {
    var dataset = MetaTestResult.Dataset(name: "x", isInDomain: true)
    dataset.add(.init(accuracy: 1, mixing: [0.25, 0.75]))
    dataset.add(.init(accuracy: 0, mixing: [0.75, 0.25], rate: 0.1, diverged: true))
    dataset.add(.init(accuracy: 0.5, mixing: [0.8, 0.2], unsearched: true))
    #expect(abs(dataset.meanMixing[0] - 0.6) < 1e-12 && abs(dataset.meanMixing[1] - 0.4) < 1e-12)
    #expect(dataset.mean == 0.5 && dataset.diverged == 1 && dataset.unsearched == 1)
  }
}
