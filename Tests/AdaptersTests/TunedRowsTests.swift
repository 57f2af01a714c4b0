import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct TunedRowsTests {
  @Test func `the rows that train stand among those that do not`() throws {
    let rows = TunedRows(parts: [
      (1..<2, try Parameter("a", Tensor([7.0]))), (3..<5, try Parameter("b", Tensor([8.0, 9]))),
    ])
    try expectClose(rows.value(of: Tensor([1.0, 2, 3, 4, 5, 6])), [1, 7, 3, 8, 9, 6])
  }

  @Test func `a part's bias trains alone, starting as it was`() throws {
    let backbone = try TinyBackbone()
    var lora = LoRA(rank: 2)
    lora.tunedTensors = ["blocks.0.attn.qkv.value.bias", "blocks.1.norm2.weight"]
    let model = try backbone.adapted(by: lora, at: .fc1)
    let input = try Tensor.normal([2, 3, 12], from: Generator(seed: 1))
    #expect(try model.features(input).isClose(to: backbone.features(input), tolerance: 1e-6))
    let bias = try model.adapter.parameter("blocks.0.attn.qkv.value.bias")
    #expect(bias.value.shape == [12])
    #expect(try bias.value.isEqual(to: backbone.tensor("blocks.0.attn.qkv.bias").narrowed(0, 24..<36)))
    let found = try gradients(of: model.features(input).squared().sum(), [bias.value])
    #expect(try found[0].abs().max().item() > 1e-3)
    try withoutGradients { try bias.value.fillInPlace(0.5) }
    let moved = try model.adapter.value(
      of: "blocks.0.attn.qkv.bias", original: backbone.tensor("blocks.0.attn.qkv.bias"))
    try expectClose(moved.narrowed(0, 24..<36), [Double](repeating: 0.5, count: 12))
    #expect(try moved.narrowed(0, 0..<24).isEqual(to: backbone.tensor("blocks.0.attn.qkv.bias").narrowed(0, 0..<24)))
  }

  @Test func `a tensor that is not there or is named twice is refused`() throws {
    let backbone = try TinyBackbone()
    func refusal(_ names: [String]) throws -> AdapterError {
      try thrown {
        var parts = AdapterParts(); try parts.tune(names, of: backbone)
      }
    }
    #expect(try refusal(["blocks.0.norm1.wieght"]).description.contains("Did you mean 'blocks.0.norm1.weight'"))
    #expect(try refusal(["blocks.0.norm1.bias", "blocks.0.norm1.bias"]) == .twice("blocks.0.norm1.bias"))
    #expect(
      try refusal(["blocks.0.attn.qkv.bias", "blocks.0.attn.qkv.key.bias"]) == .twice("blocks.0.attn.qkv.bias"))
  }
}
