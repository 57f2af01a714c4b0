import Formats
import Mixing
import Testing

@testable import Studies

@Suite struct StudyReportTests {
  /// Two domains of ten test texts each; the mixture loses 2 of 8 and 1 of 5.
  private func makeCell(seed: UInt64, mixed: [Int] = [6, 4], signs: Double = 0.25) -> StudyReport.Cell {
    func record(_ members: [Int], _ correct: [Int], _ value: Double) -> MixtureRecord {
      MixtureRecord(
        members: members, correct: correct,
        signs: .init(
          pairwise: value, any: value, minority: value, pairwiseDelta: 2 * value, anyDelta: 0, minorityDelta: 0))
    }
    return StudyReport.Cell(
      seed: seed, mixtures: [record([0], [8], 0), record([1], [5], 0), record([0, 1], mixed, signs)])
  }

  private func makeReport(_ cells: [StudyReport.Cell]) throws -> StudyReport {
    try StudyReport(
      domains: ["news", "mail"], testCounts: [10, 10], kinds: [("LoRA", 64, .delta)], cells: ["LoRA": cells],
      chosen: Set(MixtureSets.all.sets(of: 2)), similarities: [[1, 0.5], [0.5, 1]], randomOrders: 2)
  }

  @Test func `accuracies are averaged over sets and members, and divided by the member's own`() throws {
    let kind = try makeReport([makeCell(seed: 0)]).kinds[0]
    #expect(kind.single.map(\.mean) == [0.8, 0.5])
    let (one, two) = (kind.sizes[0], kind.sizes[1])
    #expect(abs(one.accuracy.mean - 0.65) < 1e-12 && one.relative.mean == 1)
    #expect(two.measured == 2)
    #expect(abs(two.accuracy.mean - 0.5) < 1e-12)
    #expect(two.minimum == 0.4 && two.maximum == 0.6)
    #expect(abs(two.deviation - 0.1) < 1e-12)
    // 0.6 / 0.8 and 0.4 / 0.5.
    #expect(abs(two.relative.mean - 0.775) < 1e-12)
    #expect(abs(two.relativeMinimum - 0.75) < 1e-12 && abs(two.relativeMaximum - 0.8) < 1e-12)
  }

  @Test func `the standard error is that of the seeds' means`() throws {
    let kind = try makeReport([makeCell(seed: 0), makeCell(seed: 1, mixed: [8, 4])]).kinds[0]
    // Means of 0.5 and 0.6: s = 0.1/√2, divided by √2.
    #expect(abs(kind.sizes[1].accuracy.mean - 0.55) < 1e-12)
    #expect(abs((kind.sizes[1].accuracy.standardError ?? 0) - 0.05) < 1e-12)
    #expect(kind.sizes[0].accuracy.standardError == 0)
    #expect(kind.seeds == [0, 1])
    #expect(kind.pairs == [[0, 0.25], [0.25, 0]] && kind.pairsDelta[0][1] == 0.5)
  }

  @Test func `a seed that is not complete is in no number`() throws {
    var partial = makeCell(seed: 1, mixed: [0, 0])
    partial.isComplete = false
    let kind = try makeReport([makeCell(seed: 0), partial]).kinds[0]
    #expect(kind.seeds == [0])
    #expect(abs(kind.sizes[1].accuracy.mean - 0.5) < 1e-12)
    #expect(try makeReport([]).kinds[0].sizes.isEmpty)
  }

  @Test func `signs that go against accuracy correlate negatively, also within sizes`() throws {
    // Three pairs of three domains: the more sign difference, the less accuracy; and less with all three.
    let signs = [[0, 1]: 0.1, [0, 2]: 0.2, [1, 2]: 0.3, [0, 1, 2]: 0.2]
    let correct = [[0, 1]: [9, 9], [0, 2]: [8, 8], [1, 2]: [7, 7], [0, 1, 2]: [6, 6, 6]]
    var cell = StudyReport.Cell(seed: 0)
    for set in MixtureSets.all.sets(of: 3) {
      let members = set.members
      let value = signs[members] ?? 0
      cell.mixtures.append(
        MixtureRecord(
          members: members, correct: correct[members] ?? [10],
          signs: .init(
            pairwise: value, any: -value, minority: 0, pairwiseDelta: value, anyDelta: value, minorityDelta: value)))
    }
    let report = try StudyReport(
      domains: ["a", "b", "c"], testCounts: [10, 10, 10], kinds: [("LoRA", 1, .factors)], cells: ["LoRA": [cell]],
      chosen: Set(MixtureSets.all.sets(of: 3)), similarities: [], randomOrders: 1)
    let kind = report.kinds[0]
    func correlation(_ signs: StudyReport.Correlation.Signs) -> StudyReport.Correlation? {
      kind.correlations.first { $0.signs == signs }
    }
    #expect(abs((correlation(.pairwise)?.within[2]?.mean ?? 0) + 1) < 1e-12)
    #expect(abs((correlation(.any)?.within[2]?.mean ?? 0) - 1) < 1e-12)
    // Ranks 1, 2.5, 4, 2.5 of signs against 4, 3, 2, 1 of accuracies: −3 / √(4.5 · 5).
    #expect(abs((correlation(.pairwise)?.spearman?.mean ?? 0) + 3 / 22.5.squareRoot()) < 1e-12)
    // What does not vary correlates with nothing.
    #expect(correlation(.minority)?.spearman == nil && correlation(.minority)?.within.isEmpty == true)
    // Target 0: first 1 (0.1), then 2 (0.2); descending the other way round.
    let order = { (rule: String) in kind.orders.first { $0.rule == rule }?.accuracies.map { $0?.mean } }
    #expect(order("static")?[0] == 1)
    // Each target adds its nearest: 0 and 1 each other (0.9), 2 the domain 0 (0.8).
    #expect(abs((order("static")?[1] ?? 0) - (0.9 + 0.9 + 0.8) / 3) < 1e-12)
    #expect(abs((order("descending")?[1] ?? 0) - (0.8 + 0.7 + 0.7) / 3) < 1e-12)
    #expect(order("similarity") == nil)
  }

  @Test func `attacks are counted over domains`() throws {
    var cell = makeCell(seed: 0)
    cell.attacks = [
      AttackRecord(
        attack: "PWWS", members: [0], domain: 0, examples: 4, correct: 4, withstood: 1, queries: 40, changedWords: 3,
        words: 30),
      AttackRecord(
        attack: "PWWS", members: [1], domain: 1, examples: 4, correct: 2, withstood: 2, queries: 20, changedWords: 0,
        words: 0),
    ]
    let result = try #require(try makeReport([cell]).kinds[0].attacks.first)
    #expect(result.before.mean == 0.75 && result.after.mean == 0.375)
    #expect(result.queries == 7.5 && result.changed == 0.1)
  }

  @Test func `the tables say what they are of`() throws {
    let report = try makeReport([makeCell(seed: 0), makeCell(seed: 1, mixed: [8, 4])])
    let text = report.markdown
    #expect(text.contains("2 domains: news (10), mail (10)"))
    #expect(text.contains("| LoRA | 64 | delta | 2 | 80.0 ± 0.0 | 50.0 ± 0.0 |"))
    #expect(text.contains("| LoRA | 2 | 4 | 55.0 ± 5.0 | 40.0 | 80.0 |"))
    #expect(!text.contains("## Pruning"))
    #expect(report.json["kinds"]?[0]?["sizes"]?[1]?["accuracy"]?["standard_error"]?.double != nil)
  }
}
