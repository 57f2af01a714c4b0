import Foundation
import Testing

@testable import Formats
@testable import NeuralNetworks

@Suite struct WeightSourcesTests {
  private func sources(_ fixture: String) throws -> WeightSources {
    try WeightSources(ShardedSafetensors(in: Fixture(name: fixture).url))
  }

  @Test func `a map is whole in timm, in parts in transformers, and a projection is turned in OpenCLIP`() throws {
    let timm = try sources("timm-vit").sources
    #expect(timm["blocks.1.attn.qkv.weight"] == .whole("blocks.1.attn.qkv.weight"))
    #expect(timm["patch_embed.weight"] == .whole("patch_embed.proj.weight"))
    let clip = try sources("hf-clip").sources
    #expect(
      clip["blocks.1.attn.qkv.bias"]
        == .parts(["q", "k", "v"].map { "vision_model.encoder.layers.1.self_attn.\($0)_proj.bias" }))
    #expect(clip["cls_token"] == .whole("vision_model.embeddings.class_embedding"))
    let openCLIP = try sources("open-clip").sources
    #expect(openCLIP["blocks.0.attn.qkv.weight"] == .whole("visual.transformer.resblocks.0.attn.in_proj_weight"))
    #expect(openCLIP["projection.weight"] == .transposed("visual.proj"))
  }

  @Test(arguments: Fixture.all)
  func `every tensor of a file is a source once or is left aside`(_ fixture: Fixture) throws {
    let sources = try sources(fixture.name)
    let used = sources.sources.values.flatMap(\.names)
    #expect(Set(used).count == used.count)
    #expect(Set(used + sources.ignored.map(\.name)) == Set(try ShardedSafetensors(in: fixture.url).names))
    #expect(Set(sources.ordered) == Set(sources.sources.keys))
  }
}
