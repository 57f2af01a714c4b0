import Formats
import Foundation
import Reports

/// What a comparison on many tasks found.
public struct TaskBenchmarkReport: Sendable {
  /// A run that was given up.
  public struct Failure: Sendable, Equatable {
    public let run: TaskRun
    public let message: String
  }

  /// The accuracy of a finished run that counts.
  public struct Result: Sendable, Equatable {
    public let run: TaskRun
    /// On the validation images for a run of a search, else on the test images; a fraction.
    public let accuracy: Double
    /// The step that it is of.
    public let step: Int
  }

  public let dataset: String
  public let taskProtocol: TaskProtocol
  public let groups: TaskGroups
  /// Names of the methods, in order.
  public let methods: [String]
  public let parameters: [String: Int]
  public let trials: Int
  /// The runs that counted in the choice of learning rates.
  public let searches: [Result]
  /// The runs with the rates chosen, one for each seed.
  public let results: [Result]
  /// Every line of both, in their order.
  public let records: [ResultRecord]
  public let failures: [Failure]
  /// Runs that another process was at.
  public let elsewhere: Int
  /// Methods and tasks that have a rate, at an edge of a grid of three rates or more.
  public let atEdge: [(method: String, task: String, learningRate: Double)]

  init(of benchmark: TaskBenchmark, failures: [Failure], elsewhere: Int) throws {
    dataset = benchmark.dataset
    taskProtocol = benchmark.taskProtocol
    groups = benchmark.groups
    methods = benchmark.methods.map(\.name)
    parameters = benchmark.parameters
    trials = benchmark.trials
    self.failures = failures
    self.elsewhere = elsewhere
    var searches: [Result] = []
    var results: [Result] = []
    var records: [ResultRecord] = []
    var atEdge: [(method: String, task: String, learningRate: Double)] = []
    var recorded: Set<TaskRun> = []
    func add(_ run: TaskRun, to list: inout [Result]) throws {
      guard let result = try benchmark.result(of: run) else { return }
      list.append(Result(run: run, accuracy: result.accuracy, step: result.step))
      if recorded.insert(run).inserted { records += result.records }
    }
    let grid = benchmark.learningRates.sorted()
    for method in benchmark.methods {
      for task in benchmark.tasks {
        for run in try benchmark.searches(method, task) { try add(run, to: &searches) }
        guard let rate = try benchmark.choice(method, task)?.learningRate else { continue }
        if grid.count > 2, rate == grid.first || rate == grid.last {
          atEdge.append((method.name, task.name, rate))
        }
        for run in try benchmark.finals(method, task, learningRate: rate) { try add(run, to: &results) }
      }
    }
    self.searches = searches
    self.results = results
    self.records = records
    self.atEdge = atEdge
  }

  /// Whether every method has every seed on every task.
  public var isComplete: Bool { results.count == methods.count * groups.tasks.count * trials }

  /// Means and standard errors over the seeds, the groups' means, the score.
  public var table: TaskTable {
    let rows = methods.map { method in
      var accuracies: [String: [Int: Double]] = [:]
      for result in results where result.run.method == method {
        accuracies[result.run.task, default: [:]][result.run.trial] = result.accuracy
      }
      return TaskTable.Row(
        label: method, parameters: parameters[method], accuracies: accuracies, groups: groups)
    }
    return TaskTable(
      title: "\(dataset), test accuracy, \(taskProtocol.note)", groups: groups, rows: rows, expectedSeeds: trials)
  }

  /// One line for each finished run, searches too, under a header.
  public var csv: String {
    let group = Dictionary(
      uniqueKeysWithValues: groups.groups.flatMap { group in group.tasks.map { ($0, group.name) } })
    let rows = [("search", searches), ("result", results)].flatMap { kind, list in
      list.map { result in
        [
          kind, result.run.method, group[result.run.task] ?? "", result.run.task, "\(result.run.trial)",
          "\(result.run.learningRate)", "\(result.step)", result.run.phase == .search ? "validation" : "test",
          "\(result.accuracy)",
        ]
      }
    }
    let header = ["kind", "method", "group", "task", "trial", "learning_rate", "step", "measured_on", "accuracy"]
    return ([header] + rows).map { $0.map(Self.quoted).joined(separator: ",") + "\n" }.joined()
  }

  /// RFC 4180: quotes around what holds a comma, a quote or a line break.
  private static func quoted(_ field: String) -> String {
    guard field.contains(where: { ",\"\n\r".contains($0) || $0.isNewline }) else { return field }
    return "\"\(field.replacing("\"", with: "\"\""))\""
  }

  /// Every record, one a line.
  public var jsonLines: String {
    get throws { try records.map { try $0.json + "\n" }.joined() }
  }
}
