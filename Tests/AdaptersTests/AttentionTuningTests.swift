import NeuralNetworks
import Testing

@testable import Adapters

@Suite struct AttentionTuningTests {
  @Test func `the maps of attention train, in the blocks chosen`() throws {
    let backbone = try TinyBackbone(blocks: 3)
    #expect(
      try backbone.trained(by: .attention, blocks: .only([1])) == [
        "blocks.1.attn.qkv.weight", "blocks.1.attn.qkv.bias", "blocks.1.attn.proj.weight", "blocks.1.attn.proj.bias",
      ])
  }

  @Test func `parameter count on ViT-B`() throws {
    #expect(try ShapesOfViTB().count(.attention) == 28_348_416)
  }
}
