import Formats
import Foundation
import Testing

@testable import Studies

@Suite struct FewShotReportTests {
  private func result(_ mixings: [String: [[Double]]]) -> FewShotResult {
    FewShotResult(
      digest: "", validation: [],
      tests: mixings.sorted { $0.key < $1.key }.map {
        .init(dataset: $0.key, scale: 1, accuracies: $0.value.map { _ in 1 }, mixings: $0.value)
      }, experts: nil, seconds: 0)
  }

  @Test func `data sets that mix alike are not told apart, and those that do not are`() throws {
    let alike = (0..<20).map { number -> [Double] in
      let first = Double(number % 5) / 10
      return [first, 1 - first]
    }
    let same = try #require(FewShotReport.permutationTest(result(["a": alike, "b": alike]), seed: 1))
    #expect(same == 1)
    let apart = try #require(
      FewShotReport.permutationTest(
        result(["a": alike, "b": alike.map { mixing -> [Double] in [mixing[0] + 0.5, mixing[1] - 0.5] }]), seed: 1))
    // No relabelling of 40 episodes in a thousand comes as far: the true labels alone count.
    #expect(apart == 0.001)
  }

  @Test func `one data set or one expert has nothing to tell apart`() {
    let alike = (0..<5).map { _ in [0.5, 0.5] }
    #expect(FewShotReport.permutationTest(result(["a": alike]), seed: 1) == nil)
    #expect(FewShotReport.permutationTest(result(["a": [[1]], "b": [[1]]]), seed: 1) == nil)
    #expect(FewShotReport.permutationTest(result(["a": [], "b": []]), seed: 1) == nil)
  }

  // MARK: Rows

  /// A run on a data set seen and one unseen, two episodes each.
  private func measured(
    _ method: String, rate: Double?, seed: UInt64 = 0, validation: Double, seen: [Double], unseen: [Double],
    overlaps: [Double]? = nil
  ) throws -> (run: FewShotRun, result: FewShotResult) {
    let run = try FewShotRun(
      rate == nil ? .frozen : .tuning, backbone: "net", method: method, rate: rate, seed: seed, others: [:])
    return (
      run,
      FewShotResult(
        digest: "", validation: [.init(scale: 1, accuracy: validation)],
        tests: [
          .init(dataset: "a", scale: 1, accuracies: seen, mixings: []),
          .init(dataset: "b", scale: 1, accuracies: unseen, mixings: []),
        ],
        experts: overlaps.map { .init(sparsity: [0.9], union: 0.1, overlaps: $0, between: 0, multipliers: [0]) },
        seconds: 1)
    )
  }

  private func report(_ measured: [(run: FewShotRun, result: FewShotResult)]) -> FewShotReport {
    FewShotReport(seen: ["a"], unseen: ["b"], episodes: 2, reference: "PMF", measured: measured)
  }

  @Test func `rates are chosen by validation classes, whatever the test says`() throws {
    let report = report([
      try measured("", rate: nil, validation: 0.3, seen: [0.3, 0.3], unseen: [0.3, 0.3]),
      try measured("PMF", rate: 0.1, validation: 0.6, seen: [0.5, 0.5], unseen: [0.2, 0.2]),
      try measured("PMF", rate: 1, validation: 0.5, seen: [0.9, 0.9], unseen: [0.9, 0.9]),
    ])
    #expect(report.chosen.map(\.method) == ["", "PMF"])
    #expect(report.chosen.map(\.rate) == [nil, 0.1])
  }

  @Test func `a method is compared with the reference at its rate, episode by episode, seed by seed`() throws {
    let report = report([
      try measured("PMF", rate: 1, seed: 0, validation: 0, seen: [0.5, 0.5], unseen: [0, 0.5]),
      try measured("PMF", rate: 1, seed: 1, validation: 0, seen: [0.5, 0.5], unseen: [0, 0]),
      try measured("PMF", rate: 2, seed: 0, validation: 0, seen: [0, 0], unseen: [0, 0]),
      try measured(
        "SMAT", rate: 1, seed: 0, validation: 0, seen: [0.5, 1], unseen: [0.5, 1], overlaps: [0.25, 0.75]),
      try measured("SMAT", rate: 1, seed: 1, validation: 0, seen: [0.5, 0.5], unseen: [0.25, 0.25], overlaps: [0.5]),
    ])
    let comparison = try #require(report.comparisons.first)
    #expect(report.comparisons.count == 1 && comparison.rate == 1)
    #expect(comparison.unseen.mean == 0.375 && comparison.unseen.seeds == [0.5, 0.25])
    #expect(comparison.seen.seeds == [0.25, 0])
    // Of .5, .5, .25, .25: deviation √(1/48), t of 3 degrees of freedom.
    let interval = try #require(comparison.unseen.interval)
    #expect(abs(interval.upperBound - 0.375 - 3.1824 * (1.0 / 48).squareRoot() / 2) < 1e-9)
    let row = try #require(report.rows.first { $0.method == "SMAT" })
    #expect(row.unseen.mean == 0.5 && row.unseen.standardError == 0.25 && row.seeds == [0, 1])
    let experts = try #require(report.experts.first)
    #expect(experts.overlap == 0.5 && experts.overlaps == 0.25...0.75)
    let chance = try #require(experts.chance)
    #expect(abs(chance - 0.1 / 1.9) < 1e-12)
  }

  @Test func `one expert overlaps with none`() throws {
    let report = report([
      try measured("PMF", rate: 1, validation: 0, seen: [0, 0], unseen: [0, 0]),
      try measured("Single", rate: 1, validation: 0, seen: [0, 0], unseen: [0, 0], overlaps: []),
    ])
    let experts = try #require(report.experts.first)
    #expect(experts.overlap == nil && experts.overlaps == nil && experts.chance == nil)
    #expect(report.markdown.contains("0.900 to 0.900 | 0.100 | - | - | - | 0.000"))
  }
}
