import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct PfeifferTests {
  @Test func `the MLP's output gains the adapter's change of it, attention's does not`() throws {
    try smallTransformer().adapted(by: .pfeiffer(width: 3)).expectFormula { model, branch, state in
      guard branch.kind == .mlp else { return state.output }
      return try state.output + #require(model.bottleneck(branch, state.output) { try $0.relu() })
    }
  }

  @Test func `as AdapterHub runs it on a ViT, the adapter reads the sum and its change goes to the output`() throws {
    var configuration = Pfeiffer(width: 3)
    configuration.input = .sum
    configuration.scale = 0.5
    try smallTransformer().adapted(by: configuration).expectFormula { model, branch, state in
      guard branch.kind == .mlp else { return state.output }
      let change = try #require(model.bottleneck(branch, state.stream + state.output) { try $0.relu() })
      return try state.output + change * 0.5
    }
  }

  @Test func `NOAH's variant is Xavier uniform with a quick GELU`() throws {
    let model = try smallTransformer().adapted(by: Pfeiffer.noah)
    let up = try model.adapter.parameter("blocks.1.mlp.adapter.up.weight").value
    let bound = (6.0 / 32).squareRoot()
    #expect(up.shape == [24, 8])
    #expect(try up.abs().max().item() <= bound && up.abs().max().item() > 0.95 * bound)
    #expect(Pfeiffer.noah.dropout == 0.1)
    try model.expectFormula { model, branch, state in
      guard branch.kind == .mlp else { return state.output }
      return try state.output + #require(model.bottleneck(branch, state.output) { try $0 * ($0 * 1.702).sigmoid() })
    }
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.adapted(by: .pfeiffer(width: 8)).adapter.parameterCount == 156_768)
    #expect(try backbone.adapted(by: .pfeiffer(width: 16)).adapter.parameterCount == 304_320)
    #expect(try backbone.adapted(by: Pfeiffer.noah).adapter.parameterCount == 156_768)
    #expect(try backbone.adapted(by: Pfeiffer()).adapter.parameterCount == 12 * (2 * 768 * 48 + 48 + 768))
  }
}
