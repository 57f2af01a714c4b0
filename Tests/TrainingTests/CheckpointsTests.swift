import Adapters
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Training

@Suite struct CheckpointsTests {
  private func run(
    _ folder: URL?, steps: Int = 10, _ change: (inout TrainingConfiguration) -> Void = { _ in }
  ) throws -> Training {
    var configuration = tinyConfiguration(steps: steps)
    configuration.checkpointInterval = 5
    change(&configuration)
    let examples = try tinyExamples()
    return try Training(
      of: tinyModel(noisyMixture()), on: examples, fold: Fold(of: examples, target: 2, trialSeed: 0),
      configuration: configuration, checkpoints: folder)
  }

  @Test func `five steps and five resumed are ten, bit for bit`() async throws {
    let (folder, other) = (try TemporaryFolder(), try TemporaryFolder())
    let straight = try await Trace(run(other.url))
    // A run of the same ten steps that gets no further than its first checkpoint.
    let half = try run(folder.url)
    let killed = Task {
      for try await event in half {
        if case .checkpoint = event { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    // It may have gone a step further, and have said so in another checkpoint: as if that had not reached the disk.
    _ = await killed.result
    for step in Checkpoints(in: folder.url).steps() where step > 5 {
      try FileManager.default.removeItem(at: Checkpoints(in: folder.url).url(of: step))
    }
    #expect(Checkpoints(in: folder.url).steps() == [5])
    let rest = try await Trace(run(folder.url))
    #expect(rest.parameters == straight.parameters)
    #expect(rest.steps == Array(straight.steps.suffix(5)))
    #expect(rest.scores == Array(straight.scores.suffix(1)))
  }

  @Test func `a finished run is not trained again, and its result is complete`() async throws {
    let folder = try TemporaryFolder()
    let first = try await run(folder.url).finish()
    let again = try run(folder.url)
    var steps = 0
    var resumed: [Scores] = []
    var result: TrainingResult?
    for try await event in again {
      switch event {
      case .step: steps += 1
      case .resumed(10, let evaluations): resumed = evaluations
      case .finished(let finished): result = finished
      default: break
      }
    }
    #expect(steps == 0)
    #expect(resumed == first.evaluations)
    #expect(result?.evaluations == first.evaluations)
    #expect(result?.selected?.scores == first.selected?.scores)
    let logits = (try #require(result?.selected?.targetLogits), try #require(first.selected?.targetLogits))
    #expect(try logits.0.isEqual(to: logits.1))
    #expect(result?.checkpoint?.lastPathComponent == "step-10")
  }

  @Test func `resuming with other settings is refused, each difference listed`() async throws {
    let folder = try TemporaryFolder()
    _ = try await run(folder.url).finish()
    let changed = try run(folder.url) {
      $0.learningRate = 0.02
      $0.batchPerDomain = 4
    }
    let path = Checkpoints(in: folder.url).url(of: 10).path
    let expected = TrainingError.changed(
      checkpoint: path,
      differences: ["batch_per_domain: 8 then, 4 now", "learning_rate: 0.01 then, 0.02 now"])
    await #expect(throws: expected) { try await changed.finish() }
    // Where checkpoints go changes no number.
    _ = try await run(folder.url) { $0.checkpointInterval = 2 }.finish()
  }

  @Test func `another adapter cannot take over a checkpoint`() async throws {
    let folder = try TemporaryFolder()
    _ = try await run(folder.url).finish()
    let examples = try tinyExamples()
    var configuration = tinyConfiguration()
    configuration.checkpointInterval = 5
    let other = try Training(
      of: tinyModel(LoRA(rank: 2)), on: examples, fold: Fold(of: examples, target: 1, trialSeed: 0),
      configuration: configuration, checkpoints: folder.url)
    let error = await #expect(throws: TrainingError.self) { try await other.finish() }
    guard case .changed(_, let differences) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(differences.contains("adapter: \"MIXTURE_OF_ADAPTERS\" then, \"LORA\" now"))
    #expect(differences.contains("target: 2 then, 1 now"))
  }

  @Test func `a second run in the same folder is refused while the first is at work`() async throws {
    let folder = try TemporaryFolder()
    var first = try run(folder.url, steps: 5_000).makeAsyncIterator()
    guard case .started = try await first.next() else {
      Issue.record("the run did not start")
      return
    }
    let error = await #expect(throws: FileLockError.self) { try await run(folder.url).finish() }
    let holder = ProcessInfo.processInfo.processIdentifier
    #expect(error?.description.contains("is in use by the process \(holder)") == true)
  }

  @Test func `old checkpoints go, only those beyond the number kept`() async throws {
    let folder = try TemporaryFolder()
    let kept = folder.url.appendingPathComponent("step-1-mine")
    try FileManager.default.createDirectory(at: kept, withIntermediateDirectories: true)
    _ = try await run(folder.url, steps: 13) {
      $0.checkpointInterval = 2
      $0.keptCheckpoints = 3
    }.finish()
    #expect(Checkpoints(in: folder.url).steps() == [10, 12, 13])
    #expect(FileManager.default.fileExists(atPath: kept.path))
  }

  @Test func `what a killed process leaves is no checkpoint and does no harm`() async throws {
    let (folder, other) = (try TemporaryFolder(), try TemporaryFolder())
    let straight = try await Trace(run(other.url))
    let files = FileManager.default
    // A folder under a checkpoint's name without a manifest, and a temporary one of a process that is gone.
    let torn = Checkpoints(in: folder.url).url(of: 5)
    try files.createDirectory(at: torn, withIntermediateDirectories: true)
    try Data("half".utf8).write(to: torn.appendingPathComponent("adapter.safetensors"))
    let temporary = folder.url.appendingPathComponent(".tmp-999999999-1")
    try files.createDirectory(at: temporary, withIntermediateDirectories: true)
    #expect(Checkpoints(in: folder.url).steps() == [])
    #expect(try await Trace(run(folder.url)) == straight)
    #expect(Checkpoints(in: folder.url).steps() == [5, 10])
    #expect(!files.fileExists(atPath: temporary.path))
  }

  @Test func `a checkpoint whose bytes have changed is refused by name`() async throws {
    let folder = try TemporaryFolder()
    _ = try await run(folder.url).finish()
    let file = Checkpoints(in: folder.url).url(of: 10).appendingPathComponent("adapter.safetensors")
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: file)
    let error = await #expect(throws: ManifestError.self) { try await run(folder.url).finish() }
    #expect(error?.description.contains("'adapter.safetensors' has other contents (sha256)") == true)
  }

  @Test func `the members of a composition shape the features that a head trains on, and come back with a checkpoint`()
    async throws
  {
    let folder = try TemporaryFolder()
    let average = OutputAverage(of: [CompositionMember("a", LoRA(rank: 2)), CompositionMember("b", LoRA(rank: 1))])
    let examples = try tinyExamples()
    var configuration = tinyConfiguration(steps: 10)
    configuration.checkpointInterval = 5
    let fold = try Fold(of: examples, target: 2, trialSeed: 0)
    func finish(_ model: AdaptedModel) async throws -> TrainingResult {
      try await Training(
        of: model, on: examples, fold: fold, configuration: configuration, checkpoints: folder.url
      ).finish()
    }
    let trained = try tinyModel(average)
    for parameter in trained.adapter.frozen {
      try parameter.load(.normal(parameter.value.shape, from: Generator(seed: 3)))
    }
    let result = try await finish(trained)
    let target = fold.parts[2]
    let logits = try await Evaluator(examples).logits(of: trained, at: target.in + target.out)
    #expect(try #require(result.selected?.targetLogits).isClose(to: logits, tolerance: 1e-4))

    let resumed = try tinyModel(average)
    #expect(try !resumed.adapter.frozen[1].value.isEqual(to: trained.adapter.frozen[1].value))
    _ = try await finish(resumed)
    for (one, other) in zip(resumed.adapter.frozen, trained.adapter.frozen) {
      #expect(try one.value.isEqual(to: other.value))
    }
  }
}
