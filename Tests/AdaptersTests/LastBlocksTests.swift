import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct LastBlocksTests {
  @Test func `the last blocks train whole, with the LayerNorm behind them`() throws {
    let backbone = try ShapesOfViTB()
    let expected = backbone.tensors.map(\.name).filter {
      $0.hasPrefix("blocks.10.") || $0.hasPrefix("blocks.11.") || $0.hasPrefix("norm.")
    }
    #expect(expected.count == 26)
    #expect(try backbone.trained(by: .lastBlocks(2)) == Set(expected))
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.count(.lastBlocks()) == 7_089_408)
    #expect(try backbone.count(.lastBlocks(2)) == 14_177_280)
  }

  @Test func `no gradient goes deeper than the blocks that train`() throws {
    let backbone = try TinyBackbone()
    let adapter = try backbone.adapted(by: .lastBlocks(1)).adapter
    let input = try Tensor.normal([2, 3, 12], from: Generator(seed: 1))
    let reached = Reached(adapter)
    let features = try backbone.features(input, adaptation: reached, pass: ForwardPass())
    #expect(features.requiresGradient)
    #expect(try reached.sites() == ["blocks.1.attn.proj", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2", "blocks.1.attn.qkv"])
  }

  @Test func `more blocks than there are, or none, are refused`() throws {
    let backbone = try TinyBackbone()
    #expect(try thrown(PlacementError.self) { _ = try backbone.adapted(by: .lastBlocks(3)) } == .last(3, count: 2))
    #expect(
      try thrown(PlacementError.self) { _ = try backbone.adapted(by: .lastBlocks(0)) }.description
        == "The last 0 of the backbone's 2 blocks were asked for: at least 1 and at most all of them can be.")
    #expect(try backbone.count(.lastBlocks(2)) == backbone.parameterCount)
  }
}

/// Passes everything on, and notes the maps whose inputs require a gradient.
private final class Reached: Adaptation {
  private let adapter: Adapter
  private let names = Names()

  private final class Names: @unchecked Sendable { var values: Set<String> = [] }

  init(_ adapter: Adapter) { self.adapter = adapter }

  func sites() throws -> Set<String> { names.values }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    if input.requiresGradient { names.values.insert(linear.site.name) }
    return try adapter.output(of: linear, input: input, pass: pass)
  }
  func value(of name: String, original: Tensor) throws -> Tensor { try adapter.value(of: name, original: original) }
}
