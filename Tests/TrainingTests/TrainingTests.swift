import Adapters
import Foundation
import NeuralNetworks
import Reports
import Tensors
import Testing

@testable import Training

@Suite struct TrainingTests {
  private func run(
    _ method: any AdapterConfiguration = LoRA(rank: 2), _ configuration: TrainingConfiguration,
    checkpoints: URL? = nil
  ) throws -> Training {
    let examples = try tinyExamples()
    return try Training(
      of: tinyModel(method, seed: configuration.seed), on: examples,
      fold: Fold(of: examples, target: 2, trialSeed: configuration.trialSeed), configuration: configuration,
      checkpoints: checkpoints)
  }

  @Test(arguments: [LoRA(rank: 2) as any AdapterConfiguration, noisyMixture(), LinearProbe(), FullFineTuning()])
  func `the loss falls and the sources are learned`(_ method: any AdapterConfiguration) async throws {
    let result = try await run(method, tinyConfiguration(steps: 120)).finish()
    let first = try #require(result.evaluations.first?.trainingLoss)
    let last = try #require(result.evaluations.last)
    #expect(try #require(last.trainingLoss) < 0.6 * first)
    #expect(last.validation > 0.85)
    #expect(result.evaluations.map(\.step) == Array(stride(from: 5, through: 120, by: 5)))
  }

  @Test func `a mixture with its auxiliary loss starves no expert`() async throws {
    let examples = try tinyExamples()
    let result = try await run(noisyMixture(), tinyConfiguration(steps: 120)).finish()
    let collector = await RoutingCollector(examples)
    try await collector.collect(result.model, at: Array(0..<90))
    let statistics = await collector.statistics
    #expect(statistics.layers.count == 2)
    for layer in statistics.layers {
      let routing = try #require(statistics.routing(layer: layer))
      #expect(routing.tokens == 4 * 90)
      #expect(routing.load.allSatisfy { $0 > 0.05 })
    }
  }

  @Test func `frozen weights are the same bits afterwards`() async throws {
    let before = try TinyBackbone().tensors.map { try $0.tensor.floats() }
    let result = try await run(noisyMixture(), tinyConfiguration()).finish()
    #expect(try result.model.backbone.tensors.map { try $0.tensor.floats() } == before)
  }

  @Test func `a run is read once`() async throws {
    let run = try run(LoRA(rank: 2), tinyConfiguration())
    _ = try await run.finish()
    await #expect(throws: TrainingError.alreadyStarted) { try await run.finish() }
  }

  @Test func `the same seed gives the same run, another seed another`() async throws {
    let first = try await Trace(run(noisyMixture(), tinyConfiguration()))
    let again = try await Trace(run(noisyMixture(), tinyConfiguration()))
    var other = tinyConfiguration()
    other.seed = 2
    #expect(first == again)
    #expect(first.steps.count == 10)
    #expect(try await Trace(run(noisyMixture(), other)) != first)
  }

  @Test func `a step takes the loss, rate and gradient it reports`() async throws {
    var configuration = tinyConfiguration(steps: 4)
    configuration.schedule = LearningRateSchedule(.linear, warmup: 2)
    var reports: [StepReport] = []
    for try await event in try run(noisyMixture(), configuration) {
      if case .step(let report) = event { reports.append(report) }
    }
    #expect(reports.map(\.step) == [1, 2, 3, 4])
    #expect(reports.map(\.learningRate) == [0.005, 0.01, 0.01, 0.005])
    for report in reports {
      #expect(report.auxiliary > 0)
      #expect(report.loss == report.crossEntropy + report.auxiliary)
      #expect(report.gradientNorm > 0 && report.imagesPerSecond > 0 && report.peakMemory > 0)
    }
  }

  @Test func `auxiliary losses can be left out`() async throws {
    var configuration = tinyConfiguration(steps: 1)
    configuration.auxiliaryLoss = false
    for try await event in try run(noisyMixture(), configuration) {
      if case .step(let report) = event { #expect(report.auxiliary == 0 && report.loss == report.crossEntropy) }
    }
  }

  @Test func `cutting a batch changes the result by rounding only`() async throws {
    var cut = tinyConfiguration()
    cut.accumulation = 5
    let whole = try await Trace(run(LoRA(rank: 2), tinyConfiguration()))
    let parts = try await Trace(run(LoRA(rank: 2), cut))
    for (left, right) in zip(whole.parameters.joined(), parts.parameters.joined()) {
      #expect(abs(left - right) < 1e-4)
    }
    #expect(parts.parameters != whole.parameters)
  }

  @Test func `clipping shortens the step, not the norm reported`() async throws {
    var clipped = tinyConfiguration(steps: 1)
    clipped.clip = 1e-9
    clipped.optimizer.epsilon = 1
    var free = clipped
    free.clip = nil
    let before = try tinyModel().parameters.map { try $0.value.floats() }
    func moved(_ trace: Trace) -> Float {
      zip(trace.parameters.joined(), before.joined()).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }
    let short = try await Trace(run(LoRA(rank: 2), clipped))
    let long = try await Trace(run(LoRA(rank: 2), free))
    #expect(short.steps == long.steps)
    #expect(moved(short) < 1e-6)
    #expect(moved(long) > 1e-4)
  }

  @Test func `bfloat16 trains to nearly the same loss`() async throws {
    var half = tinyConfiguration(steps: 40)
    half.precision = .bfloat16
    let exact = try await run(LoRA(rank: 2), tinyConfiguration(steps: 40)).finish()
    let rounded = try await run(LoRA(rank: 2), half).finish()
    let (left, right) = (
      try #require(exact.evaluations.last?.trainingLoss), try #require(rounded.evaluations.last?.trainingLoss)
    )
    #expect(abs(left - right) < 0.05)
    #expect(left != right)
    #expect(rounded.model.parameters.allSatisfy { $0.value.dtype == .float32 })
  }

  @Test func `the first of the best evaluations is selected, with its weights`() async throws {
    let result = try await run(LoRA(rank: 2), tinyConfiguration(steps: 40)).finish()
    let best = try #require(result.evaluations.map(\.validation).max())
    let selected = try #require(result.selected)
    #expect(selected.scores == result.evaluations.first { $0.validation == best })
    try await result.restoreSelected()
    let examples = try tinyExamples()
    let fold = Fold(of: examples, target: 2, trialSeed: 0)
    let again = try await Evaluator(examples).scores(
      of: result.model, fold: fold, step: selected.scores.step, scoresTraining: false,
      trainingLoss: selected.scores.trainingLoss)
    #expect(again.scores == selected.scores)
    let (found, kept) = (try #require(again.target), try #require(selected.targetLogits))
    #expect(try found.isEqual(to: kept))
  }

  @Test func `a loss that is not finite stops the run and names step, layer and checkpoint`() async throws {
    let folder = try TemporaryFolder()
    var configuration = tinyConfiguration(steps: 50)
    configuration.checkpointInterval = 2
    let training = try run(LoRA(rank: 2), configuration, checkpoints: folder.url)
    var steps = 0
    do {
      for try await event in training {
        guard case .step(let report) = event else { continue }
        steps = report.step
        // Between two steps, from outside: what an exploding adapter would look like.
        if report.step == 5 { try training.model.adapter.parameters[3].value.detached().fillInPlace(.nan) }
      }
      Issue.record("the run went on")
    } catch TrainingError.notFinite(let stop) {
      #expect(stop.quantity == .loss)
      #expect(stop.step == steps + 1)
      #expect(stop.site == "blocks.1.attn.qkv")
      #expect(stop.parameter != nil)
      #expect(stop.learningRate == 0.01)
      let last = try #require(Checkpoints(in: folder.url).steps().last)
      #expect(stop.checkpoint?.lastPathComponent == "step-\(last)")
      #expect("\(TrainingError.notFinite(stop))".contains("'blocks.1.attn.qkv'"))
    }
  }

  @Test func `cancelling leaves a checkpoint, and the run goes on from there`() async throws {
    let folder = try TemporaryFolder()
    // Many more steps than pass while the reader's cancellation is on its way.
    var configuration = tinyConfiguration(steps: 500)
    configuration.evaluationInterval = 100
    let long = configuration
    let straight = try await Trace(run(noisyMixture(), long))
    let task = Task {
      var steps = 0
      for try await event in try run(noisyMixture(), long, checkpoints: folder.url) {
        guard case .step(let report) = event else { continue }
        steps = report.step
        if steps == 20 { withUnsafeCurrentTask { $0?.cancel() } }
      }
      return steps
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    let left = try #require(Checkpoints(in: folder.url).steps().last)
    #expect((20..<500).contains(left))
    let rest = try await Trace(run(noisyMixture(), long, checkpoints: folder.url))
    #expect(rest.parameters == straight.parameters)
    #expect(rest.steps == Array(straight.steps.dropFirst(left)))
  }

  @Test func `a classifier of other classes, a target that is not there and an empty source are refused`() throws {
    let examples = try tinyExamples()
    let fold = Fold(of: examples, target: 2, trialSeed: 0)
    var other = try tinyModel()
    try other.giveHead(.linear(["a", "b"]), seed: 0)
    #expect(throws: TrainingError.classes(head: ["a", "b"], examples: ["disc", "ring", "star"])) {
      try Training(of: other, on: examples, fold: fold)
    }
    #expect(throws: TrainingError.unknownTarget(5, domains: 3)) {
      try Training(of: tinyModel(), on: examples, fold: Fold(of: examples, target: 5, trialSeed: 0))
    }
    #expect(throws: TrainingError.emptySource("ink")) {
      try Training(of: tinyModel(), on: examples, fold: Fold(of: examples, target: 2, trialSeed: 0, holdout: 1))
    }
    #expect(throws: TrainingError.noValidation("ink")) {
      try Training(of: tinyModel(), on: examples, fold: Fold(of: examples, target: 2, trialSeed: 0, holdout: 0))
    }
  }
}
