import Testing

@testable import Reports

@Suite struct ResultTableTests {
  let table = ResultTable(
    title: "PACS",
    columns: ["art_painting", "photo"],
    rows: [
      ResultTable.Row(label: "LoRA r=8", trials: [[0: 0.80, 1: 0.84], [0: 0.90, 1: 0.90]]),
      ResultTable.Row(label: "K|MoA & co_100%", trials: [[0: 0.8125], [:]]),
      ResultTable.Row(label: "single", trials: [[0: 0.5], [0: 1.0]]),
    ],
    expectedTrials: 2)

  @Test func `plain text`() {
    #expect(
      table.plainText == """
        PACS

        Method           art_painting        photo         Avg
        ------------------------------------------------------
        LoRA r=8           82.0 ± 1.4   90.0 ± 0.0  86.0 ± 0.7
        K|MoA & co_100%    81.2 (1/2)            X           X
        single             50.0 (1/2)  100.0 (1/2)  75.0 (1/2)

        """)
  }

  @Test func `Markdown, with its markup escaped`() {
    #expect(
      table.markdown == #"""
        | Method | art\_painting | photo | Avg |
        |---|---:|---:|---:|
        | LoRA r=8 | 82.0 ± 1.4 | 90.0 ± 0.0 | 86.0 ± 0.7 |
        | K\|MoA & co\_100% | 81.2 (1/2) | X | X |
        | single | 50.0 (1/2) | 100.0 (1/2) | 75.0 (1/2) |

        """#)
  }

  @Test func `LaTeX, with its markup escaped`() {
    #expect(
      table.latex == #"""
        % PACS
        \begin{tabular}{lccc}
        \toprule
        Method & art\_painting & photo & Avg \\
        \midrule
        LoRA r=8 & 82.0 $\pm$ 1.4 & 90.0 $\pm$ 0.0 & 86.0 $\pm$ 0.7 \\
        K|MoA \& co\_100\% & 81.2 (1/2) & X & X \\
        single & 50.0 (1/2) & 100.0 (1/2) & 75.0 (1/2) \\
        \bottomrule
        \end{tabular}

        """#)
  }

  @Test func `JSON, in fractions`() throws {
    let table = ResultTable(
      title: "T", columns: ["a", "b"],
      rows: [ResultTable.Row(label: "m", trials: [[0: 0.25, 1: 0.75], [0: 0.5, 1: 0.5]])])
    #expect(
      try table.json == """
        {"rows": [{"average": {"mean": 0.5, "standard_error": \(0.125 / 2.0.squareRoot()), "trials": 2}, \
        "method": "m", "targets": [{"mean": 0.5, "standard_error": \(0.25 / 2.0.squareRoot()), "trials": 2}, \
        {"mean": 0.5, "standard_error": 0.0, "trials": 2}]}], "targets": ["a", "b"], "title": "T"}

        """)
  }

  @Test func `an average over different trials has no error`() {
    let row = ResultTable.Row(label: "m", trials: [[0: 0.5, 1: 0.7], [0: 0.8]])
    #expect(row.average?.mean.isClose(to: 0.7) == true)
    #expect(row.average?.standardError == nil)
    #expect(row.average?.trials == 1)
  }

  @Test func `the sample's standard error can be asked for`() throws {
    let row = ResultTable.Row(label: "m", trials: [[0: 0.5, 1: 0.7]], spread: .sample)
    #expect(try #require(row.cells[0]?.standardError).isClose(to: 0.1))
  }

  @Test func `records become a table by dataset, algorithm, target and trial`() {
    func record(_ algorithm: String, target: Int, trial: Int, dataset: String = "D", _ accuracy: Double) -> ResultRecord
    {
      var domains = [DomainScore](repeating: DomainScore(inAccuracy: 0.9, outAccuracy: 0.9), count: 2)
      domains[target] = DomainScore(inAccuracy: accuracy, outAccuracy: 0, inCount: 3, outCount: 1)
      return ResultRecord(
        run: RunArguments(dataset: dataset, algorithm: algorithm, testDomains: [target], trialSeed: trial), step: 0,
        epoch: 0, domains: domains)
    }
    let records = [
      record("ERM", target: 0, trial: 0, 0.80), record("ERM", target: 0, trial: 1, 0.84),
      record("ERM", target: 1, trial: 0, 0.60), record("ERM", target: 1, trial: 1, 0.60),
      record("A", target: 0, trial: 0, 0.40), record("ERM", target: 0, trial: 2, dataset: "other", 0),
    ]
    let table = ResultTable(
      of: records, dataset: "D", domains: ["x", "y"], selection: .trainingDomainValidation)
    #expect(
      table.markdown == """
        | Method | x | y | Avg |
        |---|---:|---:|---:|
        | ERM | 82.0 ± 1.4 | 60.0 ± 0.0 | 71.0 ± 0.7 |
        | A | 40.0 | X | X |

        """)
    #expect(table.title == "D, target, in split, selected by training-domain validation")
    let whole = ResultTable(
      of: records, dataset: "D", domains: ["x", "y"], algorithms: ["A", "none"], selection: .lastStep,
      metric: .targetWhole)
    #expect(
      whole.markdown == """
        | Method | x | y | Avg |
        |---|---:|---:|---:|
        | A | 30.0 | X | X |
        | none | X | X | X |

        """)
  }
}
