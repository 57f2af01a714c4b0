import Formats
import Foundation
import Testing
import Training

@testable import MetaTuning

@Suite struct MetaTestTableTests {
  private func table() throws -> MetaTestTable {
    try MetaTestTable(
      title: "Accuracy",
      rows: [
        makeResult("Frozen", ["in": [0.5, 0.5, 0.5, 0.5], "out": [0.2, 0.4, 0.6, 0.8]]),
        makeResult("SMAT", ["in": [1, 1, 1, 1], "out": [0.3, 0.4, 0.5, 0.8]]),
      ])
  }

  @Test func `a table says what was measured and how`() throws {
    #expect(
      try table().markdown == """
        ## Accuracy

        | Row | in | ID mean | out | OOD mean |
        |---|---:|---:|---:|---:|
        | Frozen | 50.0 ± 0.0 | 50.0 ± 0.0 | 50.0 ± 25.3 | 50.0 ± 25.3 |
        | SMAT | 100.0 ± 0.0 | 100.0 ± 0.0 | 50.0 ± 21.2 | 50.0 ± 21.2 |

        4 episodes of each data set, seed 3, 5 ways, 1 shot, 15 queries a class; mean accuracy in per cent ± 1.96 s/√n over episodes.
        ID: data sets that were meta-tuned on, of other classes than these; OOD: the others.
        Nothing is tuned on a support: mode gradient-free.

        """)
  }

  @Test func `later rows are compared with the first`() throws {
    let text = try #require(try table().differences)
    #expect(text.hasPrefix("Difference from Frozen, the same episodes"))
    #expect(text.contains("SMAT  +50.0 ± 0.0  +50.0 ± 0.0  +0.0 ± 8.0  +0.0 ± 8.0"))
    #expect(
      try table().markdownDifferences == """
        ### Difference from Frozen, the same episodes

        | Row | in | ID mean | out | OOD mean |
        |---|---:|---:|---:|---:|
        | SMAT | +50.0 ± 0.0 | +50.0 ± 0.0 | +0.0 ± 8.0 | +0.0 ± 8.0 |

        """)
  }

  @Test func `a line of the file is a row on a data set`() throws {
    var rows = try table().rows
    rows[1].name = "SMAT, \"ours\""
    rows[1].datasets[1].diverged = 2
    rows[1].rates = "2 folds of each support"
    rows[1].rateFactor = 10
    let lines = try MetaTestTable(title: "", rows: rows).csv.split(separator: "\n")
    #expect(lines.count == 5)
    #expect(
      lines[0]
        == "row,mode,rates,rate_factor,scale,dataset,domain,accuracy,half_width,episodes,diverged,unsearched")
    #expect(lines[1] == "Frozen,gradient-free,,,1.0,in,in,0.5,0.0,4,0,0")
    let row = "\"SMAT, \"\"ours\"\"\",gradient-free,2 folds of each support,10.0,1.0"
    #expect(lines[3] == "\(row),in,in,1.0,0.0,4,0,0")
    #expect(lines[4].hasPrefix("\(row),out,out,0.5,0.21"))
    #expect(lines[4].hasSuffix(",4,2,0"))
  }

  @Test func `a table says what was tuned, where rates came from and which were chosen`() throws {
    func text(_ rates: String?, _ factor: Double?, of candidates: [Double] = []) throws -> String {
      var row = makeResult("SMAT", ["in": [1, 0, 1]])
      row.tuning = rates.map { _ in "all weights, 7 steps of adamw" }
      (row.rates, row.rateFactor, row.candidates) = (rates, factor, candidates)
      row.datasets[0].learningRates = [0, 1e-2, 1e-3]
      return try MetaTestTable(title: "", rows: [row]).text
    }
    let searched = try text("3 folds of each support", 10, of: [0, 1e-3, 1e-2])
    #expect(searched.contains("\nTuned on each support: all weights, 7 steps of adamw.\n"))
    #expect(
      searched.contains(
        "\nLearning rate of tuning: 3 folds of each support, of 0, 0.001, 0.01 (multiplied by 10).\n"))
    #expect(searched.hasSuffix("\nSMAT: rates from 0 to 0.01 were chosen, median 0.001.\n"))
    #expect(
      try text("3 folds of each support", 1, of: [0]).contains("tuning: 3 folds of each support, of 0.\n"))
    #expect(try text("fixed at 0.05", nil).hasSuffix("\nLearning rate of tuning: fixed at 0.05.\n"))
    #expect(try text(nil, nil).hasSuffix("\nNothing is tuned on a support: mode gradient-free.\n"))
  }

  @Test func `rows that were tuned in different ways are told apart`() throws {
    var (one, other) = (makeResult("SMAT", ["in": [1]], mode: "LoRA"), makeResult("SMAT", ["in": [1]], mode: "LoRA"))
    (one.tuning, other.tuning) = ("LoRA (rank 4)", "LoRA (rank 8)")
    let text = try MetaTestTable(title: "", rows: [one, other]).text
    #expect(text.contains("SMAT, LoRA (rank 4): Tuned on each support: LoRA (rank 4).\n"))
    #expect(text.contains("SMAT, LoRA (rank 8): Tuned on each support: LoRA (rank 8).\n"))
  }

  @Test func `without a meta-tuned row there is one mean, and no word of domains`() throws {
    var frozen = makeResult("Frozen", ["one": [0.5, 0.5], "two": [0.7, 0.7]])
    frozen.isMetaTuned = false
    let text = try MetaTestTable(title: "", rows: [frozen]).text
    #expect(text.contains("Row            one         two        Mean\n"), "\(text)")
    #expect(text.contains("50.0 ± 0.0  70.0 ± 0.0  60.0 ± 0.0\n") && !text.contains("ID"))
  }

  @Test func `JSON has what the table shows, under keys in snake case`() throws {
    var rows = try table().rows
    rows[1].datasets[0].mixings = [[0.25, 0.75]]
    let row = try #require(try MetaTestTable(title: "", rows: rows).json["rows"]?[1])
    #expect(row["id_mean"] == ["mean": 1.0, "half_width": 0.0, "datasets": 1])
    let half = try #require(rows[1].datasets[1].halfWidth)
    #expect(row["datasets"]?[1]?["half_width"]?.double == half && row["ood_mean"]?["half_width"]?.double == half)
    #expect(row["mean"]?["mean"]?.double == 0.75)
    #expect(row["datasets"]?[0]?["mean_mixing"] == [0.25, 0.75] && row["datasets"]?[0]?["in_domain"] == true)
    func keys(_ value: JSONValue) -> [String] {
      (value.object?.members ?? []).flatMap { [$0.key] + keys($0.value) } + (value.array ?? []).flatMap(keys)
    }
    #expect(keys(row).allSatisfy { $0 == $0.lowercased() }, "\(keys(row))")
    let one = try MetaTestTable(title: "", rows: [makeResult("a", ["in": [1]])]).json["rows"]?[0]
    #expect(one?["ood_mean"] == .null && one?["datasets"]?[0]?["half_width"] == .null)
  }

  @Test func `a file without rows, or with rows that are not of one table, is refused as it is read`() throws {
    func read(_ rows: [MetaTestResult]) throws -> MetaTestTable {
      let rows = try JSONValue(encoding: rows)
      return try JSONDecoder().decode(
        MetaTestTable.self, from: JSONValue.object(["title": "", "rows": rows]).data())
    }
    #expect(throws: MetaTestTableError.empty) { try read([]) }
    #expect(throws: MetaTestTableError.otherEpisodes("a", "b")) {
      try read([makeResult("a", ["in": [1]]), makeResult("b", ["out": [1]])])
    }
    #expect(try read([makeResult("a", ["in": [1]])]).rows.map(\.name) == ["a"])
  }

  @Test func `what is written is read back`() throws {
    let table = try table()
    let text = try table.json.text()
    #expect(try JSONDecoder().decode(MetaTestTable.self, from: Data(text.utf8)) == table)
    #expect(throws: MetaTestTableError.empty) { try MetaTestTable(title: "", rows: []) }
    #expect(throws: MetaTestTableError.otherEpisodes("Frozen", "b")) {
      try MetaTestTable(title: "", rows: [table.rows[0], makeResult("b", ["in": [1]])])
    }
  }
}
