import Adapters
import Formats
import Foundation
import NeuralNetworks
import Reports
import Tensors
import Testing

@testable import Training

@Suite struct PlanTests {
  @Test func `the table counts what trains, site by site`() throws {
    let examples = try tinyExamples()
    let fold = Fold(of: examples, target: 2, trialSeed: 0)
    let plan = try Plan(of: tinyModel(LoRA(rank: 2)), on: examples, fold: fold, configuration: tinyConfiguration())
    #expect(plan.sites.map(\.name) == ["blocks.0.attn.qkv", "blocks.1.attn.qkv"])
    #expect(plan.sites.map(\.parameters) == [2 * (6 + 8), 2 * (8 + 8)])
    #expect(plan.adapterParameters == 60 && plan.headParameters == 27)
    // 6 · 8 + 8 and 8 · 8 + 8 frozen.
    #expect(plan.parameters.trainable == 87 && plan.parameters.total == 87 + 128)
    #expect(plan.batch == 16 && plan.steps == 10 && plan.time == nil)
    #expect(plan.memory.weights == 4 * 128 && plan.memory.training == 16 * 87)
  }

  @Test func `a tuned tensor is counted once`() throws {
    let examples = try tinyExamples()
    let plan = try Plan(
      of: tinyModel(FullFineTuning()), on: examples, fold: Fold(of: examples, target: 2, trialSeed: 0),
      configuration: tinyConfiguration())
    #expect(plan.parameters.trainable == 128 + 27 && plan.parameters.total == 128 + 27)
  }

  @Test func `timing changes no parameter and leaves no gradient`() async throws {
    let examples = try tinyExamples()
    let fold = Fold(of: examples, target: 2, trialSeed: 0)
    let model = try tinyModel(noisyMixture())
    let before = try model.parameters.map { try $0.value.floats() }
    let plan = try await Plan.timed(model, on: examples, fold: fold, configuration: tinyConfiguration())
    let time = try #require(plan.time)
    #expect(time.perStep > 0 && time.perEvaluatedImage > 0)
    // Two evaluations of two held-out parts of 6 and of a target of 30.
    #expect(abs(time.total - 10 * time.perStep - 2 * 42 * time.perEvaluatedImage) < 1e-9)
    #expect(try model.parameters.map { try $0.value.floats() } == before)
    #expect(try model.parameters.allSatisfy { try $0.value.gradient() == nil })
  }

  @Test func `a classifier alone is expected to pass every image once`() async throws {
    let examples = try tinyExamples()
    let fold = Fold(of: examples, target: 2, trialSeed: 0)
    let plan = try await Plan.timed(
      tinyModel(LinearProbe()), on: examples, fold: fold, configuration: tinyConfiguration())
    let time = try #require(plan.time)
    #expect(time.total == 90 * time.perEvaluatedImage)
  }

  @Test(arguments: [
    (LoRA(rank: 4) as any AdapterConfiguration, Blocks?.some(.all)), (LoRA(rank: 4), .last(1)), (FullFineTuning(), nil),
  ])
  func `the memory estimate is within a factor of two of a step's peak`(
    _ method: any AdapterConfiguration, _ blocks: Blocks?
  ) async throws {
    let folder = try TemporaryFolder()
    try Self.writeTransformer(to: folder.url)
    let backbone = try VisionTransformer(from: folder.url, heads: 2)
    let images = try Tensor.normal([48, 3, 32, 32], from: Generator(seed: 1))
    let examples = try TensorExamples(
      inputs: images, labels: (0..<48).map { $0 % 2 }, classes: ["a", "b"], domains: ["x", "y", "z"],
      counts: [16, 16, 16])
    var configuration = tinyConfiguration(steps: 2)
    configuration.imageSize = 32
    configuration.batchPerDomain = 16
    let model = try Method("method", method, at: method is LoRA ? .allLinear : nil, blocks: blocks)
      .model(on: backbone, classes: examples.classes, seed: 1)
    let fold = Fold(of: examples, target: 2, trialSeed: 0)
    let plan = try Plan(of: model, on: examples, fold: fold, configuration: configuration)
    let before = Memory.now.live
    var peak = 0
    for try await event in try Training(of: model, on: examples, fold: fold, configuration: configuration) {
      if case .step(let report) = event { peak = max(peak, report.peakMemory) }
    }
    // The backbone's weights are mapped from their file, and so are in no allocation.
    let ratio = Double(plan.memory.total - plan.memory.weights) / Double(peak - before)
    #expect((0.5...2).contains(ratio), "estimated \(plan.memory), measured \(peak - before)")
  }

  /// A vision transformer of 4 blocks, width 128, 65 tokens for 32 × 32 pixels, in timm's names.
  static func writeTransformer(to folder: URL) throws {
    let generator = try Generator(seed: 2)
    let width = 128
    var writer = SafetensorsWriter()
    func add(_ name: String, _ shape: [Int]) throws {
      try writer.add(name, try Tensor.normal(shape, deviation: 0.05, from: generator))
    }
    try add("cls_token", [1, 1, width])
    try add("pos_embed", [1, 65, width])
    try add("patch_embed.proj.weight", [width, 3, 4, 4])
    try add("patch_embed.proj.bias", [width])
    for block in 0..<4 {
      for (name, inputs, outputs) in [
        ("attn.qkv", 1, 3), ("attn.proj", 1, 1), ("mlp.fc1", 1, 4), ("mlp.fc2", 4, 1),
      ] {
        try add("blocks.\(block).\(name).weight", [outputs * width, inputs * width])
        try add("blocks.\(block).\(name).bias", [outputs * width])
      }
      for name in ["norm1", "norm2"] {
        try add("blocks.\(block).\(name).weight", [width])
        try add("blocks.\(block).\(name).bias", [width])
      }
    }
    try add("norm.weight", [width])
    try add("norm.bias", [width])
    try writer.write(to: folder.appendingPathComponent("model.safetensors"))
  }
}
