import Adapters
import Datasets
import Foundation
import MetaTuning
import NeuralNetworks
import Reports
import Tensors
import Training

extension FewShotStudy {
  /// Streams of random numbers that must not be one another's.
  private enum Purpose: UInt64 {
    case training = 1
    case validation, test
  }

  func seed(of split: ClassSplit, _ seed: UInt64) -> UInt64 {
    seed &* 4 &+ (split == .test ? Purpose.test : split == .validation ? .validation : .training).rawValue
  }

  /// - Throws: `EpisodeError` for a data set that has no such classes or too few of them.
  func checkEpisodes() throws {
    for (split, names) in [
      (ClassSplit.validation, configuration.training), (.test, configuration.training + configuration.unseen),
    ] {
      for pool in try data.pools(split, named: names) {
        _ = try EpisodeSampler([pool], settings: configuration.testEpisodes, seed: 0)
      }
    }
    let training = try data.pools(.training, named: configuration.training)
    for settings in Set(networks.flatMap { $0.methods.map(\.configuration.episodes) }) {
      _ = try EpisodeSampler(training, settings: settings, seed: 0)
    }
  }

  // MARK: Pretraining

  private static let untrainedFolder = "untrained"
  private static let adapterFolder = "adapter"
  private static let networkFolder = "network"

  /// Supervised training of all weights on the training classes of some data sets, and the network that comes of it.
  func pretrain(_ network: FewShotNetwork, _ run: FewShotRun, _ progress: @escaping Progress) async throws {
    guard case .pretraining(let pretraining) = network.source else { return }
    let folder = folder(of: run).url
    let untrained = folder.appendingPathComponent(Self.untrainedFolder)
    if !FileManager.default.fileExists(atPath: untrained.path) {
      try pretraining.network.write(to: untrained, seed: run.seed)
    }
    let backbone = try VisionTransformer(from: untrained)
    let examples = try await images(
      network.imageSize, backbone.usualNormalization, pretraining.recipe.augmentation)
    var recipe = pretraining.recipe
    recipe.seed = run.seed
    recipe.evaluationInterval = recipe.steps
    let model = try Method("pretraining", .full).model(
      on: backbone, classes: examples.classes, seed: run.seed)
    let training = try Training(
      of: model, on: examples, fold: fold(of: pretraining, examples), configuration: recipe,
      checkpoints: checkpoints(of: run))
    var finished: TrainingResult?
    for try await event in training {
      if case .step(let report) = event { progress(report.step, recipe.steps) }
      if case .finished(let result) = event { finished = result }
    }
    guard let finished else { throw CancellationError() }
    let adapter = folder.appendingPathComponent(Self.adapterFolder)
    try AdaptedModel(backbone: backbone, adapter: finished.model.adapter).saveAgain(to: adapter)
    let merged = folder.appendingPathComponent(Self.networkFolder)
    if FileManager.default.fileExists(atPath: merged.path) { try FileManager.default.removeItem(at: merged) }
    let probe = try backbone.noise(count: 2, size: network.imageSize, from: Generator(seed: 0))
    let checkpoint = try MergedCheckpoint(of: backbone, from: untrained, probe: probe, source: "noise")
    _ = try checkpoint.write([MergedCheckpoint.part(at: adapter, onto: backbone, from: untrained)], to: merged)
  }

  /// Trains on the training classes of the data sets, and chooses nothing.
  private func fold(of pretraining: FewShotNetwork.Pretraining, _ examples: ImageExamples) throws -> Fold {
    var chosen: [Int: [Int]] = [:]
    for pool in try data.pools(.training, named: pretraining.datasets) {
      guard let domain = examples.domains.firstIndex(of: pool.name) else { continue }
      chosen[domain] = pool.classes.flatMap(\.examples).filter(examples.isUsable)
    }
    return Fold(
      target: nil, parts: examples.domains.indices.map { Fold.Parts(in: chosen[$0] ?? [], out: []) },
      sources: chosen.keys.sorted(), selectsStep: false)
  }

  private func backbone(of network: FewShotNetwork, for run: FewShotRun) throws -> any PretrainedNetwork {
    switch network.source {
    case .pretrained(let backbone): return backbone
    case .pretraining:
      guard let pretraining = runs.first(where: { run.needs($0) }) else {
        throw StudyError.names([network.name], of: "networks")
      }
      return try VisionTransformer(from: folder(of: pretraining).url.appendingPathComponent(Self.networkFolder))
    }
  }

  // MARK: Meta-tuning and tests

  func measure(_ network: FewShotNetwork, _ run: FewShotRun, _ progress: @escaping Progress) async throws {
    let backbone = try backbone(of: network, for: run)
    let method = network.methods.first { $0.name == run.method }
    let settings = method.flatMap { method in run.rate.map { method.configuration(at: $0) } }
    let plain = try await images(network.imageSize, backbone.usualNormalization, nil)
    let precision = settings?.precision ?? .float32
    let frozen = FrozenFeatures(of: plain, by: backbone, precision: precision)
    var result = FewShotResult(digest: "", validation: [], tests: [], experts: nil, seconds: 0)
    var subjects = [MetaTestSubject.frozen(backbone)]
    if let method, var settings {
      settings.seed = run.seed
      let start = ContinuousClock.now
      let varied =
        settings.augmentation == nil
        ? plain : try await images(network.imageSize, backbone.usualNormalization, settings.augmentation)
      let model = try await metaTuned(backbone, settings, on: varied, run, frozen, progress)
      result.seconds = (ContinuousClock.now - start) / .seconds(1)
      result.experts = try await Self.experts(of: model)
      subjects = method.scales.map { .model(method.name, model, scale: $0) }
    }
    try await test(subjects, on: plain, run, frozen, into: &result, progress)
    try result.write(in: folder(of: run).url)
  }

  private func metaTuned(
    _ backbone: any Backbone, _ settings: MetaConfiguration, on examples: ImageExamples, _ run: FewShotRun,
    _ frozen: FrozenFeatures, _ progress: @escaping Progress
  ) async throws -> MetaModel {
    let model = try await MetaModel(of: backbone, configuration: settings)
    let sampler = try EpisodeSampler(
      data.pools(.training, named: configuration.training), settings: settings.episodes,
      seed: run.seed &* 4 &+ Purpose.training.rawValue)
    let training = try MetaTraining(
      of: model, on: examples, sampler: sampler, checkpoints: checkpoints(of: run),
      features: examples.varies ? nil : frozen)
    for try await event in training {
      if case .step(let step) = event { progress(step.step, settings.steps) }
    }
    try Task.checkCancellation()
    return model
  }

  private func test(
    _ subjects: [MetaTestSubject], on examples: ImageExamples, _ run: FewShotRun, _ frozen: FrozenFeatures,
    into result: inout FewShotResult, _ progress: @escaping Progress
  ) async throws {
    func test(_ split: ClassSplit, _ names: [String], _ count: Int) throws -> MetaTest {
      var test = try MetaTest(
        data.pools(split, named: names), inDomain: Set(configuration.training), on: examples,
        episodes: configuration.testEpisodes, count: count, seed: seed(of: split, run.seed))
      test.precision = frozen.precision
      return test
    }
    let validation = try test(.validation, configuration.training, configuration.validationCount)
    let names = configuration.training + configuration.unseen
    let tests = try test(.test, names, configuration.testCount)
    result.digest = tests.digest
    for subject in subjects {
      let validated = try await validation.run(subject, frozen: frozen)
      if let accuracy = validated.inDomain?.mean {
        result.validation.append(.init(scale: subject.scale, accuracy: accuracy))
      }
      let tested = try await tests.run(subject, frozen: frozen) { done in
        let before = tests.pools.firstIndex { $0.name == done.dataset } ?? 0
        progress(before * done.total + done.completed, tests.pools.count * done.total)
      }
      result.tests += tested.datasets.map {
        .init(dataset: $0.name, scale: subject.scale, accuracies: $0.accuracies, mixings: $0.mixings)
      }
    }
  }

  @Compute
  private static func experts(of model: MetaModel) throws -> FewShotResult.Experts? {
    guard let experts = model.weights as? SparseExperts else { return nil }
    let report = try MaskReport(of: experts, on: model.backbone)
    let overlaps = report.intersectionOverUnion
    return FewShotResult.Experts(
      sparsity: experts.hardSparsity, union: report.union,
      overlaps: overlaps.indices.flatMap { first in
        overlaps.indices.filter { $0 > first }.map { overlaps[first][$0] }.filter(\.isFinite)
      }, between: report.notBinary, multipliers: experts.multipliers)
  }
}
