import Foundation
import Testing

@testable import Reports

@Suite struct RoutingStatisticsTests {
  /// Two experts, two domains; "photo" comes in two batches.
  func makeStatistics() throws -> RoutingStatistics {
    var statistics = RoutingStatistics()
    try statistics.accumulate(
      layer: "blocks.0", domain: "photo", expertCounts: [4, 1], gateSums: [3.6, 1.4], tokens: 5)
    try statistics.accumulate(
      layer: "blocks.0", domain: "photo", expertCounts: [2, 1], gateSums: [2.0, 1.0], tokens: 3)
    try statistics.accumulate(
      layer: "blocks.0", domain: "sketch", expertCounts: [1, 3], gateSums: [1.0, 3.0], tokens: 4)
    return statistics
  }

  @Test func `load, mean gate, entropy and CV² of one domain`() throws {
    let photo = try #require(try makeStatistics().routing(layer: "blocks.0", domain: "photo"))
    #expect(photo.tokens == 8)
    #expect(photo.counts == [6, 2])
    #expect(photo.load == [0.75, 0.25])
    #expect(photo.meanGate[0].isClose(to: 0.7))
    #expect(photo.meanGate[1].isClose(to: 0.3))
    // −0.7 log₂ 0.7 − 0.3 log₂ 0.3
    #expect(photo.entropy.isClose(to: 0.8812908992306927))
    // Counts 6 and 2: mean 4, unbiased variance 8.
    #expect(photo.squaredVariation.isClose(to: 0.5, within: 1e-9))
  }

  @Test func `a layer over all its domains`() throws {
    let all = try #require(try makeStatistics().routing(layer: "blocks.0"))
    #expect(all.counts == [7, 5])
    #expect(all.tokens == 12)
    #expect(all.meanGate[0].isClose(to: 6.6 / 12))
    #expect(try makeStatistics().routing(layer: "blocks.1") == nil)
    #expect(try makeStatistics().routing(layer: "blocks.0", domain: "cartoon") == nil)
  }

  @Test func `mutual information of expert and domain`() throws {
    // Worked out from the joint table (6 2; 1 3)/12, and from (6/8 2/8; 1/4 3/4)/2.
    let statistics = try makeStatistics()
    #expect(try #require(statistics.mutualInformation(layer: "blocks.0")).isClose(to: 0.1685906321920198))
    #expect(
      try #require(statistics.mutualInformation(layer: "blocks.0", weights: .equal)).isClose(to: 0.18872187554086717))
    #expect(statistics.mutualInformation(layer: "blocks.1") == nil)
  }

  @Test(arguments: [
    ([10, 0], [0, 10], 1.0),  // the expert tells the domain: one bit
    ([10, 0], [30, 0], 0.0),  // collapsed: nothing
    ([3, 9], [1, 3], 0.0),  // routed alike
  ])
  func `mutual information at its ends`(first: [Int], second: [Int], bits: Double) throws {
    var statistics = RoutingStatistics()
    for (domain, counts) in [("a", first), ("b", second)] {
      try statistics.accumulate(layer: "l", domain: domain, expertCounts: counts, gateSums: [1, 1], tokens: 40)
    }
    #expect(try #require(statistics.mutualInformation(layer: "l")).isClose(to: bits))
  }

  @Test func `balanced experts have full entropy and no variation, collapsed ones none and all`() throws {
    var statistics = RoutingStatistics()
    try statistics.accumulate(
      layer: "even", domain: "d", expertCounts: [5, 5, 5, 5], gateSums: [5, 5, 5, 5], tokens: 20)
    try statistics.accumulate(
      layer: "collapsed", domain: "d", expertCounts: [20, 0, 0, 0], gateSums: [20, 0, 0, 0], tokens: 20)
    let even = try #require(statistics.routing(layer: "even"))
    #expect(even.entropy == 2)
    #expect(even.squaredVariation == 0)
    let collapsed = try #require(statistics.routing(layer: "collapsed"))
    #expect(collapsed.entropy == 0)
    #expect(collapsed.squaredVariation.isClose(to: 4, within: 1e-9))
  }

  @Test func `with two experts per token the loads still sum to one`() throws {
    var statistics = RoutingStatistics()
    try statistics.accumulate(layer: "l", domain: "d", expertCounts: [4, 3, 1], gateSums: [2, 1, 1], tokens: 4)
    #expect(statistics.routing(layer: "l")?.load == [0.5, 0.375, 0.125])
  }

  @Test func `a single expert and no tokens give zeros, not NaN`() throws {
    var statistics = RoutingStatistics()
    try statistics.accumulate(layer: "one", domain: "d", expertCounts: [7], gateSums: [7], tokens: 7)
    try statistics.accumulate(layer: "none", domain: "d", expertCounts: [0, 0], gateSums: [0, 0], tokens: 0)
    #expect(statistics.routing(layer: "one")?.squaredVariation == 0)
    let none = try #require(statistics.routing(layer: "none"))
    #expect(none.load == [0, 0])
    #expect(none.meanGate == [0, 0])
    #expect(none.entropy == 0)
    #expect(statistics.mutualInformation(layer: "none") == nil)
  }

  @Test func `merging halves gives the whole`() throws {
    var first = RoutingStatistics()
    try first.accumulate(layer: "blocks.0", domain: "photo", expertCounts: [4, 1], gateSums: [3.6, 1.4], tokens: 5)
    var second = RoutingStatistics()
    try second.accumulate(layer: "blocks.0", domain: "photo", expertCounts: [2, 1], gateSums: [2.0, 1.0], tokens: 3)
    try second.accumulate(layer: "blocks.0", domain: "sketch", expertCounts: [1, 3], gateSums: [1.0, 3.0], tokens: 4)
    try first.merge(second)
    #expect(try first == makeStatistics())
  }

  @Test func `the sums survive JSON`() throws {
    let statistics = try makeStatistics()
    let data = try JSONEncoder().encode(statistics)
    #expect(try JSONDecoder().decode(RoutingStatistics.self, from: data) == statistics)
  }

  @Test func `impossible batches are refused, and nothing is added`() throws {
    var statistics = try makeStatistics()
    let before = statistics
    #expect(throws: RoutingError.expertCountDiffers(layer: "blocks.0", counts: 3, gates: 3, expected: 2)) {
      try statistics.accumulate(
        layer: "blocks.0", domain: "new", expertCounts: [1, 1, 1], gateSums: [1, 1, 1], tokens: 3)
    }
    #expect(throws: RoutingError.impossibleCounts(layer: "l", domain: "d", counts: [4, 0], tokens: 3)) {
      try statistics.accumulate(layer: "l", domain: "d", expertCounts: [4, 0], gateSums: [1, 1], tokens: 3)
    }
    #expect(throws: RoutingError.invalidGates(layer: "l", domain: "d")) {
      try statistics.accumulate(layer: "l", domain: "d", expertCounts: [1, 0], gateSums: [.nan, 1], tokens: 3)
    }
    #expect(throws: RoutingError.tooManyTokens(layer: "blocks.0", domain: "photo")) {
      try statistics.accumulate(
        layer: "blocks.0", domain: "photo", expertCounts: [.max, 0], gateSums: [1, 1], tokens: .max)
    }
    #expect(statistics == before)
    #expect(throws: RoutingError.self) {
      try JSONDecoder().decode(
        RoutingStatistics.self,
        from: Data(#"[{"layer":"l","domain":"d","expert_counts":[-1],"gate_sums":[1],"tokens":3}]"#.utf8))
    }
  }

  @Test func `the report says everything in JSON`() throws {
    var statistics = RoutingStatistics()
    try statistics.accumulate(layer: "blocks.0", domain: "a", expertCounts: [4, 0], gateSums: [2, 2], tokens: 4)
    try statistics.accumulate(layer: "blocks.0", domain: "b", expertCounts: [0, 4], gateSums: [2, 2], tokens: 4)
    let report = RoutingReport(statistics)
    #expect(report.layers.map(\.mutualInformation) == [1])
    #expect(report.layers.first?.domains.map(\.routing.load) == [[1, 0], [0, 1]])
    let json = try report.json()
    let read = try JSONDecoder().decode(RoutingReport.self, from: Data(json.utf8))
    #expect(read == report)
    #expect(json.contains(#""mutual_information_bits" : 1"#))
    #expect(json.contains(#""layer" : "blocks.0""#))
  }
}
