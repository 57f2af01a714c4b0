import Formats
import Foundation
import Reports
import Training

/// What a benchmark found, as tables and drawings.
struct BenchmarkResults {
  let report: BenchmarkReport
  /// Names of the domains that were left out in turn: the columns.
  let targets: [String]

  /// The tables, the published protocol's first.
  var tables: [ResultTable] {
    var tables = [
      table(.trainingDomainValidation, .targetIn), table(.trainingDomainValidation, .targetWhole),
      table(.lastStep, .targetIn), table(.oracle, .targetIn),
    ]
    if !report.ensembles.isEmpty { tables.insert(ensembles, at: 1) }
    return tables
  }

  /// With the targets as columns, where `BenchmarkReport.table` has every domain.
  private func table(_ selection: ModelSelection, _ metric: ResultTable.Metric) -> ResultTable {
    let full = report.table(selection, metric: metric)
    guard targets != report.domains else { return full }
    let rows = report.methods.map { method in
      let records = report.records.filter { $0.run.algorithm == method }
      let trials = columns.map { target in
        Dictionary(grouping: records.filter { $0.run.testDomains == [target] }, by: \.run.trialSeed)
          .compactMapValues { trial -> Double? in
            guard let choice = selection.choose(from: trial, target: target) else { return nil }
            return metric == .targetIn ? choice.targetIn : choice.targetWhole
          }
      }
      return ResultTable.Row(label: method, trials: trials)
    }
    return ResultTable(title: full.title, columns: targets, rows: rows, expectedTrials: full.expectedTrials)
  }

  private var ensembles: ResultTable {
    let full = report.ensembleTable()
    guard targets != report.domains else { return full }
    let rows = report.methods.map { method in
      ResultTable.Row(
        label: "\(method), ensemble",
        trials: columns.map { target in
          report.ensembles.first { $0.method == method && $0.target == target }.map { [0: $0.targetIn] } ?? [:]
        })
    }
    return ResultTable(title: full.title, columns: targets, rows: rows)
  }

  private var columns: [Int] { targets.compactMap { report.domains.firstIndex(of: $0) } }

  enum Format { case text, markdown, latex, json }

  func rendered(as format: Format) throws -> String {
    switch format {
    case .text: tables.prefix(report.ensembles.isEmpty ? 1 : 2).map(\.plainText).joined(separator: "\n")
    case .markdown: tables.map { "**\($0.title)**\n\n\($0.markdown)" }.joined(separator: "\n")
    case .latex: tables.map(\.latex).joined(separator: "\n")
    case .json: try json.text(.readable) + "\n"
    }
  }

  private var json: JSONValue {
    get throws {
      [
        "dataset": .string(report.dataset), "trials": .integer(report.trials),
        "tables": .array(try tables.map { try JSONValue(parsing: $0.json) }),
        "failures": .array(
          report.failures.map { ["run": .string("\($0.run)"), "error": .string($0.message)] }),
      ]
    }
  }

  var accuracyChart: BarChart { BarChart(table(.trainingDomainValidation, .targetIn)) }

  /// The mean training loss of each method's runs at each evaluation.
  var lossChart: LineChart {
    LineChart(
      title: "\(report.dataset): training loss, mean over targets and trials", horizontalLabel: "step",
      verticalLabel: "loss",
      series: report.methods.map { method in
        let records = report.records.filter { $0.run.algorithm == method }
        let steps = Dictionary(grouping: records, by: \.step)
        return LineChart.Series(
          name: method,
          points: steps.keys.sorted().compactMap { step in
            Statistics.mean(steps[step]?.compactMap(\.loss) ?? []).map { LineChart.Point(Double(step), $0) }
          })
      })
  }

  /// Writes the tables and drawings into a folder.
  func write(to folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    func write(_ text: String, _ name: String) throws {
      try AtomicFile.write(text, to: folder.appendingPathComponent(name))
    }
    try write(rendered(as: .markdown), "table.md")
    try write(rendered(as: .latex), "table.tex")
    try write(rendered(as: .json), "table.json")
    try write(accuracyChart.svg, "accuracy.svg")
    try write(lossChart.svg, "loss.svg")
  }
}
