import Formats
import Foundation

extension ResultTable {
  /// Columns padded with spaces, for a terminal.
  public var plainText: String {
    let table = body(plusMinus: "±")
    let widths = header.indices.map { column in
      ([header] + table).map { $0[column].count }.max() ?? 0
    }
    func line(_ cells: [String]) -> String {
      cells.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - cells[column].count)
        return column == 0 ? cells[column] + padding : padding + cells[column]
      }.joined(separator: "  ")
    }
    let rule = String(repeating: "-", count: widths.reduce(0, +) + 2 * (widths.count - 1))
    return ([title, "", line(header), rule] + table.map(line)).joined(separator: "\n") + "\n"
  }

  /// A table in GitHub's Markdown, numbers aligned to the right.
  public var markdown: String {
    func line(_ cells: [String]) -> String {
      "| " + cells.map(Self.escapedForMarkdown).joined(separator: " | ") + " |"
    }
    let rule = "|---|" + String(repeating: "---:|", count: header.count - 1)
    return ([line(header), rule] + body(plusMinus: "±").map(line)).joined(separator: "\n") + "\n"
  }

  /// A `tabular` that needs the package `booktabs`.
  public var latex: String {
    func line(_ cells: [String]) -> String { cells.joined(separator: " & ") + " \\\\" }
    let rows = body(plusMinus: "$\\pm$").map { row in
      line([Self.escapedForLaTeX(row[0])] + row.dropFirst())
    }
    let lines =
      [
        "% " + title.replacing(/[\r\n]+/, with: " "),
        "\\begin{tabular}{l" + String(repeating: "c", count: header.count - 1) + "}",
        "\\toprule",
        line(header.map(Self.escapedForLaTeX)),
        "\\midrule",
      ] + rows + ["\\bottomrule", "\\end{tabular}"]
    return lines.joined(separator: "\n") + "\n"
  }

  /// One object with everything that the other renderings show, in fractions, not rounded; keys sorted.
  public var json: String {
    get throws { try table.text(.python) + "\n" }
  }

  private var table: JSONValue {
    func value(_ estimate: Estimate?) -> JSONValue {
      guard let estimate else { return .null }
      return [
        "mean": .double(estimate.mean),
        "standard_error": estimate.standardError.map(JSONValue.double) ?? .null,
        "trials": .integer(estimate.trials),
      ]
    }
    let rows = rows.map { row -> JSONValue in
      ["method": .string(row.label), "targets": .array(row.cells.map(value)), "average": value(row.average)]
    }
    return [
      "title": .string(title), "targets": .array(columns.map(JSONValue.string)), "rows": .array(rows),
    ]
  }

  private var header: [String] { ["Method"] + columns + ["Avg"] }

  /// Every row as long as the header, whatever the rows' own lengths.
  private func body(plusMinus: String) -> [[String]] {
    rows.map { row in
      let cells = columns.indices.map { row.cells.indices.contains($0) ? row.cells[$0] : nil }
      return [row.label] + (cells + [row.average]).map { text($0, plusMinus) }
    }
  }

  private func text(_ estimate: Estimate?, _ plusMinus: String) -> String {
    guard let estimate else { return "X" }
    var text = String(format: "%.1f", 100 * estimate.mean)
    if let error = estimate.standardError { text += " \(plusMinus) " + String(format: "%.1f", 100 * error) }
    if let expectedTrials, estimate.trials < expectedTrials { text += " (\(estimate.trials)/\(expectedTrials))" }
    return text
  }

  private static func escapedForMarkdown(_ text: String) -> String {
    var escaped = ""
    for character in text {
      switch character {
      case "\\", "|", "*", "_", "`", "<", "[", "]", "~": escaped += "\\\(character)"
      case "\n", "\r", "\r\n": escaped += " "
      default: escaped.append(character)
      }
    }
    return escaped
  }

  private static func escapedForLaTeX(_ text: String) -> String {
    var escaped = ""
    for character in text {
      switch character {
      case "\\": escaped += "\\textbackslash{}"
      case "~": escaped += "\\textasciitilde{}"
      case "^": escaped += "\\textasciicircum{}"
      case "&", "%", "$", "#", "_", "{", "}": escaped += "\\\(character)"
      case "\n", "\r", "\r\n": escaped += " "
      default: escaped.append(character)
      }
    }
    return escaped
  }
}
