import Adapters
import Formats
import Foundation
import NeuralNetworks
import Reports
import Tensors
import Testing

@testable import Training

@Suite struct BenchmarkTests {
  private func benchmark(
    _ output: URL, methods: [Method]? = nil, targets: [String]? = ["ink", "pen"], trials: Int = 2, rates: [Double] = [],
    _ change: (inout TrainingConfiguration) -> Void = { _ in }
  ) throws -> Benchmark {
    var configuration = tinyConfiguration(steps: 10)
    change(&configuration)
    return try Benchmark(
      of: methods ?? [Method("Linear probe", LinearProbe()), Method("LoRA", LoRA(rank: 2), learningRate: 0.02)],
      backbone: TinyBackbone(), on: tinyExamples(), dataset: "tiny", targets: targets, trials: trials,
      configuration: configuration, learningRates: rates, output: output)
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

  @Test func `every method is scored on every target in every trial`() async throws {
    let folder = try TemporaryFolder()
    let report = try await benchmark(folder.url).finish()
    #expect(report.failures.isEmpty && report.badLines.isEmpty)
    #expect(report.records.count == 2 * 2 * 2 * 2)
    let record = try #require(report.records.first)
    #expect(record.run.dataset == "tiny" && record.run.algorithm == "Linear probe" && record.run.testDomains == [0])
    #expect(record.domains.map(\.inCount) == [24, 24, 24])
    #expect(record.domains.map(\.outCount) == [6, 6, 6])
    // Training images are not scored unless asked for; the target is, on both parts.
    #expect(record.domains[1].inAccuracy.isNaN && !record.domains[0].inAccuracy.isNaN)
    #expect(record.epoch == 5 * 8 / 24.0)
    let table = report.table()
    #expect(table.rows.map(\.label) == ["Linear probe", "LoRA"])
    #expect(table.rows.allSatisfy { $0.cells[0]?.trials == 2 && $0.cells[1] == nil && $0.cells[2]?.trials == 2 })
  }

  @Test func `the same call gives the same results but for times`() async throws {
    let (first, second) = (try TemporaryFolder(), try TemporaryFolder())
    _ = try await benchmark(first.url).finish()
    _ = try await benchmark(second.url).finish()
    let lines = try lines(in: first.url)
    #expect(lines.count == 16)
    #expect(try self.lines(in: second.url) == lines)
  }

  @Test func `what is done is not done again, and what is missing is`() async throws {
    let folder = try TemporaryFolder()
    let all = try benchmark(folder.url)
    _ = try await all.finish()
    let lines = try lines(in: folder.url)
    // As a process leaves it that dies in the middle of a run: records, no mark, a line cut short.
    let broken = all.folder(of: all.runs[3])
    try FileManager.default.removeItem(at: broken.url.appendingPathComponent("done"))
    let handle = try FileHandle(forWritingTo: broken.results.url)
    try handle.seekToEnd()
    try handle.write(contentsOf: Data(#"{"args": {"dataset""#.utf8))
    try handle.close()
    var started: [BenchmarkRun] = []
    for try await event in all {
      if case .planned(let runs, let done) = event { #expect(runs.count == 8 && done == 7) }
      if case .started(let run, _, _) = event { started.append(run) }
    }
    #expect(started == [all.runs[3]])
    #expect(try self.lines(in: folder.url) == lines)
  }

  @Test func `an interrupted run goes on from its checkpoint`() async throws {
    let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
    let method = [Method("Mixture", noisyMixture())]
    func make(_ url: URL) throws -> Benchmark {
      try benchmark(url, methods: method, targets: ["oil"], trials: 1) {
        // Many more than pass while the reader's cancellation is on its way.
        $0.steps = 400
        $0.evaluationInterval = 100
        $0.checkpointInterval = 50
      }
    }
    _ = try await make(whole.url).finish()
    let interrupted = try make(parts.url)
    let task = Task {
      for try await event in interrupted {
        if case .training(_, .step(let report)) = event, report.step == 8 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(interrupted.folder(of: interrupted.runs[0]).state == .incomplete)
    var first: Int?
    for try await event in try make(parts.url) {
      if case .training(_, .step(let report)) = event { first = first ?? report.step }
    }
    #expect(try #require(first) > 8)
    #expect(try lines(in: parts.url) == lines(in: whole.url))
    let checkpoints = interrupted.folder(of: interrupted.runs[0]).url.appendingPathComponent("checkpoints")
    #expect(!FileManager.default.fileExists(atPath: checkpoints.path))
  }

  @Test func `a run that fails is reported and the others go on`() async throws {
    let folder = try TemporaryFolder()
    let methods = [Method("Exploding", LoRA(rank: 2), learningRate: 1e38), Method("LoRA", LoRA(rank: 2))]
    let report = try await benchmark(folder.url, methods: methods, targets: ["ink"], trials: 1).finish()
    #expect(report.failures.map(\.run.method) == ["Exploding"])
    #expect(report.failures[0].message.contains("became NaN or infinite at step"))
    #expect(Set(report.records.map(\.run.algorithm)) == ["LoRA"])
    #expect(report.learningRates()["Exploding"] == nil)
    var stopping = try benchmark(folder.url, methods: methods, targets: ["ink"], trials: 1)
    stopping.stopsAtError = true
    await #expect(throws: TrainingError.self) { try await stopping.finish() }
  }

  @Test func `an ensemble is the argmax of the mean of logits`() async throws {
    let folder = try TemporaryFolder()
    let benchmark = try benchmark(folder.url, targets: ["pen"], trials: 3)
    let report = try await benchmark.finish()
    let examples = try tinyExamples()
    for method in ["Linear probe", "LoRA"] {
      let ensemble = try #require(report.ensembles.first { $0.method == method })
      #expect(ensemble.models == 3 && ensemble.target == 2)
      // By hand: each image's logits over the three runs, whatever the order of their splits.
      var sums = [Int: [Float]]()
      for run in benchmark.runs where run.method == method {
        let file = try SafetensorsFile(
          contentsOf: benchmark.folder(of: run).url.appendingPathComponent("target.safetensors"))
        let logits = try file.tensor("logits").floats()
        for (row, index) in try file.tensor("indices").integers().enumerated() {
          sums[index] = zip(sums[index] ?? [0, 0, 0], logits[3 * row..<3 * row + 3]).map { $0 + $1 }
        }
      }
      #expect(sums.count == 30)
      let right = sums.count { index, logits in
        logits.firstIndex(of: logits.max() ?? 0) == examples.labels[index]
      }
      #expect(ensemble.targetWhole == Double(right) / 30)
    }
  }

  @Test func `a grid of rates is chosen from by the sources alone`() async throws {
    let folder = try TemporaryFolder()
    let report = try await benchmark(folder.url, targets: ["oil"], trials: 1, rates: [1e-7, 0.03]) { $0.steps = 60 }
      .finish()
    #expect(report.learningRates() == ["Linear probe": 0.03, "LoRA": 0.03])
    #expect(Set(report.records.map(\.run.hparamsSeed)) == [1, 2])
    #expect(report.ensembles.isEmpty)
    let tuned = [Method("LoRA", LoRA(rank: 2)), Method("Other", LinearProbe(), learningRate: 1)]
      .with(learningRates: report.learningRates())
    #expect(tuned.map(\.learningRate) == [0.03, 1])
  }

  @Test func `other settings in the same folder are refused, the difference listed`() async throws {
    let folder = try TemporaryFolder()
    let methods = [Method("LoRA", LoRA(rank: 2))]
    _ = try await benchmark(folder.url, methods: methods, targets: ["ink"], trials: 1).finish()
    let changed = try benchmark(folder.url, methods: methods, targets: ["ink"], trials: 1) { $0.batchPerDomain = 9 }
    let expected = BenchmarkError.changed(
      folder: folder.url.path, differences: ["batch_per_domain: 8 then, 9 now"])
    await #expect(throws: expected) { try await changed.finish() }
    // More methods and trials are no change.
    let more = methods + [Method("Linear probe", LinearProbe())]
    let report = try await benchmark(folder.url, methods: more, targets: ["ink"], trials: 2).finish()
    #expect(report.records.count == 2 * 2 * 2)
  }

  @Test func `a method that does not fit is refused before any run`() throws {
    let folder = try TemporaryFolder()
    #expect(throws: AdapterError.self) {
      try benchmark(folder.url, methods: [Method("LoRA", LoRA(rank: 2)), Method("Large", LoRA(rank: 7))])
    }
    #expect(throws: BenchmarkError.target("inc", suggestion: " Did you mean 'ink'?")) {
      try benchmark(folder.url, targets: ["inc"])
    }
    #expect(throws: BenchmarkError.names(["A", "A"])) {
      try benchmark(folder.url, methods: [Method("A", LinearProbe()), Method("A", LoRA(rank: 2))])
    }
    #expect(throws: BenchmarkError.trials(0)) { try benchmark(folder.url, trials: 0) }
  }
}
