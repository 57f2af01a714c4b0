import Datasets
import Foundation
import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

/// Meta-tuning of the real ViT-S/14 that `scripts/fetch vit-s14` puts in the cache, at 56 pixels: 16 patches of its 1,369.
@Suite struct EndToEndMetaTrainingTests {
  /// The cache is where `scripts/support/cache.py` chooses it.
  private static func weights() throws -> URL {
    let environment = ProcessInfo.processInfo.environment
    func folder(_ variable: String) -> String? { environment[variable].flatMap { $0.isEmpty ? nil : $0 } }
    let cache =
      folder("GRAFT_CACHE") ?? ((folder("XDG_CACHE_HOME") ?? "~/.cache") as NSString).appendingPathComponent("graft")
    let folder = URL(fileURLWithPath: (cache as NSString).expandingTildeInPath).appending(path: "models/vit-s14")
    // The manifest is written last: without it the folder is unfinished.
    try #require(
      FileManager.default.fileExists(atPath: folder.appending(path: "manifest.json").path),
      "The weights are not in \(folder.path). Run `make test`, or `scripts/fetch vit-s14` and this test again.")
    return folder
  }

  /// 6 classes of 6 images of stripes: a class is a direction and a width, an image has a phase and noise of its own.
  private static func stripes() throws -> TensorExamples {
    let generator = try Generator(seed: 12)
    var random = Xoshiro256(seed: 13)
    var rows: [Tensor] = []
    for label in 0..<6 {
      let (angle, width) = (Double(label) * .pi / 6, 0.25 + 0.12 * Double(label % 2))
      for _ in 0..<6 {
        let phase = random.uniform(0...6)
        let pixels = (0..<56 * 56).map { place in
          Float(sin(width * (Double(place % 56) * cos(angle) + Double(place / 56) * sin(angle)) + phase))
        }
        rows.append(
          try Tensor.normal([3, 56, 56], deviation: 1, from: generator) + Tensor(pixels, shape: [1, 56, 56]))
      }
    }
    return try TensorExamples(
      inputs: .stacked(rows), labels: (0..<36).map { $0 / 6 }, classes: (0..<6).map { "stripes \($0)" },
      domains: ["stripes"], counts: [36])
  }

  @Compute
  @Test func `the real network starts as it was, learns from episodes, and moves every tensor`() async throws {
    let backbone = try VisionTransformer(from: Self.weights())
    let examples = try Self.stripes()
    let configuration = Tiny.configuration(.smat, steps: 5) {
      $0.tasksPerStep = 1
      $0.experts = 2
      $0.deltaRate = 1e-3
      $0.teacherRate = 5e-3
    }
    let model = try MetaModel(of: backbone, configuration: configuration)
    let task = try TaskWeights(of: backbone)
    let images = try examples.inputs.narrowed(0, 0..<8)
    try model.adapt(support: images, labels: [0, 0, 0, 0, 1, 1, 1, 1], ways: 2, into: task)
    #expect(try model.features(images, by: task).detached().isEqual(to: model.frozenFeatures(images)))

    var steps: [MetaStep] = []
    for try await event in try MetaTraining(of: model, on: examples, sampler: Tiny.sampler(examples)) {
      if case .step(let step) = event { steps.append(step) }
    }
    let losses = steps.map(\.crossEntropy)
    #expect(losses.suffix(2).reduce(0, +) < losses.prefix(2).reduce(0, +), "\(losses)")
    let experts = try #require(model.weights as? SparseExperts)
    for (name, offset) in zip(experts.names, experts.offsets) {
      // The mask token of pretraining takes no part.
      let moved = try offset.offset.abs().max().item()
      #expect(name == "mask_token" || moved > 0 && moved < 0.1, "\(name): \(moved)")
    }
  }
}
