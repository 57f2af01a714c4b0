import Datasets
import Formats
import Foundation
import Reports
import Training

/// Rows of `MetaTestResult` as a table: accuracy in per cent with its 95 % interval over episodes.
public struct MetaTestTable: Sendable, Hashable, Codable {
  public var title: String
  /// One or more.
  public let rows: [MetaTestResult]

  /// - Throws: `MetaTestTableError` for no row, or rows of different data sets.
  public init(title: String, rows: [MetaTestResult]) throws {
    guard let first = rows.first else { throw MetaTestTableError.empty }
    for row in rows where row.datasets.map(\.name) != first.datasets.map(\.name) {
      throw MetaTestTableError.otherEpisodes(first.name, row.name)
    }
    self.title = title
    self.rows = rows
  }

  /// - Throws: `MetaTestTableError` as `init(title:rows:)`; `DecodingError`.
  public init(from decoder: any Decoder) throws {
    let file = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      title: file.decode(String.self, forKey: .title), rows: file.decode([MetaTestResult].self, forKey: .rows))
  }

  /// For a terminal.
  public var text: String { table.plainText + "\n" + method }

  /// GitHub's.
  public var markdown: String { "## \(title)\n\n" + table.markdown + "\n" + method }

  /// `differences` in GitHub's.
  public var markdownDifferences: String? {
    get throws { try differenceTable.map { "### \($0.title)\n\n" + $0.markdown } }
  }

  /// A line for each row and data set.
  public var csv: String {
    let header = "row,mode,rates,rate_factor,scale,dataset,domain,accuracy,half_width,episodes,diverged,unsearched\n"
    let lines = rows.flatMap { row in
      row.datasets.map { dataset in
        let numbers = [
          "\(dataset.mean)", dataset.halfWidth.map { "\($0)" } ?? "", "\(dataset.accuracies.count)",
          "\(dataset.diverged)", "\(dataset.unsearched)",
        ]
        let texts = [
          row.name, row.mode, row.rates ?? "", row.rateFactor.map { "\($0)" } ?? "", "\(row.scale)", dataset.name,
          dataset.isInDomain ? "in" : "out",
        ]
        return (texts.map(Self.quoted) + numbers).joined(separator: ",") + "\n"
      }
    }
    return header + lines.joined()
  }

  /// Everything, the accuracy of each episode too, and what the tables show: `mean` and `half_width` of each data set, `id_mean`,
  /// `ood_mean` and `mean` of each row, null where there is none.
  public var json: JSONValue {
    get throws {
      func number(_ value: Double?) -> JSONValue { value.flatMap { $0.isFinite ? .double($0) : nil } ?? .null }
      func json(_ mean: MetaTestResult.Mean?) -> JSONValue {
        mean.map {
          ["mean": number($0.mean), "half_width": number($0.halfWidth), "datasets": .integer($0.datasets)]
        } ?? .null
      }
      let described = try rows.map { row in
        var object = try JSONValue(encoding: row).object ?? JSONObject()
        object["id_mean"] = json(row.inDomain)
        object["ood_mean"] = json(row.outOfDomain)
        object["mean"] = json(row.mean)
        object["datasets"] = .array(
          try row.datasets.map { dataset in
            var object = try JSONValue(encoding: dataset).object ?? JSONObject()
            object["mean"] = number(dataset.mean)
            object["half_width"] = number(dataset.halfWidth)
            object["mean_mixing"] = .array(dataset.meanMixing.map(number))
            return .object(object)
          })
        return JSONValue.object(object)
      }
      return ["title": .string(title), "rows": .array(described)]
    }
  }

  /// Each row minus the first, episode by episode, columns as in the table of accuracies; nil where there is nothing to compare.
  public var differences: String? {
    get throws { try differenceTable?.plainText }
  }

  private var differenceTable: TableText? {
    get throws {
      guard rows.count > 1, let first = rows.first else { return nil }
      let lines = try rows.dropFirst().map { row in
        try row.difference(from: first, groups: groups)
      }
      return TableText(
        title: "Difference from \(first.label(among: rows)), the same episodes",
        header: ["Row"] + (lines.first ?? []).map(\.name),
        rows: zip(rows.dropFirst(), lines).map { row, line in
          [row.label(among: rows)] + line.map { Self.percent($0.mean, $0.halfWidth, signed: true) }
        })
    }
  }

  private var groups: [MetaTestResult.Group] { MetaTestResult.groups(of: rows) }

  private var table: TableText {
    let datasets = rows[0].datasets
    return TableText(
      title: title, header: ["Row"] + groups.flatMap { $0.members.map { datasets[$0].name } + [$0.name] },
      rows: rows.map { row in
        [row.label(among: rows)]
          + groups.flatMap { group in
            group.members.map { Self.percent(row.datasets[$0].mean, row.datasets[$0].halfWidth) }
              + [row.mean(over: group).map { Self.percent($0.mean, $0.halfWidth) } ?? "-"]
          }
      })
  }

  /// How it was measured.
  private var method: String {
    let first = rows[0]
    var lines = [
      "\(first.episodes) episodes of each data set, seed \(first.seed), \(first.settings.summary); "
        + "mean accuracy in per cent ± 1.96 s/√n over episodes."
    ]
    if groups.contains(where: { $0.name != MetaTestResult.Group.all }) {
      lines.append("ID: data sets that were meta-tuned on, of other classes than these; OOD: the others.")
    }
    lines += ofRows { row in
      row.tuning.map { "Tuned on each support: \($0)." } ?? "Nothing is tuned on a support: mode \(row.mode)."
    }
    lines += ofRows { row in
      row.rates.map { rates in
        let factor = row.rateFactor.flatMap { $0 == 1 ? nil : " (multiplied by \($0.shown))" } ?? ""
        let among = row.candidates.isEmpty ? "" : ", of \(row.candidates.map(\.shown).joined(separator: ", "))"
        return "Learning rate of tuning: \(rates)\(among)\(factor)."
      }
    }
    for row in rows {
      let label = row.label(among: rows)
      let chosen = row.candidates.isEmpty ? [] : row.datasets.flatMap(\.learningRates)
      if let median = Statistics.median(chosen), let least = chosen.min(), let most = chosen.max() {
        lines.append("\(label): rates from \(least.shown) to \(most.shown) were chosen, median \(median.shown).")
      }
      let (diverged, unsearched) = row.datasets.reduce((0, 0)) { ($0.0 + $1.diverged, $0.1 + $1.unsearched) }
      if diverged > 0 { lines.append("\(label): tuning diverged in \(diverged) episodes, counted as wrong.") }
      if unsearched > 0 {
        lines.append("\(label): \(unsearched) episodes had no example to search a rate with and were not tuned.")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// A line about each row: once where it is the same of all of them, and with their names where not.
  private func ofRows(_ line: (MetaTestResult) -> String?) -> [String] {
    let lines = rows.map(line)
    guard Set(lines).count > 1 else { return lines.prefix(1).compactMap { $0 } }
    return zip(rows, lines).compactMap { row, line in line.map { "\(row.label(among: rows)): \($0)" } }
  }

  private static func percent(_ value: Double, _ half: Double?, signed: Bool = false) -> String {
    // Rounded first: what is shown as zero has no sign of its own.
    let shown = (1_000 * value).rounded() / 10 + 0
    let text = String(format: signed ? "%+.1f" : "%.1f", shown)
    return half.map { text + String(format: " ± %.1f", 100 * $0) } ?? text
  }

  private static func quoted(_ text: String) -> String {
    text.contains { ",\"\n\r".contains($0) } ? "\"\(text.replacing("\"", with: "\"\""))\"" : text
  }
}

extension MetaTestResult {
  /// The name, and what tells the row from others of the same name.
  func label(among rows: [MetaTestResult]) -> String {
    let namesakes = rows.filter { $0.name == name }
    guard namesakes.count > 1 else { return name }
    var label = name
    if Set(namesakes.map(\.mode)).count > 1 {
      label += ", \(mode)"
    } else if Set(namesakes.map(\.tuning)).count > 1 {
      label += ", \(tuning ?? mode)"
    }
    if Set(namesakes.map(\.scale)).count > 1 { label += " × \(scale)" }
    return label
  }
}

extension EpisodeSettings {
  /// `5-way 1-shot` or `5 to 50 ways, varying shots`.
  var summary: String {
    switch self {
    case .fixed(let ways, let shots, let queries):
      "\(ways) ways, \(shots) \(shots == 1 ? "shot" : "shots"), \(queries) queries a class"
    case .variable(let variable):
      "\(variable.minimumWays) to \(variable.maximumWays) ways, shots that vary up to "
        + "\(variable.maximumSupport) examples, \(variable.maximumQueries) queries a class at most"
    }
  }
}

public enum MetaTestTableError: Error, Equatable, CustomStringConvertible {
  case empty
  case otherEpisodes(String, String)

  public var description: String {
    switch self {
    case .empty: "A table needs at least one row."
    case .otherEpisodes(let first, let second):
      """
      '\(first)' and '\(second)' were measured on different episodes. Test both with the same data sets, settings, number of \
      episodes and seed.
      """
    }
  }
}
