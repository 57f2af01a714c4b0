import NeuralNetworks
import Testing

@testable import Adapters

@Suite struct BiasTuningTests {
  @Test func `all biases train, or those of the linear maps`() throws {
    let backbone = try TinyBackbone(blocks: 1)
    let linear: Set = [
      "blocks.0.attn.qkv.bias", "blocks.0.attn.proj.bias", "blocks.0.mlp.fc1.bias", "blocks.0.mlp.fc2.bias",
    ]
    #expect(try backbone.trained(by: BiasTuning(.linear)) == linear)
    #expect(try backbone.trained(by: .bias) == linear.union(["blocks.0.norm1.bias", "blocks.0.norm2.bias"]))
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.count(BiasTuning(.all)) == 102_912)
    #expect(try backbone.count(BiasTuning(.linear)) == 82_944)
    #expect(try backbone.trained(by: .bias).contains("patch_embed.bias"))
  }
}
