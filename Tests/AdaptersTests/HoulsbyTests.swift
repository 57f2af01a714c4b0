import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct HoulsbyTests {
  @Test func `each branch's output gains the adapter's change of it`() throws {
    try smallTransformer().adapted(by: .houlsby(width: 3)).expectFormula { model, branch, state in
      try state.output + #require(model.bottleneck(branch, state.output) { try $0.silu() })
    }
  }

  @Test func `the chosen blocks alone are changed`() throws {
    try smallTransformer().adapted(by: .houlsby(width: 3), blocks: .last(1)).expectFormula { model, branch, state in
      let change = try model.bottleneck(branch, state.output) { try $0.silu() }
      #expect((change == nil) == (branch.block == 0))
      return try change.map { try state.output + $0 } ?? state.output
    }
  }

  @Test func `parameters are named after their branch, and biases do not decay`() throws {
    let parameters = try TinyBackbone(blocks: 1).adapted(by: .houlsby(width: 2)).adapter.parameters
    #expect(
      parameters.map(\.name) == [
        "blocks.0.attn.adapter.down.weight", "blocks.0.attn.adapter.down.bias", "blocks.0.attn.adapter.up.weight",
        "blocks.0.attn.adapter.up.bias", "blocks.0.mlp.adapter.down.weight", "blocks.0.mlp.adapter.down.bias",
        "blocks.0.mlp.adapter.up.weight", "blocks.0.mlp.adapter.up.bias",
      ])
    #expect(parameters.map(\.value.shape) == [[2, 12], [2], [12, 2], [12], [2, 12], [2], [12, 2], [12]])
    #expect(parameters.map(\.decays) == [true, false, true, false, true, false, true, false])
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.adapted(by: .houlsby(width: 8)).adapter.parameterCount == 313_536)
    // A 16th of 768 is 48.
    #expect(try backbone.adapted(by: Houlsby()).adapter.parameterCount == 24 * (2 * 768 * 48 + 48 + 768))
  }

  @Test func `the original has small weights on 64 units`() throws {
    let adapter = try TinyBackbone(blocks: 1).adapted(by: Houlsby.original).adapter
    let down = try adapter.parameter("blocks.0.mlp.adapter.down.weight").value
    #expect(down.shape == [64, 12])
    #expect(try down.abs().max().item() <= 2e-3 && down.abs().max().item() > 1.9e-3)
    #expect(Houlsby.original.activation == .gelu)
  }
}
