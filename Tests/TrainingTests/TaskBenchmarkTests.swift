import Adapters
import Formats
import Foundation
import NeuralNetworks
import Reports
import Tensors
import Testing

@testable import Training

@Suite struct TaskBenchmarkTests {
  private func benchmark(
    _ output: URL, methods: [Method]? = nil, taskProtocol: TaskProtocol = .validation, trials: Int = 2,
    rates: [Double] = [1e-6, 0.02], _ change: (inout TrainingConfiguration) -> Void = { _ in }
  ) throws -> TaskBenchmark {
    var configuration = tinyConfiguration(steps: 12)
    configuration.evaluationInterval = 4
    change(&configuration)
    return try TaskBenchmark(
      of: methods ?? [Method("Linear probe", LinearProbe()), Method("LoRA", LoRA(rank: 2))], backbone: TinyBackbone(),
      on: [tinyTask("a"), tinyTask("b", seed: 8), tinyTask("c", seed: 9)],
      groups: TaskGroups([.init("X", ["a", "b"]), .init("Y", ["c"])]), dataset: "tiny", protocol: taskProtocol,
      trials: trials, configuration: configuration, learningRates: rates, output: output)
  }

  /// The lines of every results file, without what depends on the clock.
  private func lines(in folder: URL) throws -> [String] {
    try RunFolder.collect(in: folder).flatMap { run in
      try run.contents.records.map { record in
        var record = record
        record.stepTime = nil
        record.memory = nil
        return try "\(run.folder.url.lastPathComponent) \(record.json)"
      }
    }
  }

  @Test func `the rate is chosen on validation, and the last step of each seed is tested`() async throws {
    let folder = try TemporaryFolder()
    let benchmark = try benchmark(folder.url)
    let report = try await benchmark.finish()
    #expect(report.failures.isEmpty && report.isComplete && report.elsewhere == 0)
    #expect(report.searches.count == 2 * 3 * 2 && report.results.count == 2 * 3 * 2)
    // A rate that moves nothing is not chosen.
    #expect(Set(report.results.map(\.run.learningRate)) == [0.02])
    #expect(Set(report.results.map(\.run.trial)) == [0, 1])
    for result in report.searches {
      let records = report.records.filter { $0.run == result.run.arguments }
      // Only the last step is measured, the test set not at all.
      #expect(records.map(\.step) == [12])
      #expect(records[0].domains[0].outAccuracy == result.accuracy && records[0].domains[0].outCount == 6)
      #expect(records[0].domains[1].inAccuracy.isNaN && records[0].domains[1].outAccuracy.isNaN)
      #expect(records[0].domains[1].inCount == 0)
    }
    for result in report.results {
      let records = report.records.filter { $0.run == result.run.arguments }
      #expect(records.map(\.step) == [12])
      #expect(records[0].domains[1].inAccuracy == result.accuracy && records[0].domains[1].inCount == 15)
      #expect(records[0].domains[0].inCount == 30 && records[0].domains[0].outCount == 0)
    }
  }

  @Test func `the table has the means over seeds, and the score of the groups`() async throws {
    let folder = try TemporaryFolder()
    let report = try await benchmark(folder.url).finish()
    let row = report.table.rows[1]
    func mean(_ task: String) -> Double {
      Statistics.mean(report.results.filter { $0.run.method == "LoRA" && $0.run.task == task }.map(\.accuracy)) ?? .nan
    }
    #expect(row.label == "LoRA" && row.parameters == 2 * (6 + 8) + 2 * (8 + 8))
    #expect(row.cells.map(\.?.mean) == [mean("a"), mean("b"), mean("c")])
    let expected = ((mean("a") + mean("b")) / 2 + mean("c")) / 2
    #expect(abs(try #require(row.score).mean - expected) < 1e-12)
    #expect(report.table.rows[0].parameters == 0)
    #expect(report.table.title.contains("last step, learning rate selected on validation"))
    let csv = report.csv.split(separator: "\n")
    #expect(csv.count == 1 + 24)
    #expect(csv[1].hasPrefix("search,Linear probe,X,a,0,1e-06,12,validation,"))
    #expect(try report.jsonLines.split(separator: "\n").count == 24)
  }

  @Test func `the published way takes the best step and rate on the test set, and says so`() async throws {
    let folder = try TemporaryFolder()
    let benchmark = try benchmark(folder.url, taskProtocol: .paper, rates: [0.005, 0.02])
    let report = try await benchmark.finish()
    #expect(report.isComplete)
    #expect(report.table.title.contains("selected on the TEST set"))
    for result in report.results {
      let records = report.records.filter { $0.run == result.run.arguments }
      #expect(records.map(\.step) == [4, 8, 12])
      #expect(result.accuracy == records.map { $0.domains[1].inAccuracy }.max())
      #expect(result.step == records.first { $0.domains[1].inAccuracy == result.accuracy }?.step)
      // Trained on training and validation images alike.
      #expect(records[0].domains[0].inCount == 30)
    }
    // The first seed of the chosen rate is a run of the search, not another one.
    #expect(try RunFolder.collect(in: folder.url).count == 2 * 3 * (2 + 1))
    for method in ["Linear probe", "LoRA"] {
      for task in ["a", "b", "c"] {
        let tried = report.searches.filter { $0.run.method == method && $0.run.task == task }
        let chosen = try #require(report.results.first { $0.run.method == method && $0.run.task == task })
        #expect(chosen.accuracy == tried.map(\.accuracy).max())
      }
    }
  }

  @Test func `without a grid every method has its own rate`() async throws {
    let folder = try TemporaryFolder()
    let methods = [Method("Linear probe", LinearProbe()), Method("LoRA", LoRA(rank: 2), learningRate: 0.03)]
    let report = try await benchmark(folder.url, methods: methods, trials: 1, rates: []).finish()
    #expect(report.searches.isEmpty && report.isComplete)
    #expect(report.results.map(\.run.learningRate) == [0.01, 0.01, 0.01, 0.03, 0.03, 0.03])
  }

  @Test func `the same call gives the same results but for times`() async throws {
    let (first, second) = (try TemporaryFolder(), try TemporaryFolder())
    let methods = [Method("Mixture", noisyMixture()), Method("Linear probe", LinearProbe())]
    _ = try await benchmark(first.url, methods: methods).finish()
    _ = try await benchmark(second.url, methods: methods).finish()
    let lines = try lines(in: first.url)
    #expect(lines.count == 2 * 3 * 4)
    #expect(try self.lines(in: second.url) == lines)
  }

  @Test func `what is done is not done again, and what is missing is`() async throws {
    let folder = try TemporaryFolder()
    let all = try benchmark(folder.url)
    let report = try await all.finish()
    let lines = try lines(in: folder.url)
    let broken = report.results[3].run
    try FileManager.default.removeItem(at: all.folder(of: broken).url.appendingPathComponent("done"))
    // The report has finished runs only.
    #expect(try all.report().results.count == 11)
    var started: [TaskRun] = []
    for try await event in all {
      if case .planned(let runs, let done) = event { #expect(runs == 24 && done == 23) }
      if case .started(let run) = event { started.append(run) }
    }
    #expect(started == [broken])
    #expect(try self.lines(in: folder.url) == lines)
  }

  @Test func `an interrupted call goes on to the same results`() async throws {
    let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
    _ = try await benchmark(whole.url).finish()
    let interrupted = try benchmark(parts.url)
    let task = Task {
      var count = 0
      for try await event in interrupted {
        if case .finished = event { count += 1 }
        if count == 5 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    let report = try await benchmark(parts.url).finish()
    #expect(report.isComplete)
    #expect(try lines(in: parts.url) == lines(in: whole.url))
  }

  @Test func `methods can be divided between calls, and the last has the table of all`() async throws {
    let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
    _ = try await benchmark(whole.url).finish()
    var half = try benchmark(parts.url)
    half.chosenMethods = ["LoRA"]
    let first = try await half.finish()
    #expect(!first.isComplete && Set(first.results.map(\.run.method)) == ["LoRA"])
    #expect(first.table.rows.map(\.label) == ["Linear probe", "LoRA"] && first.table.rows[0].score == nil)
    half.chosenMethods = ["Linear probe"]
    #expect(try await half.finish().isComplete)
    #expect(try lines(in: parts.url) == lines(in: whole.url))
  }

  @Test func `two calls at once share the runs of one folder`() async throws {
    let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
    _ = try await benchmark(whole.url).finish()
    let (left, right) = (try benchmark(parts.url), try benchmark(parts.url))
    async let first = left.finish()
    async let second = right.finish()
    _ = try await (first, second)
    #expect(try left.report().isComplete)
    #expect(try lines(in: parts.url) == lines(in: whole.url))
  }

  @Test func `a run that another process is at is left to it`() async throws {
    let folder = try TemporaryFolder()
    let all = try benchmark(folder.url)
    let busy = try all.searches(all.methods[1], all.tasks[0])[1]
    try all.folder(of: busy).create()
    let lock = try FileLock(folder: all.folder(of: busy).url)
    let report = try await all.finish()
    #expect(report.elsewhere == 1 && !report.isComplete && report.failures.isEmpty)
    #expect(report.results.count == 10)
    lock.release()
    #expect(try await all.finish().isComplete)
  }

  @Test func `a rate that diverges is no candidate, and is not tried again`() async throws {
    let folder = try TemporaryFolder()
    let methods = [Method("LoRA", LoRA(rank: 2))]
    let benchmark = try benchmark(folder.url, methods: methods, trials: 1, rates: [1e38, 0.01])
    let report = try await benchmark.finish()
    #expect(report.isComplete && report.failures.isEmpty)
    #expect(Set(report.results.map(\.run.learningRate)) == [0.01] && report.searches.count == 3)
    var started = 0
    for try await event in benchmark { if case .started = event { started += 1 } }
    #expect(started == 0)
  }

  @Test func `a method that diverges with every rate is reported`() async throws {
    let folder = try TemporaryFolder()
    let report = try await benchmark(folder.url, methods: [Method("LoRA", LoRA(rank: 2))], rates: [1e38]).finish()
    #expect(report.failures.map(\.run.task) == ["a", "b", "c"] && report.results.isEmpty)
    #expect(report.failures[0].message.contains("diverged with every learning rate"))
  }

  @Test func `a result that diverges is reported and the others go on`() async throws {
    let folder = try TemporaryFolder()
    let methods = [Method("Exploding", LoRA(rank: 2), learningRate: 1e38), Method("LoRA", LoRA(rank: 2))]
    let report = try await benchmark(folder.url, methods: methods, trials: 1, rates: []).finish()
    #expect(report.failures.map(\.run.method) == ["Exploding", "Exploding", "Exploding"])
    #expect(report.failures[0].message.contains("became NaN or infinite at step"))
    #expect(report.results.map(\.run.method) == ["LoRA", "LoRA", "LoRA"])
    var stopping = try benchmark(folder.url, methods: methods, trials: 1, rates: [])
    stopping.stopsAtError = true
    await #expect(throws: TrainingError.self) { try await stopping.finish() }
  }

  @Test func `other settings in the same folder are refused, more methods and seeds are not`() async throws {
    let folder = try TemporaryFolder()
    let methods = [Method("LoRA", LoRA(rank: 2))]
    _ = try await benchmark(folder.url, methods: methods, trials: 1).finish()
    let changed = try benchmark(folder.url, methods: methods, trials: 1) { $0.batchPerDomain = 9 }
    await #expect(
      throws: BenchmarkError.changed(folder: folder.url.path, differences: ["batch_per_domain: 8 then, 9 now"])
    ) { try await changed.finish() }
    let regrid = try benchmark(folder.url, methods: methods, trials: 1, rates: [0.02])
    await #expect(
      throws: BenchmarkError.changed(
        folder: folder.url.path, differences: ["learning_rates: [1e-06,0.02] then, [0.02] now"])
    ) { try await regrid.finish() }
    let more = methods + [Method("Linear probe", LinearProbe())]
    #expect(try await benchmark(folder.url, methods: more, trials: 2).finish().isComplete)
  }

  @Test func `what cannot be compared is refused before any run`() throws {
    let folder = try TemporaryFolder()
    #expect(throws: AdapterError.self) { try benchmark(folder.url, methods: [Method("Large", LoRA(rank: 7))]) }
    #expect(throws: BenchmarkError.trials(0)) { try benchmark(folder.url, trials: 0) }
    #expect(throws: BenchmarkError.rates([0.1, 0.1])) { try benchmark(folder.url, rates: [0.1, 0.1]) }
    #expect(throws: BenchmarkError.noMethods) { try benchmark(folder.url, methods: []) }
    func make(_ tasks: [TaskExamples]) throws -> TaskBenchmark {
      try TaskBenchmark(
        of: [Method("LoRA", LoRA(rank: 2))], backbone: TinyBackbone(), on: tasks,
        groups: TaskGroups(one: ["a"]), dataset: "tiny", configuration: tinyConfiguration(), output: folder.url)
    }
    #expect(throws: BenchmarkError.noTasks) { try make([]) }
    #expect(throws: BenchmarkError.tasks(["a", "a"])) { try make([tinyTask("a"), tinyTask("a")]) }
    #expect(throws: TaskGroupsError.ungrouped("b")) { try make([tinyTask("a"), tinyTask("b")]) }
  }
}
