import Formats

/// Accuracies of several methods on many tasks: the means of the groups, their mean, which is the score, and every task.
///
/// Values are fractions `0...1`; the renderings show per cent with one decimal, `mean ± standard error` over seeds, the error
/// that of the sample (`n − 1`). A task without any seed shows `X`, and so does every mean that needs it; with fewer seeds
/// than expected it says how many it has: `84.2 ± 0.3 (2/3)`.
public struct TaskTable: Equatable, Sendable {
  public var title: String
  public let groups: TaskGroups
  public var rows: [Row]
  public var expectedSeeds: Int?

  public typealias Estimate = ResultTable.Estimate

  public struct Row: Equatable, Sendable {
    public var label: String
    /// Trainable numbers without the classifier's.
    public var parameters: Int?
    /// One per task, group after group; `nil` where no seed is there.
    public var cells: [Estimate?]
    /// The mean of each group.
    public var groupMeans: [Estimate?]
    /// The mean over all tasks.
    public var mean: Estimate?
    /// The mean of the groups' means.
    public var score: Estimate?

    /// - Parameter accuracies: of each seed, by task.
    ///
    /// The mean of a group or of all is that of the cells. Its error is taken over the means of single seeds, so it exists only
    /// if all cells it needs hold the same seeds, two or more.
    public init(label: String, parameters: Int? = nil, accuracies: [String: [Int: Double]], groups: TaskGroups) {
      self.label = label
      self.parameters = parameters
      let bySeed = accuracies.mapValues { task in task.sorted { $0.key < $1.key }.map(\.value) }
      let cells = groups.tasks.map { Estimate(of: bySeed[$0] ?? [], .sample) }
      self.cells = cells
      let means = Dictionary(
        uniqueKeysWithValues: zip(groups.tasks, cells).compactMap { task, cell in cell.map { (task, $0.mean) } })
      func estimate(of tasks: [String], _ summary: ([String: Double]) -> Double?) -> Estimate? {
        guard let mean = summary(means) else { return nil }
        let seeds = tasks.map { (accuracies[$0] ?? [:]).keys.sorted() }
        guard let shared = seeds.first, seeds.allSatisfy({ $0 == shared }) else {
          return Estimate(mean: mean, standardError: nil, trials: seeds.map(\.count).min() ?? 0)
        }
        let single = shared.compactMap { seed in summary(accuracies.compactMapValues { $0[seed] }) }
        return Estimate(mean: mean, standardError: Estimate(of: single, .sample)?.standardError, trials: shared.count)
      }
      groupMeans = groups.groups.indices.map { place in
        estimate(of: groups.groups[place].tasks) { groups.means(of: $0)[place] }
      }
      mean = estimate(of: groups.tasks, groups.mean)
      score = estimate(of: groups.tasks, groups.score)
    }
  }

  public init(title: String, groups: TaskGroups, rows: [Row], expectedSeeds: Int? = nil) {
    self.title = title
    self.groups = groups
    self.rows = rows
    self.expectedSeeds = expectedSeeds
  }

  // MARK: Rendering

  /// Two tables, padded with spaces: groups and score, then every task.
  public var plainText: String { summary.plainText + "\n" + details.plainText }

  /// Two tables in GitHub's Markdown.
  public var markdown: String {
    [summary, details].map { "**\($0.title)**\n\n\($0.markdown)" }.joined(separator: "\n")
  }

  /// One object with everything that the other renderings show, in fractions, not rounded; keys sorted.
  public var json: JSONValue {
    func value(_ estimate: Estimate?) -> JSONValue { estimate?.json ?? .null }
    let rows = rows.map { row -> JSONValue in
      [
        "method": .string(row.label), "parameters": row.parameters.map(JSONValue.integer) ?? .null,
        "tasks": .array(row.cells.map(value)), "groups": .array(row.groupMeans.map(value)), "mean": value(row.mean),
        "score": value(row.score),
      ]
    }
    return [
      "title": .string(title), "tasks": .array(groups.tasks.map(JSONValue.string)),
      "groups": .array(
        groups.groups.map { ["name": .string($0.name), "tasks": .array($0.tasks.map(JSONValue.string))] }),
      "rows": .array(rows),
    ]
  }

  private var summary: TableText {
    TableText(
      title: title, header: ["Method", "Parameters"] + groups.groups.map(\.name) + ["Mean", "Score"],
      rows: rows.map { row in
        [row.label, row.parameters.map(String.init) ?? "-"]
          + (row.groupMeans + [row.mean, row.score]).map { text($0) }
      })
  }

  private var details: TableText {
    TableText(
      title: "\(title), every task", header: ["Method"] + groups.tasks,
      rows: rows.map { [$0.label] + $0.cells.map { text($0) } })
  }

  private func text(_ estimate: Estimate?) -> String { estimate?.text(expectedTrials: expectedSeeds) ?? "X" }
}
