import Foundation

/// A table of text, rendered: the first column to the left, the others to the right.
package struct TableText {
  package var title: String
  package var header: [String]
  /// Each as long as the header.
  package var rows: [[String]]

  package init(title: String, header: [String], rows: [[String]]) {
    self.title = title
    self.header = header
    self.rows = rows
  }

  /// Columns padded with spaces, for a terminal.
  package var plainText: String {
    let widths = header.indices.map { column in
      ([header] + rows).map { $0[column].count }.max() ?? 0
    }
    func line(_ cells: [String]) -> String {
      cells.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - cells[column].count)
        return column == 0 ? cells[column] + padding : padding + cells[column]
      }.joined(separator: "  ")
    }
    let rule = String(repeating: "-", count: widths.reduce(0, +) + 2 * (widths.count - 1))
    return ([title, "", line(header), rule] + rows.map(line)).joined(separator: "\n") + "\n"
  }

  /// A table in GitHub's Markdown.
  package var markdown: String {
    func line(_ cells: [String]) -> String {
      "| " + cells.map(Self.escapedForMarkdown).joined(separator: " | ") + " |"
    }
    let rule = "|---|" + String(repeating: "---:|", count: header.count - 1)
    return ([line(header), rule] + rows.map(line)).joined(separator: "\n") + "\n"
  }

  /// A `tabular` that needs the package `booktabs`.
  var latex: String {
    func line(_ cells: [String]) -> String { cells.joined(separator: " & ") + " \\\\" }
    let rows = rows.map { row in
      line([Self.escapedForLaTeX(row[0])] + row.dropFirst().map { $0.replacing("±", with: "$\\pm$") })
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

extension ResultTable.Estimate {
  /// `84.2 ± 0.3 (2/3)`: per cent, and how many of the expected trials there are where some are missing.
  func text(expectedTrials: Int?) -> String {
    var text = String(format: "%.1f", 100 * mean)
    if let standardError { text += " ± " + String(format: "%.1f", 100 * standardError) }
    if let expectedTrials, trials < expectedTrials { text += " (\(trials)/\(expectedTrials))" }
    return text
  }
}
