import Formats

extension ResultTable {
  /// Columns padded with spaces, for a terminal.
  public var plainText: String { text.plainText }

  /// A table in GitHub's Markdown, numbers aligned to the right.
  public var markdown: String { text.markdown }

  /// A `tabular` that needs the package `booktabs`.
  public var latex: String { text.latex }

  /// One object with everything that the other renderings show, in fractions, not rounded; keys sorted.
  public var json: String {
    get throws { try table.text(.python) + "\n" }
  }

  private var table: JSONValue {
    func value(_ estimate: Estimate?) -> JSONValue { estimate?.json ?? .null }
    let rows = rows.map { row -> JSONValue in
      ["method": .string(row.label), "targets": .array(row.cells.map(value)), "average": value(row.average)]
    }
    return [
      "title": .string(title), "targets": .array(columns.map(JSONValue.string)), "rows": .array(rows),
    ]
  }

  /// Every row as long as the header, whatever the rows' own lengths.
  private var text: TableText {
    TableText(
      title: title, header: ["Method"] + columns + ["Avg"],
      rows: rows.map { row in
        let cells = columns.indices.map { row.cells.indices.contains($0) ? row.cells[$0] : nil }
        return [row.label] + (cells + [row.average]).map { $0?.text(expectedTrials: expectedTrials) ?? "X" }
      })
  }
}

extension ResultTable.Estimate {
  /// In fractions, not rounded.
  var json: JSONValue {
    [
      "mean": .double(mean), "standard_error": standardError.map(JSONValue.double) ?? .null,
      "trials": .integer(trials),
    ]
  }
}
