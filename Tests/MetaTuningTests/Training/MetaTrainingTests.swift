import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct MetaTrainingTests {
  /// What a run did, without what depends on the clock.
  struct Trace: Equatable {
    var steps: [String] = []
    var validations: [MetaValidation] = []
    var state: [[Float]] = []
    var names: [String] = []

    @Compute
    init(_ run: MetaTraining) async throws {
      for try await event in run {
        switch event {
        case .step(let step):
          steps.append(
            "\(step.step) \(step.loss) \(step.crossEntropy) \(step.distillation) \(step.accuracy) \(step.mixing) "
              + "\(step.hardSparsity) \(step.multipliers) \(step.rateFactor) \(step.temperature)")
        case .validated(let validation): validations.append(validation)
        case .finished(let result):
          state = try result.model.state.map { try $0.tensor.detached().floats() }
          names = result.model.state.map(\.name)
        case .started, .resumed, .checkpoint: break
        }
      }
    }
  }

  @Compute
  private func run(
    _ configuration: MetaConfiguration, checkpoints: URL? = nil, validates: Bool = true
  ) throws -> MetaTraining {
    let examples = try Tiny.images()
    let model = try MetaModel(of: Tiny.vision(), configuration: configuration)
    return try MetaTraining(
      of: model, on: examples, sampler: Tiny.sampler(examples),
      validation: validates ? [Tiny.sampler(examples, seed: 5, classes: 6..<10)] : [], checkpoints: checkpoints)
  }

  // MARK: Dense meta-tuning

  /// Dense tuning by hand: automatic differentiation, momentum, decay towards the pretrained weights.
  @Compute
  private func denseReference(_ backbone: any Backbone, _ configuration: MetaConfiguration) throws -> [Tensor] {
    let examples = try Tiny.images()
    let task = try TaskWeights(of: backbone)
    let start = try task.tensors.map { try $0.detached().clone() }
    var velocity = try start.map { try $0.zerosLike() }
    for step in 0..<configuration.steps {
      var losses: [Tensor] = []
      for place in 0..<2 {
        let episode = try Tiny.episode(2 * step + place, of: examples)
        let head = try Prototypes.means(
          of: task.features(episode.support), labels: episode.supportLabels, ways: episode.ways)
        losses.append(
          try Prototypes.logits(task.features(episode.query), head).crossEntropy(episode.queryTargets))
      }
      try Tensor.stacked(losses).mean().backward()
      for (index, gradient) in try task.takeGradients().enumerated() {
        try withoutGradients {
          let decay = try (task.tensors[index].detached() - start[index]) * configuration.deltaDecay
          velocity[index] = try velocity[index] * configuration.deltaMomentum + gradient + decay
          try task.tensors[index].addInPlace(velocity[index], scale: -configuration.deltaRate)
        }
      }
    }
    return try zip(task.tensors, start).map { try $0.detached() - $1 }
  }

  @Compute
  @Test(arguments: [MetaMethod.pmf, .singleExpert])
  func `a single expert with open gates is dense meta-tuning`(_ method: MetaMethod) async throws {
    let backbone = try DoublePrecision(Tiny.vision())
    let configuration = Tiny.configuration(method, steps: 10) {
      $0.sparsity = nil
      $0.distillation = 0
      $0.deltaDecay = 0.01
    }
    let model = try MetaModel(of: backbone, configuration: configuration)
    if let experts = model.weights as? SparseExperts {
      for offset in experts.offsets { try offset.logits?.fillInPlace(4.605) }
      try experts.stateChanged()
    }
    let examples = try Tiny.images()
    _ = try await MetaTraining(of: model, on: examples, sampler: Tiny.sampler(examples)).finish()
    let expected = try denseReference(backbone, configuration)
    let found = model.state.filter { $0.name.hasPrefix("weights.offset") }.map(\.tensor)
    #expect(found.count == expected.count)
    for (found, expected) in zip(found, expected) {
      #expect(try found.isClose(to: expected, tolerance: 1e-10))
    }
    #expect(try expected.map { try $0.abs().max().item() }.max() ?? 0 > 0.01)
  }

  // MARK: Determinism and checkpoints

  private static let variants: [(MetaMethod, MetaPreset)] = [
    (.smat, .recommended), (.smat, .officialCode), (.softMerge, .recommended), (.pmf, .recommended),
    (.randomMasks, .paper),
  ]

  @Compute
  @Test(arguments: variants)
  func `a run resumed from a checkpoint is the uninterrupted one, bit for bit`(
    _ method: MetaMethod, _ preset: MetaPreset
  )
    async throws
  {
    let configuration = Tiny.configuration(method, preset: preset, steps: 6) { $0.checkpointInterval = 2 }
    let whole = try await Trace(run(configuration))
    #expect(whole.steps.count == 6 && whole.validations.map(\.step) == [3, 6])
    let folder = try ScratchFolder()
    _ = try await run(configuration, checkpoints: folder.url).finish()
    // As if the run had been stopped after the fourth step.
    try FileManager.default.removeItem(at: Checkpoints(in: folder.url).url(of: 6))
    let rest = try await Trace(run(configuration, checkpoints: folder.url))
    #expect(rest.steps == Array(whole.steps.suffix(2)))
    #expect(rest.validations == Array(whole.validations.suffix(1)))
    #expect(rest.names == whole.names && rest.state == whole.state)
  }

  @Compute
  @Test func `the best validation's state comes back, also from a checkpoint`() async throws {
    let configuration = Tiny.configuration(.smat, steps: 6) { $0.checkpointInterval = 2 }
    let folder = try ScratchFolder()
    let result = try await run(configuration, checkpoints: folder.url).finish()
    let best = try #require(result.best)
    #expect(best.validation.accuracy == result.validations.map(\.accuracy).max())
    #expect(best.validation == result.validations.first { $0.accuracy == best.validation.accuracy })
    #expect(best.state.tasksSeen == 2 * best.validation.step)
    // Nothing is left to do: the run is read back.
    let again = try await run(configuration, checkpoints: folder.url).finish()
    #expect(again.best?.validation == best.validation)
    try again.restoreBest()
    #expect(again.model.tasksSeen == best.state.tasksSeen)
    let saved = Dictionary(uniqueKeysWithValues: best.state.tensors.map { ($0.name, $0.tensor) })
    for (name, tensor) in again.model.state {
      #expect(try tensor.detached().isEqual(to: #require(saved[name]).detached()), "\(name)")
    }
    let without = try await run(Tiny.configuration(.smat) { $0.keepsBest = false }).finish()
    #expect(without.best == nil && without.validations.count == 2)
  }

  @Compute
  @Test func `a best state that is the checkpoint's own is not written twice`() async throws {
    let configuration = Tiny.configuration(.smat, steps: 3) {
      $0.validationInterval = 3
      $0.checkpointInterval = 1
    }
    let folder = try ScratchFolder()
    let result = try await run(configuration, checkpoints: folder.url).finish()
    #expect(result.best?.validation.step == 3)
    let files = try FileManager.default.contentsOfDirectory(atPath: #require(result.checkpoint).path)
    #expect(files.contains(MetaModel.tensorsFile) && !files.contains("best"))
    let again = try #require(try await run(configuration, checkpoints: folder.url).finish().best)
    #expect(again.validation == result.best?.validation && again.state.tasksSeen == 6)
    for (read, trained) in zip(
      again.state.tensors.sorted { $0.name < $1.name }, result.model.state.sorted { $0.name < $1.name })
    {
      #expect(try read.name == trained.name && read.tensor.isEqual(to: trained.tensor.detached()), "\(read.name)")
    }
  }

  @Compute
  @Test func `a checkpoint and the best state in it say what was trained on, and a resumed run how far it is`()
    async throws
  {
    let configuration = Tiny.configuration(.smat, steps: 4) {
      $0.checkpointInterval = 2
      // All validations are equal, so that the best is the first, not that of the last step.
      $0.deltaRate = 1e-12
    }
    let folder = try ScratchFolder()
    let first = try run(configuration, checkpoints: folder.url)
    let checkpoint = try #require(try await first.finish().checkpoint)
    let expected = try TrainedClasses(training: first.sampler, validation: first.validation)
    #expect(expected.datasets[0].training.count == 6 && expected.datasets[0].validation.count == 4)
    for place in [checkpoint, checkpoint.appendingPathComponent("best", isDirectory: true)] {
      #expect(try MetaModel.trainedClasses(in: place) == expected)
      // Training goes on from either.
      let names = try SafetensorsFile(contentsOf: place.appendingPathComponent(MetaModel.tensorsFile)).names
      #expect(names.contains { $0.hasPrefix("weights.momentum.") })
    }
    // As if the run had been stopped after the second step.
    try FileManager.default.removeItem(at: checkpoint)
    let rest = try run(configuration, checkpoints: folder.url)
    var started: [Int] = []
    for try await event in rest {
      if case .started(steps: 4, tasksPerStep: 2, let completed) = event { started.append(completed) }
    }
    #expect(started == [2])
    #expect(rest.model.trainedOn == expected)
    try first.model.restore(first.model.snapshot())
    #expect(first.model.trainedOn == expected)
  }

  @Compute
  @Test func `a checkpoint of other settings, episodes or examples is not resumed`() async throws {
    let folder = try ScratchFolder()
    let configuration = Tiny.configuration(.smat, steps: 2)
    _ = try await run(configuration, checkpoints: folder.url).finish()
    func differences(_ run: MetaTraining) async throws -> [String] {
      do {
        _ = try await run.finish()
        return []
      } catch TrainingError.changed(_, let differences) {
        return differences
      }
    }
    let other = Tiny.configuration(.smat, steps: 2) { $0.deltaRate = 0.5 }
    #expect(
      try await differences(run(other, checkpoints: folder.url)) == ["delta_rate: 0.02 then, 0.5 now"])
    let examples = try Tiny.images()
    let held = try Tiny.sampler(examples, seed: 5, classes: 6..<10)
    for (samplers, key) in [
      ([try Tiny.sampler(examples, seed: 4), held], "training_episodes"),
      ([try Tiny.sampler(examples, classes: 1..<7), held], "training_episodes"),
      ([try Tiny.sampler(examples)], "validation_sets"),
    ] {
      let changed = try MetaTraining(
        of: MetaModel(of: Tiny.vision(), configuration: configuration), on: examples, sampler: samplers[0],
        validation: Array(samplers.dropFirst()), checkpoints: folder.url)
      #expect(try await differences(changed).map { $0.prefix(key.count) } == [key.prefix(key.count)])
    }
    let images = try Tiny.images(seed: 5)
    let others = try MetaTraining(
      of: MetaModel(of: Tiny.vision(), configuration: configuration), on: images, sampler: Tiny.sampler(images),
      validation: [held], checkpoints: folder.url)
    #expect(try await differences(others).map { $0.prefix(8) } == ["examples"])
    // What changes no number may change.
    let kept = Tiny.configuration(.smat, steps: 2) { $0.checkpointInterval = 1 }
    #expect(try await differences(run(kept, checkpoints: folder.url)) == [])
  }

  /// Every tensor and parameter that an object holds, however deep, but for the frozen network.
  private func walk(_ value: Any, _ path: String, into found: inout [(path: String, tensor: Tensor)]) {
    if let tensor = value as? Tensor {
      found.append((path, tensor))
    } else if let parameter = value as? Parameter {
      found.append((path, parameter.value))
    } else {
      for child in Mirror(reflecting: value).children where child.label != "backbone" && child.label != "base" {
        walk(child.value, "\(path).\(child.label ?? "")", into: &found)
      }
    }
  }

  @Compute
  @Test(arguments: variants.dropLast())
  func `every tensor that trains is stepped by an optimizer and stands in the checkpoint`(
    _ method: MetaMethod, _ preset: MetaPreset
  ) async throws {
    let folder = try ScratchFolder()
    // The code's first epoch has no rate.
    let configuration = Tiny.configuration(method, preset: preset, steps: 4) { $0.schedule = .constant }
    let run = try run(configuration, checkpoints: folder.url)
    let model = run.model
    var found: [(path: String, tensor: Tensor)] = []
    walk(model.weights, "weights", into: &found)
    if let hypernetwork = model.hypernetwork { walk(hypernetwork, "hypernetwork", into: &found) }
    #expect(found.count >= model.state.count)
    let before = try found.map { try $0.tensor.detached().clone() }
    let checkpoint = try #require(try await run.finish().checkpoint)

    let file = try SafetensorsFile(contentsOf: checkpoint.appendingPathComponent(MetaModel.tensorsFile))
    let state = model.state
    for ((path, tensor), start) in zip(found, before) {
      let entry = state.first { $0.tensor.sharesStorage(with: tensor) && $0.tensor.count == tensor.count }
      let name = try #require(entry?.name, "\(path) is in no checkpoint")
      #expect(try file.tensor(name).isEqual(to: tensor.detached()), "\(name)")
      #expect(try !tensor.detached().isEqual(to: start), "\(name) was not stepped")
    }
    guard let hypernetwork = model.hypernetwork else { return }
    let moments = try SafetensorsFile(contentsOf: checkpoint.appendingPathComponent("optimizer.safetensors"))
    #expect(
      Set(moments.names)
        == Set(hypernetwork.parameters.flatMap { ["mean.\($0.name)", "square.\($0.name)", "steps.\($0.name)"] }))
    #expect(found.filter { $0.tensor.requiresGradient }.count == hypernetwork.parameters.count)
  }

  @Compute
  @Test func `a cancelled run leaves a checkpoint of whole steps, and goes on from it`() async throws {
    let configuration = Tiny.configuration(.smat, steps: 40)
    let whole = try await Trace(run(configuration))
    let folder = try ScratchFolder()
    let interrupted = try run(configuration, checkpoints: folder.url)
    let reading = Task {
      for try await event in interrupted {
        if case .step(let step) = event, step.step == 3 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    await #expect(throws: CancellationError.self) { try await reading.value }
    let reached = try #require(Checkpoints(in: folder.url).steps().last)
    try #require((3..<40).contains(reached))
    let rest = try await Trace(run(configuration, checkpoints: folder.url))
    #expect(rest.steps == Array(whole.steps.dropFirst(reached)))
    #expect(rest.state == whole.state)
  }

  // MARK: The constraint

  @Compute
  @Test func `in 100 episodes masks reach their sparsity and the loss falls`() async throws {
    let configuration = Tiny.configuration(.smat, steps: 100) {
      $0.tasksPerStep = 1
      $0.experts = 2
      $0.deltaRate = 0.01
      // An expert that tasks seldom use is pruned as slowly: here none is.
      $0.temperatureEnd = 5
      $0.maskRatePerWeight = 4
      $0.multiplierRate = 0.2
    }
    var steps: [MetaStep] = []
    for try await event in try run(configuration, validates: false) {
      if case .step(let step) = event { steps.append(step) }
    }
    #expect(steps.count == 100)
    let last = try #require(steps.last)
    #expect(last.hardSparsity.count == 2)
    for sparsity in last.hardSparsity { #expect(abs(sparsity - 0.9) <= 0.01, "\(last.hardSparsity)") }
    func mean(_ part: ArraySlice<MetaStep>) -> Double { part.reduce(0) { $0 + $1.loss } / Double(part.count) }
    #expect(
      mean(steps.suffix(20)) < 0.9 * mean(steps.prefix(20)), "\(mean(steps.prefix(20))), \(mean(steps.suffix(20)))")
    #expect(steps.flatMap(\.mixing).allSatisfy { mixing in abs(mixing.reduce(0, +) - 1) < 1e-4 })
  }

  @Compute
  @Test func `routing noise differs from task to task`() async throws {
    let patterns = try Tensor.normal([4, 3, 8, 8], from: Generator(seed: 4))
    // Every image of a class is the same, so that all tasks of four classes are.
    let examples = try TensorExamples(
      inputs: patterns.selected(0, Tensor((0..<32).map { Int64($0 / 8) })), labels: (0..<32).map { $0 / 8 },
      classes: ["a", "b", "c", "d"], domains: ["patterns"], counts: [32])
    let configuration = Tiny.configuration(.smat, steps: 10) {
      $0.hypernetworkRate = 1e-12
      $0.temperatureEnd = 5
    }
    let model = try MetaModel(of: Tiny.vision(), configuration: configuration)
    var mixing: [Double] = []
    for try await event in try MetaTraining(of: model, on: examples, sampler: Tiny.sampler(examples, classes: 0..<4)) {
      if case .step(let step) = event { mixing += step.mixing.map { $0[0] } }
    }
    #expect(Set(mixing.map { Int($0 * 1000) }).count >= 18, "\(mixing)")
    let draws = try (0..<4000).map { try MetaTrainingLoop.noise(1, seed: 1, task: $0).item() }
    #expect(try MetaTrainingLoop.noise(3, seed: 1, task: 7).isEqual(to: MetaTrainingLoop.noise(3, seed: 1, task: 7)))
    // The logistic distribution: mean 0, variance π²/3.
    #expect(abs(draws.reduce(0, +) / 4000) < 0.1)
    #expect(abs(draws.reduce(0) { $0 + $1 * $1 } / 4000 - 3.29) < 0.3)
  }

  @Compute
  @Test func `a text encoder is tuned as an image network is`() async throws {
    let examples = try Tiny.texts()
    let sampler = try Tiny.sampler(examples)
    let configuration = Tiny.configuration(.smat, steps: 30) { $0.deltaRate = 0.05 }
    let model = try MetaModel(of: Tiny.text(), configuration: configuration)
    var losses: [Double] = []
    for try await event in try MetaTraining(of: model, on: examples, sampler: sampler) {
      if case .step(let step) = event { losses.append(step.crossEntropy) }
    }
    let (first, last) = (losses.prefix(5).reduce(0, +), losses.suffix(5).reduce(0, +))
    #expect(last < 0.8 * first, "\(first), \(last)")
  }

  @Compute
  @Test func `bfloat16 gives nearly the loss of float32`() async throws {
    let full = try await Trace(run(Tiny.configuration(.smat, steps: 1), validates: false))
    let half = try await Trace(run(Tiny.configuration(.smat, steps: 1) { $0.precision = .bfloat16 }, validates: false))
    func loss(_ trace: Trace) throws -> Double { try #require(Double(trace.steps[0].split(separator: " ")[1])) }
    let difference = abs(try loss(full) - loss(half))
    #expect(difference > 0 && difference < 0.1)
  }

  // MARK: What is refused

  @Compute
  @Test func `a loss that is not finite stops the run at its step and changes nothing`() async throws {
    let examples = try Tiny.images()
    let sampler = try Tiny.sampler(examples)
    func drawn(_ number: Int) -> [Int] {
      sampler.episode(number).supportExamples + sampler.episode(number).queryExamples
    }
    // An example of the fourth episode, the second of the second step, and of none before.
    let earlier = Set((0..<3).flatMap(drawn))
    let bad = try #require(drawn(3).first { !earlier.contains($0) })
    try examples.inputs.select(0, bad).fillInPlace(.infinity)
    let model = try MetaModel(of: Tiny.vision(), configuration: Tiny.configuration(.smat))
    await #expect(
      throws: MetaTrainingError.lossNotFinite(step: 2, episode: 3, rateFactor: 1, checkpoint: nil)
    ) {
      _ = try await MetaTraining(of: model, on: examples, sampler: sampler).finish()
    }
    #expect(model.tasksSeen == 2)
    #expect(try model.state.allSatisfy { try $0.tensor.detached().isAllFinite() })
  }

  @Compute
  @Test func `a gradient that is not finite stops the run too, and changes nothing`() async throws {
    let run = try run(Tiny.configuration(.smat, preset: .paper) { $0.schedule = .constant })
    let hypernetwork = try #require(run.model.hypernetwork)
    // Sigmoids saturate, the loss is finite, and the penalty on the logits overflows.
    try #require(hypernetwork.parameters.first { $0.name == "keys" }).value.detached().fillInPlace(1e30)
    let before = try run.model.snapshot()
    let error = await #expect(throws: MetaTrainingError.self) { _ = try await run.finish() }
    guard case .gradientNotFinite(step: 1, tensor: _, rateFactor: 1, checkpoint: nil)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.description.contains("became NaN or infinite at step 1. Rates were at 1.0 of theirs.") == true)
    for (own, start) in zip(run.model.state, before.tensors)
    where !own.name.hasSuffix("left") && !own.name.hasSuffix("right") {
      #expect(try own.tensor.detached().isEqual(to: start.tensor), "\(own.name)")
    }
  }

  @Compute
  @Test func `episodes of examples that cannot be had are refused before the run`() throws {
    let images = try Tiny.images()
    var usable = [Bool](repeating: true, count: 80)
    usable[17] = false
    let examples = try TensorExamples(
      inputs: images.inputs, labels: images.labels, classes: images.classes, domains: images.domains, counts: [80],
      usable: usable)
    let model = try MetaModel(of: Tiny.vision(), configuration: Tiny.configuration(.pmf))
    let sampler = try Tiny.sampler(images)
    #expect(throws: MetaTrainingError.unusable(pool: "patterns", class: "class 2", example: 17)) {
      _ = try MetaTraining(of: model, on: examples, sampler: sampler)
    }
  }

  @Compute
  @Test func `features of another backbone, of other examples or in another precision are refused`() throws {
    let (examples, others) = (try Tiny.images(), try Tiny.images(seed: 5))
    let (backbone, another) = (try Tiny.vision(), try Tiny.vision(seed: 3))
    let model = try MetaModel(of: backbone, configuration: Tiny.configuration(.pmf))
    func run(_ features: FrozenFeatures) throws {
      _ = try MetaTraining(of: model, on: examples, sampler: Tiny.sampler(examples), features: features)
    }
    try run(FrozenFeatures(of: examples, by: backbone))
    #expect(throws: MetaTrainingError.otherFeatures) { try run(FrozenFeatures(of: others, by: backbone)) }
    #expect(throws: MetaTrainingError.otherFeatures) { try run(FrozenFeatures(of: examples, by: another)) }
    #expect(throws: MetaTrainingError.otherFeatures) {
      try run(FrozenFeatures(of: examples, by: backbone, precision: .bfloat16))
    }
  }

  @Compute
  @Test func `a run is read once`() async throws {
    let run = try run(Tiny.configuration(.pmf, steps: 1))
    _ = try await run.finish()
    await #expect(throws: MetaTrainingError.alreadyStarted) { _ = try await run.finish() }
  }
}
