import NeuralNetworks
import Testing

@testable import Adapters

@Suite struct LayerNormTuningTests {
  @Test func `weights and biases of the LayerNorms train, and do not decay`() throws {
    let backbone = try TinyBackbone(blocks: 1)
    #expect(
      try backbone.trained(by: .layerNorms) == [
        "blocks.0.norm1.weight", "blocks.0.norm1.bias", "blocks.0.norm2.weight", "blocks.0.norm2.bias",
      ])
    #expect(try backbone.adapted(by: .layerNorms).adapter.parameters.allSatisfy { !$0.decays })
  }

  @Test func `the last one goes with any blocks, one before the blocks with the first`() throws {
    let clip = try VisionTransformer(from: VisionFixture.url("timm-vit-clip"))
    let outer: Set = ["norm_pre.weight", "norm_pre.bias"]
    let last: Set = ["norm.weight", "norm.bias"]
    func inner(_ block: Int) -> Set<String> {
      Set(["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"].map { "blocks.\(block).\($0)" })
    }
    #expect(try clip.trained(by: .layerNorms, blocks: .only([1])) == inner(1).union(last))
    #expect(try clip.trained(by: .layerNorms, blocks: .only([0])) == inner(0).union(last).union(outer))
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.count(.layerNorms) == 38_400)
    // Block 1 is not block 10 or 11.
    #expect(try backbone.count(.layerNorms, blocks: .only([1])) == 4_608)
  }
}
