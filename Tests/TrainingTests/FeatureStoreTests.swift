import Adapters
import Foundation
import NeuralNetworks
import Synchronization
import Tensors
import Testing

@testable import Training

/// Counts the inputs that go through the backbone.
final class CountingBackbone: Backbone {
  private let inner: TinyBackbone
  private let seen = Mutex(0)
  init() throws { inner = try TinyBackbone() }
  var inputs: Int { seen.withLock { $0 } }
  var sites: [Site] { inner.sites }
  var branches: [Branch] { inner.branches }
  var layerNorms: [String] { inner.layerNorms }
  var stem: String? { inner.stem }
  var tensors: [(name: String, tensor: Tensor)] { inner.tensors }
  var featureWidth: Int { inner.featureWidth }
  var device: Device { .cpu }
  var fingerprint: String { inner.fingerprint }
  func modules(at site: Site) -> [String] { [site.name] }
  func linear(at site: Site) throws -> Linear { try inner.linear(at: site) }
  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    seen.withLock { $0 += input.size(0) ?? 0 }
    return try inner.features(input, adaptation: adaptation, pass: pass)
  }
}

@Suite struct FeatureStoreTests {
  private func probe(
    _ backbone: any Backbone, _ examples: any Examples, target: Int, store: FeatureStore, cachedViews: Int = 0
  ) throws -> Training {
    var configuration = tinyConfiguration(steps: 20)
    configuration.cachedViews = cachedViews
    return try Training(
      of: Method("Probe", LinearProbe()).model(on: backbone, classes: examples.classes, seed: 1), on: examples,
      fold: Fold(of: examples, target: target, trialSeed: 0), configuration: configuration, store: store)
  }

  @Test func `each image goes through a frozen backbone once, for all runs`() async throws {
    let backbone = try CountingBackbone()
    let examples = try tinyExamples()
    let store = FeatureStore()
    for target in 0..<3 { _ = try await probe(backbone, examples, target: target, store: store).finish() }
    #expect(backbone.inputs == 90)
  }

  @Test func `a classifier on stored features is the one on fresh features`() async throws {
    let examples = try tinyExamples()
    let stored = try await Trace(probe(TinyBackbone(), examples, target: 0, store: FeatureStore()))
    let fresh = try await Trace(probe(TinyBackbone(), examples, target: 0, store: FeatureStore(limit: 0)))
    #expect(stored.scores.map(\.domains) == fresh.scores.map(\.domains))
    for (left, right) in zip(stored.parameters.joined(), fresh.parameters.joined()) {
      #expect(abs(left - right) < 1e-4)
    }
  }

  @Test func `views are drawn from in training and never in evaluation`() async throws {
    let plain = try tinyExamples()
    let views = try (1...3).map { try plain.inputs + Double($0) }
    let examples = try TensorExamples(
      inputs: plain.inputs, labels: plain.labels, classes: plain.classes, domains: plain.domains,
      counts: [30, 30, 30], views: views)
    let features = try #require(
      try await FeatureStore().features(
        of: examples, by: TinyBackbone(), views: 2, seed: 0, batchSize: 7, precision: .float32))
    let backbone = try TinyBackbone()
    let direct = try withoutGradients { try backbone.features(plain.inputs) }
    #expect(try features.inputs.isClose(to: direct, tolerance: 1e-6))
    #expect(features.views.count == 2)
    // Each stored view of an image is the features of one of its views.
    let candidates = try withoutGradients { try views.map { try backbone.features($0) } }
    for view in features.views {
      for row in 0..<90 {
        let distances = try candidates.map { try $0.select(0, row).distance(to: view.select(0, row)) }
        #expect(try #require(distances.min()) < 1e-5)
      }
    }
    let counting = try CountingBackbone()
    _ = try await probe(counting, examples, target: 1, store: FeatureStore(), cachedViews: 2).finish()
    #expect(counting.inputs == 3 * 90)
  }

  @Test func `an adapter that trains sees the backbone at every step`() async throws {
    let backbone = try CountingBackbone()
    let examples = try tinyExamples()
    let model = try Method("LoRA", LoRA(rank: 2)).model(on: backbone, classes: examples.classes, seed: 1)
    let fold = Fold(of: examples, target: 0, trialSeed: 0)
    _ = try await Training(of: model, on: examples, fold: fold, configuration: tinyConfiguration(steps: 5)).finish()
    #expect(backbone.inputs == 5 * 16 + 30 + 6 + 6)
  }
}
