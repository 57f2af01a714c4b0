import Adapters
import Datasets
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Training

/// Pixels `[batch, 3, 8, 8]` in four strips of six means each, through `TinyBackbone`.
struct TinyImageBackbone: Backbone {
  private let inner: TinyBackbone
  init() throws { inner = try TinyBackbone() }
  var sites: [Site] { inner.sites }
  var branches: [Branch] { inner.branches }
  var layerNorms: [String] { inner.layerNorms }
  var stem: String? { inner.stem }
  var tensors: [(name: String, tensor: Tensor)] { inner.tensors }
  var featureWidth: Int { inner.featureWidth }
  var device: Device { .cpu }
  var fingerprint: String { "tiny-image" }
  func modules(at site: Site) -> [String] { [site.name] }
  func linear(at site: Site) throws -> Linear { try inner.linear(at: site) }
  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    // [batch, 3, 4 strips, 2 rows, 2 halves, 4 columns] → [batch, 4, 3 · 2]
    let batch = input.size(0) ?? 0
    let means = try input.reshaped(batch, 3, 4, 2, 2, 4).mean(3, 5)
    return try inner.features(
      means.permuted(0, 2, 1, 3).reshaped(batch, 4, 6), adaptation: adaptation, pass: pass)
  }
}

@Suite struct ImageExamplesTests {
  private func configuration(steps: Int = 60) -> TrainingConfiguration {
    var configuration = tinyConfiguration(steps: steps)
    configuration.imageSize = 8
    configuration.evaluationInterval = 20
    return configuration
  }

  @Test func `the first page: train on a folder, one domain left out, then predict`() async throws {
    let folder = try TemporaryFolder()
    let root = folder.url.appendingPathComponent("images")
    try PNGFixture.folder(at: root, count: 10)
    let domains = try DomainFolder(at: root)
    var model = try TinyImageBackbone().adapted(by: .lora(rank: 2), at: .qkv)
    let run = try Training(
      of: &model, head: .linear(domains.classes), on: domains.leavingOut("dark"), configuration: configuration(),
      cache: folder.url.appendingPathComponent("cache"))
    var last: Scores?
    for try await event in run { if case .evaluated(let scores) = event { last = scores } }
    #expect(last?.step == 60)
    #expect(try #require(last).validation == 1)
    #expect(last?.targetWhole == 1)
    #expect(last.map { "\($0)" } == "step 60: sources 100.0 %, dark 100.0 %")
    let examples = try await ImageExamples.open(
      domains, configuration: configuration(), normalization: .imageNet,
      cache: folder.url.appendingPathComponent("cache"))
    let ends = SequentialBatches([0, 59], batchSize: 2)
    for try await batch in examples.batches(of: ends, steps: 0..<1, for: .evaluation) {
      #expect(try model.predict(batch.inputs).map(\.label) == ["blue", "red"])
    }
  }

  @Test func `evaluation inputs are the transform's, training inputs are varied by step and seed`() async throws {
    let folder = try TemporaryFolder()
    try PNGFixture.folder(at: folder.url.appendingPathComponent("images"), count: 2)
    let domains = try DomainFolder(at: folder.url.appendingPathComponent("images"))
    let examples = try await ImageExamples.open(
      domains, configuration: configuration(), normalization: .clip, cache: folder.url.appendingPathComponent("cache"))
    func inputs(_ purpose: Purpose, step: Int = 0) async throws -> [Float] {
      let plan = SequentialBatches([5, 5, 5], batchSize: 1)
      for try await batch in examples.batches(of: plan, steps: step..<step + 1, for: purpose) {
        #expect(batch.inputs.shape == [1, 3, 8, 8] && batch.indices == [5])
        #expect(try batch.labels.integers() == [domains.samples[5].label])
        return try batch.inputs.floats()
      }
      return []
    }
    var generator = Xoshiro256(seed: 0)
    let expected = try EvaluationTransform(size: 8, normalization: .clip)(
      examples.source.image(at: 5), using: &generator)
    #expect(try await inputs(.evaluation) == expected)
    let varied = try await inputs(.training(seed: 1))
    #expect(try await inputs(.training(seed: 1)) == varied)
    #expect(try await inputs(.training(seed: 2)) != varied)
    #expect(try await inputs(.training(seed: 1), step: 1) != varied)
    #expect(varied != expected)
  }

  @Test func `a bad image stops the run by name, or is left out and listed`() async throws {
    let folder = try TemporaryFolder()
    let root = folder.url.appendingPathComponent("images")
    try PNGFixture.folder(at: root, count: 10)
    try Data("not an image".utf8).write(to: root.appendingPathComponent("plain/red/3.png"))
    let domains = try DomainFolder(at: root)
    func run(_ policy: BadSamplePolicy) throws -> Training {
      var model = try TinyImageBackbone().adapted(by: .lora(rank: 2), at: .qkv)
      var configuration = configuration(steps: 4)
      configuration.badImages = policy
      return try Training(
        of: &model, head: .linear(domains.classes), on: domains.leavingOut("plain"), configuration: configuration,
        cache: folder.url.appendingPathComponent("cache"))
    }
    let error = await #expect(throws: BadImagesError.self) { try await run(.error).finish() }
    #expect(error?.images.map(\.path) == ["plain/red/3.png"])
    let scores = try #require(try await run(.skip).finish().evaluations.last)
    #expect(scores.domains.map { $0.inCount + $0.outCount } == [20, 20, 19])
  }
}
