import Adapters
import ArgumentParser
import Formats
import NeuralNetworks

/// `graft methods`
struct MethodsCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "methods",
    abstract: "List the methods: where each sits, what it costs on ViT-B/16, whether it merges.",
    discussion: """
      Each method is counted with its default settings and places; the classifier is not counted.

        graft methods
        graft methods --markdown   # the table of docs/methods.md
      """)

  @Flag(help: "Print a table in Markdown, with papers and with the reason where a method does not merge.")
  var markdown = false

  @OptionGroup(title: "Output") var console: ConsoleOptions

  func validate() throws {
    if markdown, console.json { throw ValidationError("--markdown and --json are two forms of one table. Give one.") }
  }

  func run() async throws {
    let console = Console(console)
    let table = try MethodTable(on: ShapesOnly(.vitBase16))
    console.result(markdown ? table.markdown : Self.text(table))
    try console.json(JSONValue.array(table.rows.map { Self.json($0, table) }).text(.readable))
  }

  private static func text(_ table: MethodTable) -> String {
    var text = TextTable(header: ["Method", "parameters", "%", "merges", "where it sits"])
    text.rows = table.rows.map { row in
      [
        row.name, Quantity.count(row.parameters), Quantity.fixed(100 * table.share(of: row), 3),
        row.obstacleToMerging == nil ? "yes" : "no", row.place,
      ]
    }
    return text.text
  }

  private static func json(_ row: MethodTable.Row, _ table: MethodTable) -> JSONValue {
    [
      "method": .string(row.name), "summary": .string(row.summary), "place": .string(row.place),
      "parameters": .integer(row.parameters), "share": .double(table.share(of: row)),
      "obstacle_to_merging": row.obstacleToMerging.map(JSONValue.string) ?? .null,
      "paper": row.paper.map(JSONValue.string) ?? .null,
    ]
  }
}
