import Datasets
import Formats
import Foundation
import Reports

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

  /// Everything, the accuracy of each episode too.
  public var json: JSONValue {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      return try JSONValue(parsing: encoder.encode(self))
    }
  }

  /// Each row minus the first, episode by episode; nil where there is nothing to compare.
  public var differences: String? {
    get throws {
      guard rows.count > 1, let first = rows.first else { return nil }
      let lines = try rows.dropFirst().map { row in
        [row.label(among: rows)]
          + (try row.difference(from: first)).map { Self.percent($0.mean, $0.halfWidth, signed: true) }
      }
      let names = try rows[1].difference(from: first).map(\.name)
      return TableText(
        title: "Difference from \(first.label(among: rows)), the same episodes", header: ["Row"] + names, rows: lines
      ).plainText
    }
  }

  private var table: TableText {
    let first = rows[0].datasets
    let header =
      first.filter(\.isInDomain).map(\.name) + ["ID mean"] + first.filter { !$0.isInDomain }.map(\.name)
      + ["OOD mean"]
    return TableText(
      title: title, header: ["Row"] + header,
      rows: rows.map { row in
        func cells(_ isInDomain: Bool) -> [String] {
          row.datasets.filter { $0.isInDomain == isInDomain }.map { Self.percent($0.mean, $0.halfWidth) }
        }
        func mean(_ mean: MetaTestResult.Mean?) -> String { mean.map { Self.percent($0.mean, $0.halfWidth) } ?? "-" }
        return [row.label(among: rows)] + cells(true) + [mean(row.inDomain)] + cells(false) + [mean(row.outOfDomain)]
      })
  }

  /// How it was measured.
  private var method: String {
    let first = rows[0]
    var lines = [
      "\(first.episodes) episodes of each data set, seed \(first.seed), \(first.settings.summary); "
        + "mean accuracy in per cent ± 1.96 s/√n over episodes."
    ]
    let rates = rows.compactMap { row in
      row.rates.map { $0 + (row.rateFactor ?? 1 == 1 ? "" : ", the candidates multiplied by \(row.rateFactor ?? 1)") }
    }
    for rates in Set(rates).sorted() { lines.append("Learning rate of fine-tuning: \(rates).") }
    for row in rows {
      let (diverged, unsearched) = row.datasets.reduce((0, 0)) { ($0.0 + $1.diverged, $0.1 + $1.unsearched) }
      if diverged > 0 { lines.append("\(row.name): fine-tuning diverged in \(diverged) episodes, counted as wrong.") }
      if unsearched > 0 {
        lines.append("\(row.name): \(unsearched) episodes had no example to search a rate with and were not tuned.")
      }
    }
    return lines.joined(separator: "\n") + "\n"
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
    if Set(namesakes.map(\.mode)).count > 1 { label += ", \(mode)" }
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
