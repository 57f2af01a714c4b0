import Formats
import Testing

@testable import Reports

@Suite struct TaskTableTests {
  private func table() throws -> TaskTable {
    let groups = try TaskGroups([.init("Natural", ["cats", "dogs"]), .init("Structured", ["count"])])
    return TaskTable(
      title: "zoo", groups: groups,
      rows: [
        .init(
          label: "LoRA", parameters: 1_024,
          accuracies: ["cats": [0: 0.80, 1: 0.90], "dogs": [0: 0.60, 1: 0.70], "count": [0: 0.50, 1: 0.30]],
          groups: groups),
        .init(
          label: "Full|all", accuracies: ["cats": [0: 0.8], "dogs": [0: 0.7, 1: 0.9], "count": [:]], groups: groups),
      ], expectedSeeds: 2)
  }

  @Test func `groups and score, then every task`() throws {
    #expect(
      try table().plainText == """
        zoo

        Method    Parameters     Natural   Structured        Mean       Score
        ---------------------------------------------------------------------
        LoRA            1024  75.0 ± 5.0  40.0 ± 10.0  63.3 ± 0.0  57.5 ± 2.5
        Full|all           -  80.0 (1/2)            X           X           X

        zoo, every task

        Method          cats         dogs        count
        ----------------------------------------------
        LoRA      85.0 ± 5.0   65.0 ± 5.0  40.0 ± 10.0
        Full|all  80.0 (1/2)  80.0 ± 10.0            X

        """)
  }

  @Test func `the error of a mean is that of the seeds' means`() throws {
    let row = try table().rows[0]
    // Seed 0: (0.7 + 0.5) / 2, seed 1: (0.8 + 0.3) / 2.
    let score = try #require(row.score)
    #expect(abs(score.mean - 0.575) < 1e-12 && score.trials == 2)
    #expect(abs(try #require(score.standardError) - 0.025) < 1e-12)
    // The sample's: (0.1 / √2) / √2.
    #expect(abs(try #require(row.cells[0]?.standardError) - 0.05) < 1e-12)
  }

  @Test func `Markdown and JSON`() throws {
    let table = try table()
    #expect(table.markdown.contains("| LoRA | 1024 | 75.0 ± 5.0 | 40.0 ± 10.0 | 63.3 ± 0.0 | 57.5 ± 2.5 |"))
    #expect(table.markdown.contains(#"| Full\|all |"#))
    #expect(table.json["rows"]?[1]?["score"] == .null)
    #expect(table.json["rows"]?[0]?["parameters"] == 1024)
    #expect(table.json["groups"]?[1] == ["name": "Structured", "tasks": ["count"]])
  }
}
