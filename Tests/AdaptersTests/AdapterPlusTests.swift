import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct AdapterPlusTests {
  @Test func `the stream after the MLP gains the adapter's change of it, each channel by its scale`() throws {
    let model = try smallTransformer().adapted(by: .adapterPlus(width: 3))
    for block in 0..<2 {
      let scale = try model.adapter.parameter("blocks.\(block).mlp.adapter.scale")
      #expect(try scale.value.isEqual(to: .ones([24])) && !scale.decays)
    }
    try model.expectFormula { model, branch, state in
      guard branch.kind == .mlp else { return state.output }
      let z = try state.stream + state.output
      let scale = try model.adapter.parameter("\(branch.name).adapter.scale").value
      // The backbone adds the stream again.
      return try z + #require(model.bottleneck(branch, z) { try $0.gelu() }) * scale - state.stream
    }
  }

  @Test func `both matrices start truncated normal with deviation a hundredth`() throws {
    let adapter = try ShapesOfViTB().adapted(by: .adapterPlus()).adapter
    for name in ["down", "up"] {
      let weight = try adapter.parameter("blocks.4.mlp.adapter.\(name).weight").value
      #expect(try weight.abs().max().item() <= 0.02)
      #expect(try abs(weight.variance().sqrt().item() / 0.008796 - 1) < 0.05)
    }
    #expect(AdapterPlus().dropPath == 0.1)
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.adapted(by: .adapterPlus(width: 8)).adapter.parameterCount == 165_984)
    #expect(try backbone.adapted(by: .adapterPlus(width: 16)).adapter.parameterCount == 313_536)
  }
}
