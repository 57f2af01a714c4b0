import Adapters
import Datasets
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Training

/// One linear map of two inputs and two outputs behind which the features are the outputs.
private struct PlainBackbone: Backbone {
  let sites = [Site(name: "blocks.0.mlp.fc1", block: 0, role: .fc1, inFeatures: 2, outFeatures: 2)]
  let branches: [Branch] = []
  let layerNorms: [String] = []
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)]
  let featureWidth = 2
  let device = Device.cpu
  let fingerprint = "plain"

  init() throws { tensors = [("blocks.0.mlp.fc1.weight", try .zeros([2, 2]))] }

  func modules(at site: Site) -> [String] { [site.name] }
  func linear(at site: Site) throws -> Linear { Linear(site: site, weight: tensors[0].tensor, bias: nil) }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    try adaptation.output(of: linear(at: sites[0]), input: input, pass: pass)
  }
}

@Suite struct WeightMasksTests {
  // MARK: Scores by hand

  /// `B · A` for `A = [1 2; 3 −4]` and `B = [1 −1; 2 1]`, and a classifier that hands the features on.
  private func model() throws -> AdaptedModel {
    var model = try PlainBackbone().adapted(by: LoRA(rank: 2, alpha: 2), at: .fc1, seed: 1)
    for parameter in model.adapter.parameters {
      let values: [Float] = parameter.name.hasSuffix("lora_A") ? [1, 2, 3, -4] : [1, -1, 2, 1]
      try parameter.load(Tensor(values, shape: [2, 2]))
    }
    let head = try Head(classes: ["left", "right"], features: 2, generator: Generator(seed: 1))
    for parameter in head.parameters {
      try parameter.load(parameter.value.rank == 2 ? .identity(2) : .zeros([2]))
    }
    model.head = head
    return model
  }

  private func batch(_ rows: [[Float]], _ labels: [Int64]) throws -> Batch {
    Batch(
      step: 0, indices: Array(rows.indices), inputs: try Tensor(rows.flatMap(\.self), shape: [rows.count, 2]),
      labels: try Tensor(labels))
  }

  @Compute private func scores(_ score: SparsitySettings.Score, _ batches: [Batch]) throws -> [[Float]] {
    let scores = try WeightScores(of: model(), on: batches, TrainingConfiguration())
    return try scores(score, Generator(seed: 1)).map { try $0.floats() }
  }

  @Test func `the magnitude is that of the weights, the random score between 0 and 1`() async throws {
    #expect(try await scores(.magnitude, []) == [[1, 2, 3, 4], [1, 1, 2, 1]])
    let random = try await scores(.random, []).joined()
    #expect(random.allSatisfy { (0..<1).contains($0) } && Set(random).count == 8)
  }

  @Test func `SNIP is the gradient times the weight`() async throws {
    // x = (.1, 0): h = Ax = (.1, .3), logits = Bh = (−.2, .5), and for the label 1 the gradient of the logits is q · (1, −1)
    // with q = 1/(1 + e^.7). ∂B = q (1, −1)ᵀ(.1, .3); ∂h = q Bᵀ(1, −1) = q (−1, −2); ∂A = ∂h xᵀ.
    let q = 1 / (1 + exp(0.7))
    let expected = [[0.1, 0, 0.6, 0], [0.1, 0.3, 0.2, 0.3]].map { $0.map { $0 * q } }
    let found = try await scores(.snip, [batch([[0.1, 0]], [1])])
    for (found, expected) in zip(found.joined(), expected.joined()) { #expect(abs(Double(found) - expected) < 1e-7) }
  }

  @Test func `SNIP of several batches is that of their mean loss`() async throws {
    let (first, second) = (try batch([[1, 0], [0.5, -1]], [1, 0]), try batch([[0, 1]], [0]))
    let together = try await scores(.snip, [batch([[1, 0], [0.5, -1], [0, 1]], [1, 0, 0])])
    let apart = try await scores(.snip, [first, second])
    for (one, other) in zip(together.joined(), apart.joined()) { #expect(abs(one - other) < 1e-6) }
    #expect(together.joined().contains { $0 > 0.01 })
  }

  @Test func `GraSP is the weight times the Hessian times the gradient`() async throws {
    let batches = [try batch([[0.3, -0.2], [-0.1, 0.4]], [1, 0])]
    let found = try await scores(.grasp, batches)
    let expected = try await hessianProducts(batches[0])
    let largest = expected.joined().map(abs).max() ?? 0
    for (found, expected) in zip(found.joined(), expected.joined()) {
      #expect(abs(Double(found) - expected) < 0.01 * largest)
    }
    // Some are below 0: the sign tells.
    #expect(expected.joined().contains { $0 < -0.1 * largest } && expected.joined().contains { $0 > 0.1 * largest })
  }

  /// `w · Hg` by differentiating twice in float64.
  @Compute private func hessianProducts(_ batch: Batch) throws -> [[Double]] {
    let values = [[1.0, 2, 3, -4], [1.0, -1, 2, 1]]
    let (down, up) = (
      try Tensor(values[0], shape: [2, 2]).requiringGradient(),
      try Tensor(values[1], shape: [2, 2]).requiringGradient()
    )
    let logits = try batch.inputs.to(.float64).matmul(down.transposed()).matmul(up.transposed())
    let loss = try logits.crossEntropy(batch.labels)
    let gradients = try loss.gradients([down, up], create: true).map { try #require($0) }
    let products = try zip(gradients, gradients.map { try $0.detached() }).map { try ($0 * $1).sum() }
    let along = try (products[0] + products[1]).gradients([down, up]).map { try #require($0).doubles() }
    return zip(values, along).map { zip($0, $1).map { $0 * $1 } }
  }

  @Test func `SynFlow sends ones through the sizes of the weights`() async throws {
    // |A| = [1 2; 3 4], |B| = [1 1; 2 1]: |A|1 = (3, 7), 1ᵀ|B| = (3, 2), R = 9 + 14 = 23.
    #expect(try await scores(.synflow, []) == [[3, 6, 6, 8], [3, 7, 6, 7]])
  }

  @Test(arguments: SparsitySettings.Score.allCases) func `scoring leaves the weights as they were`(
    score: SparsitySettings.Score
  ) async throws {
    #expect(try await leavesWeights(score))
  }

  @Compute private func leavesWeights(_ score: SparsitySettings.Score) throws -> Bool {
    let model = try model()
    let before = try model.parameters.map { try $0.value.floats() }
    let scores = try WeightScores(of: model, on: [batch([[1, 0], [0.5, -1]], [1, 0])], TrainingConfiguration())
    _ = try scores(score, Generator(seed: 1))
    return try model.parameters.map { try $0.value.floats() } == before
      && model.parameters.allSatisfy { try $0.value.gradient() == nil }
  }

  // MARK: Masks

  @Compute private func kept(_ settings: SparsitySettings) throws -> [[Int]] {
    let model = try model()
    let scores = try WeightScores(of: model, on: [batch([[1, 0], [0.5, -1]], [1, 0])], TrainingConfiguration())
    let masks = try WeightMasks(settings, scores, Generator(seed: 1))
    let kept = try masks.state().map { try $0.tensor.integers() }
    for (parameter, mask) in zip(model.adapter.parameters, kept) {
      for (value, keeps) in zip(try parameter.value.floats(), mask) where keeps == 0 {
        #expect(value.bitPattern == 0)
      }
    }
    #expect(try abs(masks.density - Double(kept.joined().reduce(0, +)) / 8) < 1e-12)
    return kept
  }

  @Test func `the best of all, or of each matrix, are kept, of equals the first`() async throws {
    // 1 2 3 4 and 1 1 2 1.
    #expect(try await kept(SparsitySettings(density: 0.5, score: .magnitude)) == [[0, 1, 1, 1], [0, 0, 1, 0]])
    #expect(
      try await kept(SparsitySettings(density: 0.5, score: .magnitude, scope: .tensor)) == [
        [0, 0, 1, 1], [1, 0, 1, 0],
      ])
    #expect(try await kept(SparsitySettings(density: 0.01, score: .magnitude)) == [[0, 0, 0, 1], [0, 0, 0, 0]])
    #expect(try await kept(SparsitySettings(density: 1)) == [[1, 1, 1, 1], [1, 1, 1, 1]])
  }

  @Test func `in rounds what is gone stays gone`() async throws {
    var settings = SparsitySettings(density: 0.25, score: .synflow)
    // At once: 8 and the first of the sevens. In two rounds: half of 3 6 6 8, 3 7 6 7 leaves 0 6 0 8, 0 7 0 7, of which the
    // flows are, with |A| = [0 2; 0 4] and |B| = [0 1; 0 1]: A 0 0 0 8, B 0 4 0 4.
    #expect(try await kept(settings) == [[0, 0, 0, 1], [0, 1, 0, 0]])
    settings.rounds = 2
    #expect(try await kept(settings) == [[0, 0, 0, 1], [0, 1, 0, 0]])
    settings.score = .random
    let (_, second) = (try await kept(SparsitySettings(density: 0.5, score: .random)), try await kept(settings))
    #expect(second.joined().reduce(0, +) == 2)
  }

  @Test(arguments: [SparsitySettings.Score.magnitude, .synflow, .snip])
  func `a matrix that a round empties stays empty`(
    score: SparsitySettings.Score
  ) async throws {
    // The first round keeps a tenth of the eight: one.
    var settings = SparsitySettings(density: 0.01, score: score)
    let once = try await kept(settings)
    #expect(once.joined().reduce(0, +) == 1)
    settings.rounds = 2
    #expect(try await kept(settings) == once)
  }

  // MARK: Training

  private func run(_ sparsity: SparsitySettings?, steps: Int = 10, folder: TemporaryFolder? = nil) throws -> Training {
    var configuration = tinyConfiguration(steps: steps)
    configuration.sparsity = sparsity
    configuration.checkpointInterval = 4
    configuration.optimizer = OptimizerSettings(.adamW, weightDecay: 0.1)
    let examples = try tinyExamples()
    return try Training(
      of: startedModel(), on: examples, fold: Fold(of: examples, target: 2, trialSeed: 0),
      configuration: configuration, checkpoints: folder?.url)
  }

  /// LoRA whose second factors do not start at zero.
  private func startedModel() throws -> AdaptedModel {
    let model = try tinyModel()
    let generator = try Generator(seed: 5)
    for parameter in model.adapter.parameters {
      try parameter.load(.normal(parameter.value.shape, deviation: 0.3, from: generator))
    }
    return model
  }

  @Test(arguments: SparsitySettings.Score.allCases) func `what is held at zero stays there, and the rest learns`(
    score: SparsitySettings.Score
  ) async throws {
    let dense = try startedModel().adapter.parameters.map { try $0.value.floats() }
    let result = try await run(SparsitySettings(density: 0.4, score: score), steps: 60).finish()
    let values = try result.model.adapter.parameters.map { try $0.value.floats() }
    let count = dense.joined().count
    let kept = zip(values.joined(), dense.joined()).filter { $0.0 != 0 }
    #expect(kept.count == Int((0.4 * Double(count)).rounded()))
    #expect(kept.allSatisfy { $0.0 != $0.1 })
    #expect(
      try #require(result.evaluations.last?.trainingLoss) < 0.8 * #require(result.evaluations.first?.trainingLoss))
  }

  @Test func `a resumed run goes on with the same weights, bit for bit`() async throws {
    let settings = SparsitySettings(density: 0.4, score: .snip)
    let whole = try await Trace(run(settings))
    let folder = try TemporaryFolder()
    let part = try run(settings, folder: folder)
    let stopped = Task {
      for try await event in part {
        if case .checkpoint = event { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    _ = await stopped.result
    let resumed = try await Trace(run(settings, folder: folder))
    #expect(resumed.steps.first?.hasPrefix("1 ") == false)
    #expect(resumed.parameters == whole.parameters)
    #expect(resumed.steps == Array(whole.steps.suffix(resumed.steps.count)))
  }

  @Test func `all weights at a density of one is the run without`() async throws {
    #expect(try await Trace(run(SparsitySettings(density: 1))) == Trace(run(nil)))
  }

  // MARK: Refusals

  @Test func `a matrix that starts at zero has no scores, and the message names it`() async throws {
    for score in [SparsitySettings.Score.snip, .magnitude, .grasp, .synflow] {
      var configuration = tinyConfiguration()
      configuration.sparsity = SparsitySettings(density: 0.4, score: score)
      let examples = try tinyExamples()
      let training = try Training(
        of: tinyModel(), on: examples, fold: Fold(of: examples, target: 2, trialSeed: 0), configuration: configuration)
      let error = await #expect(throws: SparsityError.self) { try await training.finish() }
      guard case .noScores(let name, score) = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(name.contains("lora_"))
      #expect(error?.description.contains("Use the score random") == true)
    }
  }

  @Test func `an adapter without matrices is refused`() async throws {
    var configuration = tinyConfiguration()
    configuration.sparsity = SparsitySettings(density: 0.4)
    let examples = try tinyExamples()
    let training = try Training(
      of: tinyModel(LinearProbe()), on: examples, fold: Fold(of: examples, target: 2, trialSeed: 0),
      configuration: configuration)
    await #expect(throws: SparsityError.noWeights) { try await training.finish() }
  }
}
