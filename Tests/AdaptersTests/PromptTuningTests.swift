import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// Writes down the sequences that a method makes.
private final class Recorder: Adaptation, @unchecked Sendable {
  let adapter: Adapter
  var entered: [Tensor] = []
  var left: Tensor?
  /// The output of each branch.
  var outputs: [Tensor] = []

  init(_ adapter: Adapter) { self.adapter = adapter }

  func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor {
    let result = try adapter.sequence(tokens, entering: block, prefix: prefix, pass: pass)
    if block == nil { left = result } else { entered.append(result) }
    return result
  }

  func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor {
    outputs.append(state.output)
    return state.output
  }
}

@Suite struct PromptTuningTests {
  let backbone: VisionTransformer
  let images: Tensor

  init() throws {
    backbone = try smallTransformer()
    images = try .normal([2, 3, 16, 16], from: Generator(seed: 5))
  }

  private func record(_ model: AdaptedModel, pass: ForwardPass = ForwardPass()) throws -> Recorder {
    let recorder = Recorder(model.adapter)
    _ = try backbone.features(images, adaptation: recorder, pass: pass)
    return recorder
  }

  @Test func `deep prompts are each block's own, behind the class token, and gone at the end`() throws {
    let model = try backbone.adapted(by: .prompts(3))
    let recorder = try record(model)
    // A class token and 16 patches.
    #expect(recorder.entered.map(\.shape) == [[2, 20, 24], [2, 20, 24]])
    #expect(recorder.left?.shape == [2, 17, 24])
    for (block, tokens) in recorder.entered.enumerated() {
      let prompts = try model.adapter.parameter("blocks.\(block).prompts").value
      for sample in 0..<2 { #expect(try tokens.select(0, sample).narrowed(0, 1..<4).isEqual(to: prompts)) }
    }
    let frozen = try record(backbone.adapted(by: .linearProbe))
    let (with, without) = (try #require(recorder.entered.first), try #require(frozen.entered.first))
    #expect(try with.narrowed(1, 0..<1).isEqual(to: without.narrowed(1, 0..<1)))
    #expect(try with.narrowed(1, 4..<20).isEqual(to: without.narrowed(1, 1..<17)))
  }

  @Test func `shallow prompts go through the blocks as any token`() throws {
    let model = try backbone.adapted(by: .prompts(3, deep: false))
    #expect(model.adapter.parameters.map(\.name) == ["blocks.0.prompts"])
    let recorder = try record(model)
    let prompts = try model.adapter.parameter("blocks.0.prompts").value
    #expect(try recorder.entered[0].select(0, 1).narrowed(0, 1..<4).isEqual(to: prompts))
    // Stream and branches of block 0, at the prompts.
    let through = try recorder.entered[0] + recorder.outputs[0] + recorder.outputs[1]
    #expect(try recorder.entered[1].isEqual(to: through))
    #expect(
      try recorder.left?.isEqual(to: (recorder.entered[1] + recorder.outputs[2] + recorder.outputs[3]).without(1..<4))
        == true)
  }

  @Test func `prompts start at the first chosen block`() throws {
    let recorder = try record(backbone.adapted(by: .prompts(3), blocks: .last(1)))
    #expect(recorder.entered.map(\.shape) == [[2, 17, 24], [2, 20, 24]])
    #expect(recorder.left?.shape == [2, 17, 24])
  }

  @Test func `a block's prompts change no block before it, and every one after`() throws {
    let model = try backbone.adapted(by: .prompts(3))
    let before = try record(model)
    try withoutGradients { try model.adapter.parameter("blocks.1.prompts").value.scaleInPlace(-2) }
    let after = try record(model)
    #expect(try after.outputs[0].isEqual(to: before.outputs[0]) && after.outputs[1].isEqual(to: before.outputs[1]))
    #expect(try after.outputs[2].distance(to: before.outputs[2]) > 0.01)
  }

  @Test func `gradients are autograd's over the same concatenations`() throws {
    let (x, first, second) = (
      try Tensor.normal([2, 5, 12], from: Generator(seed: 1)).requiringGradient(),
      try Parameter("blocks.0.prompts", .normal([2, 12], from: Generator(seed: 2))),
      try Parameter("blocks.1.prompts", .normal([2, 12], from: Generator(seed: 3)))
    )
    let weights = try Tensor.normal([2, 5, 12], from: Generator(seed: 4))
    func loss(_ step: (Tensor, Int?) throws -> Tensor) throws -> Tensor {
      var tokens = x
      for block in [0, 1, nil] {
        tokens = try step(tokens, block)
        tokens = try tokens * tokens.mean(1, keep: true) + tokens
      }
      return try (tokens * weights).sum()
    }
    let prompts = Prompts(first: 0, prompts: [0: first, 1: second], tokens: 2, dropout: 0)
    let ours = try loss { try prompts.sequence($0, entering: $1, prefix: 1, pass: ForwardPass()) }
    let theirs = try loss { tokens, block in
      let rest = try block == 0 ? tokens : tokens.without(1..<3)
      guard let block else { return rest }
      let own = try (block == 0 ? first : second).value.unsqueezed(0).expanded(2, -1, -1)
      return try .concatenated([rest.narrowed(1, 0..<1), own, rest.narrowed(1, 1..<5)], dimension: 1)
    }
    try expectClose(ours, theirs, tolerance: 1e-6)
    let leaves = [x, first.value, second.value]
    for (one, other) in zip(try gradients(of: ours, leaves), try gradients(of: theirs, leaves)) {
      try expectClose(one, other, tolerance: 1e-5)
    }
  }

  @Test func `dropout takes numbers of the prompts, each sample its own, while training only`() throws {
    var configuration = PromptTuning(tokens: 40, deep: false)
    configuration.dropout = 0.25
    let model = try backbone.adapted(by: configuration)
    let prompts = try model.adapter.parameter("blocks.0.prompts").value
    let trained = try record(model, pass: ForwardPass(.training(Generator(seed: 3)))).entered[0].narrowed(1, 1..<41)
    let zeros = try trained.equals(0)
    let share = try zeros.to(.float32).mean().item()
    #expect(abs(share - 0.25) < 0.04)
    try expectClose(trained, (prompts / 0.75).expanded(2, -1, -1).filled(0, where: zeros), tolerance: 1e-6)
    #expect(try !zeros.select(0, 0).isEqual(to: zeros.select(0, 1)))
    #expect(try record(model).entered[0].select(0, 0).narrowed(0, 1..<41).isEqual(to: prompts))
  }

  @Test func `prompts start uniform on the published bound`() throws {
    let adapter = try ShapesOfViTB().adapted(by: .prompts(50)).adapter
    for parameter in adapter.parameters {
      #expect(try parameter.value.abs().max().item() <= 0.0625)
      #expect(try parameter.value.abs().max().item() > 0.0624)
      #expect(try abs(parameter.value.variance().sqrt().item() / (0.0625 / 3.0.squareRoot()) - 1) < 0.02)
    }
    // Patches of 3·4² on a width of 24: √(6 / (48 + 24)).
    let small = try backbone.adapted(by: .prompts(100)).adapter.parameters[0].value
    #expect(try small.abs().max().item() <= 0.28868 && small.abs().max().item() > 0.288)
    // Without a stem, √(6 / (12 + 12)).
    let tiny = try TinyBackbone().adapted(by: .prompts(100)).adapter.parameters[0].value
    #expect(try tiny.abs().max().item() <= 0.5 && tiny.abs().max().item() > 0.49)
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.adapted(by: .prompts(50, deep: false)).adapter.parameterCount == 38_400)
    #expect(try backbone.adapted(by: .prompts(10)).adapter.parameterCount == 92_160)
    #expect(try backbone.adapted(by: .prompts(50)).adapter.parameterCount == 460_800)
    #expect(try backbone.adapted(by: .prompts(10), blocks: .last(3)).adapter.parameterCount == 23_040)
  }

  @Test func `settings that do not fit are refused`() throws {
    #expect(
      try thrown { try PromptTuning(tokens: 0).validate([]) }.description == "tokens is 0.0; it must be 1 to 65536.")
    var configuration = PromptTuning()
    configuration.dropout = 1
    #expect(try thrown { try configuration.validate([]) }.description == "dropout is 1.0; it must be 0 ..< 1.")
    let sites = [Site(name: "blocks.7.mlp.fc1", block: 7, role: .fc1, inFeatures: 24, outFeatures: 36)]
    let error = try thrown { _ = try PromptTuning().parts(for: sites, of: backbone, generator: Generator(seed: 1)) }
    #expect(
      error.description == """
        VPT stands at the residual branches, and the backbone names no branch in block 7. Choose other blocks, or a \
        method for linear maps.
        """)
  }
}

extension Tensor {
  /// All but these tokens.
  fileprivate func without(_ tokens: Range<Int>) throws -> Tensor {
    try .concatenated(
      [narrowed(1, 0..<tokens.lowerBound), narrowed(1, tokens.upperBound..<shape[1])], dimension: 1)
  }
}
