import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct RankedConfigurationTests {
  @Test func `a site has its own rank and scale, the others those of the method`() throws {
    var lora = LoRA(rank: 2, alpha: 3)
    lora.overrides = ["blocks.0.attn.proj": SiteOverride(rank: 4), "blocks.1.attn.proj": SiteOverride(alpha: 7)]
    let adapter = try TinyBackbone().adapted(by: lora, at: .proj).adapter
    #expect(try adapter.parameter("blocks.0.attn.proj.lora_A").value.shape == [4, 36])
    #expect(try adapter.parameter("blocks.1.attn.proj.lora_B").value.shape == [12, 2])
    #expect(adapter.sites.map { lora.settings(at: $0).scale } == [0.75, 3.5])
  }

  @Test func `an override of what is not adapted, and one that does not fit, are refused`() throws {
    var lora = LoRA(rank: 2)
    lora.overrides["blocks.0.attn.qkv"] = SiteOverride(rank: 3)
    let error = try thrown { _ = try TinyBackbone().adapted(by: lora, at: .proj) }
    #expect(
      error == .unknown("adapted site", "blocks.0.attn.qkv", known: ["blocks.0.attn.proj", "blocks.1.attn.proj"]))
    lora.overrides = ["blocks.0.attn.proj": SiteOverride(rank: 13)]
    #expect(
      try thrown { _ = try TinyBackbone().adapted(by: lora, at: .proj) }
        == .rank(13, site: "blocks.0.attn.proj", limit: 12))
    lora.overrides = ["blocks.0.attn.proj": SiteOverride(alpha: .nan)]
    let alpha = try thrown { _ = try TinyBackbone().adapted(by: lora, at: .proj) }
    guard case .outOfRange("alpha", _, _) = alpha else {
      Issue.record("not the alpha")
      return
    }
  }
}
