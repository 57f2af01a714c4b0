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

        """)
  }

  @Test func `later rows are compared with the first`() throws {
    let text = try #require(try table().differences)
    #expect(text.hasPrefix("Difference from Frozen, the same episodes"))
    #expect(text.contains("SMAT  +50.0 ± 0.0  +0.0 ± 8.0  +50.0 ± 0.0  +0.0 ± 8.0"))
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

  @Test func `a table says where rates came from, and what they were multiplied by`() throws {
    func text(_ rates: String?, _ factor: Double?) throws -> String {
      var row = makeResult("SMAT", ["in": [1]])
      (row.rates, row.rateFactor) = (rates, factor)
      return try MetaTestTable(title: "", rows: [makeResult("Frozen", ["in": [1]]), row]).text
    }
    #expect(
      try text("3 folds of each support", 10).contains(
        "Learning rate of fine-tuning: 3 folds of each support, the candidates multiplied by 10.0.\n"))
    #expect(
      try text("3 folds of each support", 1).contains("Learning rate of fine-tuning: 3 folds of each support.\n"))
    #expect(try text("fixed at 0.05", nil).contains("Learning rate of fine-tuning: fixed at 0.05.\n"))
    #expect(try !text(nil, nil).contains("Learning rate"))
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
