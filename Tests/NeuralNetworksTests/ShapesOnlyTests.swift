import NeuralNetworks
import Tensors
import Testing

@Suite struct ShapesOnlyTests {
  @Test func `its sites, branches, LayerNorms and shapes are those of the network with weights`() throws {
    let vision = try Fixture.model("timm-vit")
    try expectShapes(ShapesOnly(vision.configuration), of: vision)
    for (name, pooling) in [
      ("bert", TextTransformerConfiguration.Pooling.pooler), ("minilm", .mean), ("distilbert", .classToken),
    ] {
      let text = try TextTransformerTests.model(name, pooling: pooling)
      try expectShapes(ShapesOnly(text.configuration), of: text)
    }
  }

  private func expectShapes(_ shapes: ShapesOnly, of network: any Backbone) throws {
    #expect(shapes.sites == network.sites)
    #expect(shapes.branches == network.branches)
    #expect(shapes.layerNorms == network.layerNorms)
    #expect(shapes.stem == network.stem)
    #expect(shapes.featureWidth == network.featureWidth)
    func table(_ backbone: any Backbone) -> [String: [Int]] {
      Dictionary(uniqueKeysWithValues: backbone.tensors.map { ($0.name, $0.tensor.shape) })
    }
    #expect(table(shapes) == table(network))
    for site in network.sites.flatMap({ [$0] + $0.parts }) {
      let (found, expected) = (try shapes.linear(at: site), try network.linear(at: site))
      #expect(found.site == expected.site)
      #expect(found.weight.shape == expected.weight.shape && found.bias?.shape == expected.bias?.shape)
    }
  }

  @Test func `ViT-B has 85,798,656 parameters, BERT-base 109,482,240`() throws {
    #expect(try ShapesOnly(.vitBase16).parameterCount == 85_798_656)
    #expect(try ShapesOnly(.bertBase).parameterCount == 109_482_240)
  }

  @Test func `a site of another network, and features, are refused`() throws {
    let shapes = try ShapesOnly(.vitBase16)
    let site = Site(name: "blocks.12.attn.qkv", block: 12, role: .qkv, inFeatures: 768, outFeatures: 2304)
    #expect(try thrown(BackboneError.self) { _ = try shapes.linear(at: site) } == .site("blocks.12.attn.qkv"))
    #expect(
      try thrown(ShapesOnlyError.self) { _ = try shapes.features(.zeros([1, 3, 224, 224])) }.description
        == "This backbone has shapes and no weights, so it computes nothing. Load a VisionTransformer or a "
        + "TextTransformer.")
  }
}
