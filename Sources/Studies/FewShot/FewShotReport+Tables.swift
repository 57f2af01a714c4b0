import Formats
import Foundation
import Reports

extension FewShotReport {
  /// The whole report as Markdown, a section for each question.
  public var markdown: String {
    var sections = [
      "# Few-shot tasks: meta-tuned networks on data sets seen and unseen",
      """
      Accuracy in per cent, \(episodes) test episodes of each data set, the same for every row of a seed. Seen: unseen classes of \
      \(seenDatasets.joined(separator: ", ")), on whose other classes the networks were meta-tuned. Unseen: \
      \(unseenDatasets.joined(separator: ", ")). ± is the standard error over seeds.\
      \(isComplete ? "" : " **Not complete**: some runs are missing.")
      """,
    ]
    for (title, text) in [
      ("Every run", frontier), ("Chosen by validation classes of the data sets meta-tuned on", chosenTable),
      ("Against \(reference) at the same rate", comparisons.isEmpty ? "" : "\(Self.pairing)\n\n\(comparisonTable)"),
      ("Experts", expertTable),
    ] where !text.isEmpty { sections += ["## \(title)", text] }
    return sections.joined(separator: "\n\n") + "\n"
  }

  private static func percent(_ value: Double) -> String { String(format: "%.1f", 100 * value) }

  private static func percent(_ estimate: Estimate?) -> String {
    guard let estimate else { return "-" }
    return percent(estimate.mean) + (estimate.standardError.map { " ± \(percent($0))" } ?? "")
  }

  private static func signed(_ difference: Difference?) -> String {
    guard let difference else { return "-" }
    let mean = String(format: "%+.1f", 100 * difference.mean)
    guard let interval = difference.interval else { return mean }
    return mean + String(format: " [%+.1f, %+.1f]", 100 * interval.lowerBound, 100 * interval.upperBound)
  }

  private static func table(_ header: [String], _ rows: [[String]]) -> String {
    rows.isEmpty ? "" : TableText(title: "", header: header, rows: rows).markdown
  }

  private func table(of rows: [Row]) -> String {
    Self.table(
      ["Network", "Method", "rate", "offset ×", "seeds", "validation", "seen", "unseen"] + seenDatasets
        + unseenDatasets + ["s"],
      rows.map { row in
        [
          row.backbone, row.method.isEmpty ? "as it is" : row.method, row.rate.map { "\($0)" } ?? "",
          row.method.isEmpty ? "" : "\(row.scale)", "\(row.seeds.count)", Self.percent(row.validation),
          Self.percent(row.seen), Self.percent(row.unseen),
        ] + (seenDatasets + unseenDatasets).map { Self.percent(row.datasets[$0]) }
          + [String(format: "%.0f", row.seconds)]
      })
  }

  private var frontier: String { table(of: rows) }
  private var chosenTable: String { table(of: chosen) }

  private static let pairing = """
    Differences of the same episodes, with 95 % intervals over the episodes of all seeds: they say how sure these networks are to \
    differ on such episodes, not how much other seeds would differ. The last column has the seeds one by one.
    """

  private var comparisonTable: String {
    Self.table(
      ["Network", "Method", "rate", "seen", "unseen"] + seenDatasets + unseenDatasets + ["unseen, seed by seed"],
      comparisons.map { comparison in
        [
          comparison.backbone, comparison.method, "\(comparison.rate)", Self.signed(comparison.seen),
          Self.signed(comparison.unseen),
        ] + (seenDatasets + unseenDatasets).map { Self.signed(comparison.datasets[$0]) }
          + [comparison.unseen.seeds.map { String(format: "%+.1f", 100 * $0) }.joined(separator: ", ")]
      })
  }

  private var expertTable: String {
    func number(_ value: Double?) -> String { value.map { String(format: "%.3f", $0) } ?? "-" }
    return Self.table(
      [
        "Network", "Method", "rate", "zeros", "in any", "overlap (IoU)", "of pairs", "by chance", "neither 0 nor 1",
        "p, α by data set",
      ],
      experts.map { experts in
        [
          experts.backbone, experts.method, "\(experts.rate)",
          "\(number(experts.sparsity.lowerBound)) to \(number(experts.sparsity.upperBound))", number(experts.union),
          number(experts.overlap),
          experts.overlaps.map { "\(number($0.lowerBound)) to \(number($0.upperBound))" } ?? "-",
          number(experts.chance),
          number(experts.between), experts.specialization.map { number($0) }.joined(separator: ", "),
        ]
      })
  }

  // MARK: Files

  /// Drawings by file name: the frontier of each network.
  public var figures: [(name: String, svg: String)] {
    var names: [String] = []
    for row in rows where !names.contains(row.backbone) { names.append(row.backbone) }
    return names.map { name in
      let own = rows.filter { $0.backbone == name }
      var groups: [ScatterChart.Group] = []
      for row in own {
        let label = row.method.isEmpty ? "as it is" : row.scale == 1 ? row.method : "\(row.method), offset scaled"
        let point = LineChart.Point(100 * row.seen.mean, 100 * row.unseen.mean)
        if let place = groups.firstIndex(where: { $0.name == label }) {
          groups[place].points.append(point)
        } else {
          groups.append(ScatterChart.Group(name: label, points: [point]))
        }
      }
      let chart = ScatterChart(
        title: "\(name): data sets seen and unseen", horizontalLabel: "accuracy on data sets meta-tuned on (%)",
        verticalLabel: "accuracy on others (%)", groups: groups)
      return ("frontier-\(Self.fileName(name)).svg", chart.svg)
    }
  }

  private static func fileName(_ name: String) -> String {
    String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
  }

  public var json: JSONValue {
    func estimate(_ estimate: Estimate?) -> JSONValue {
      guard let estimate else { return .null }
      return ["mean": .double(estimate.mean), "standard_error": estimate.standardError.map(JSONValue.double) ?? .null]
    }
    func difference(_ difference: Difference) -> JSONValue {
      [
        "mean": .double(difference.mean),
        "interval": difference.interval.map { [.double($0.lowerBound), .double($0.upperBound)] } ?? .null,
        "seeds": .array(difference.seeds.map(JSONValue.double)),
      ]
    }
    func object<Value>(_ values: [String: Value], _ convert: (Value) -> JSONValue) -> JSONValue {
      var object = JSONObject()
      for (key, value) in values.sorted(by: { $0.key < $1.key }) { object[key] = convert(value) }
      return .object(object)
    }
    return [
      "complete": .bool(isComplete),
      "rows": .array(
        rows.map { row in
          [
            "backbone": .string(row.backbone), "method": .string(row.method),
            "rate": row.rate.map(JSONValue.double) ?? .null, "scale": .double(row.scale),
            "seeds": .array(row.seeds.map { .integer(Int(clamping: $0)) }), "validation": estimate(row.validation),
            "seen": estimate(row.seen), "unseen": estimate(row.unseen),
            "datasets": object(row.datasets) { estimate($0) }, "seconds": .double(row.seconds),
          ]
        }),
      "comparisons": .array(
        comparisons.map { comparison in
          [
            "backbone": .string(comparison.backbone), "method": .string(comparison.method),
            "reference": .string(comparison.reference), "rate": .double(comparison.rate),
            "seen": difference(comparison.seen), "unseen": difference(comparison.unseen),
            "datasets": object(comparison.datasets, difference),
          ]
        }),
      "experts": .array(
        experts.map { experts in
          [
            "backbone": .string(experts.backbone), "method": .string(experts.method), "rate": .double(experts.rate),
            "sparsity": [.double(experts.sparsity.lowerBound), .double(experts.sparsity.upperBound)],
            "union": .double(experts.union), "overlap": experts.overlap.map(JSONValue.double) ?? .null,
            "overlaps": experts.overlaps.map { [.double($0.lowerBound), .double($0.upperBound)] } ?? .null,
            "chance": experts.chance.map(JSONValue.double) ?? .null, "between": .double(experts.between),
            "specialization": .array(experts.specialization.map(JSONValue.double)),
          ]
        }),
    ]
  }

  /// Writes `few-shot.md`, `few-shot.json` and the drawings.
  ///
  /// - Throws: `FileError`
  public func write(to folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try AtomicFile.write(markdown, to: folder.appendingPathComponent("few-shot.md"))
    try AtomicFile.write(try json.text(.readable) + "\n", to: folder.appendingPathComponent("few-shot.json"))
    for figure in figures { try AtomicFile.write(figure.svg, to: folder.appendingPathComponent(figure.name)) }
  }
}
