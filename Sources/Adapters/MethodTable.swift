import Foundation
import NeuralNetworks

/// Every method of `adapterMethods` with its defaults on one backbone: where it sits, what it costs, whether it merges.
public struct MethodTable: Sendable {
  public let rows: [Row]
  /// The backbone's own numbers, without a head.
  public let parameterCount: Int

  public struct Row: Sendable {
    /// As it is written on the command line and in files of settings.
    public let name: String
    public let summary: String
    /// The linear maps, branches, tokens and tensors that it changes, without the blocks' numbers where it is in all.
    public let place: String
    /// Numbers that train, the head's not among them.
    public let parameters: Int
    /// nil where it merges exactly.
    public let obstacleToMerging: String?
    public let paper: String?
  }

  /// Sets every method up to count it: of a large backbone, full fine-tuning's copy is made and let go.
  public init(on backbone: any Backbone) throws {
    parameterCount = backbone.parameterCount
    rows = try adapterMethods.map { try Self.row($0, on: backbone) }
  }

  private static func row<Configuration: AdapterConfiguration>(
    _ method: Configuration.Type, on backbone: any Backbone
  ) throws -> Row {
    let configuration = Configuration()
    let adapter = try backbone.adapted(by: configuration).adapter
    return Row(
      name: Configuration.method.lowercased(), summary: Configuration.summary, place: adapter.place(in: backbone),
      parameters: adapter.parameterCount, obstacleToMerging: configuration.obstacleToMerging,
      paper: Configuration.paper)
  }

  /// Of the backbone's own numbers, `0 ... 1`.
  public func share(of row: Row) -> Double { Double(row.parameters) / Double(parameterCount) }

  /// A table in GitHub's Markdown.
  public var markdown: String {
    let header = ["Method", "What it is", "Where it sits", "Parameters", "Share", "Merges", "Paper"]
    let lines = rows.map { row in
      [
        "`\(row.name)`", row.summary, row.place, Self.grouped(row.parameters),
        String(format: "%.3f %%", 100 * share(of: row)), row.obstacleToMerging.map { "no: \($0)" } ?? "yes",
        row.paper ?? "",
      ]
    }
    let rule = header.map { ["Parameters", "Share"].contains($0) ? "---:" : "---" }
    return ([header, rule] + lines).map { "| \($0.joined(separator: " | ")) |\n" }.joined()
  }

  /// `1234567` as `1,234,567`.
  private static func grouped(_ number: Int) -> String {
    var digits = Substring(String(number))
    var groups: [Substring] = []
    while digits.count > 3 {
      groups.append(digits.suffix(3))
      digits = digits.dropLast(3)
    }
    return ([digits] + groups.reversed()).joined(separator: ",")
  }
}

extension Adapter {
  /// What of the backbone the adapter changes, in words.
  fileprivate func place(in backbone: any Backbone) -> String {
    var places: [String] = []
    var blocks: Set<Int> = []
    let adapted = sites.filter { corrections[$0.name] != nil }
    if !adapted.isEmpty {
      places.append("maps " + list(adapted.map(\.role.rawValue)))
      blocks.formUnion(adapted.blocks)
    }
    let changed = backbone.branches.filter { branches[$0.name] != nil }
    if !changed.isEmpty {
      places.append("branches " + list(changed.map(\.kind.rawValue)))
      blocks.formUnion(changed.map(\.block))
    }
    if sequence != nil { places.append("tokens") }
    let tuned = backbone.tensors.map(\.name).filter { tensors[$0] != nil }
    if tuned.count == backbone.tensors.count {
      places.append("every tensor")
    } else if !tuned.isEmpty {
      let biases = tuned.allSatisfy { $0.hasSuffix(".bias") }
      let modules = tuned.map { $0.split(separator: ".").dropLast().map(String.init) }
      blocks.formUnion(modules.compactMap { $0.first == "blocks" ? $0.dropFirst().first.flatMap { Int($0) } : nil })
      places.append(
        (biases ? "biases of " : "weights and biases of ")
          + list(modules.map { ($0.first == "blocks" ? Array($0.dropFirst(2)) : $0).joined(separator: ".") }))
    }
    if !blocks.isEmpty, blocks != Set(backbone.sites.blocks) {
      places.append("in \(blocks.count == 1 ? "block" : "blocks") " + list(blocks.sorted().map(String.init)))
    }
    return places.isEmpty ? "nowhere" : places.joined(separator: "; ")
  }

  /// Each once, in the order in which they first come.
  private func list(_ words: [String]) -> String {
    var seen: Set<String> = []
    return words.filter { seen.insert($0).inserted }.joined(separator: ", ")
  }
}
