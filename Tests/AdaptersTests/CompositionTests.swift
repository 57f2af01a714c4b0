import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct CompositionTests {
  @Test func `members are written with their settings and sites, and read with defaults for what is left out`() throws {
    let settings = try JSONValue(
      parsing:
        #"{"members": [{"name": "books", "method": "lora", "settings": {"rank": 3}, "sites": ["blocks.0.attn.qkv"]}]}"#
        .data(using: .utf8) ?? Data())
    let configuration = try #require(
      try adapterConfiguration(named: "output-average", settings: settings.object ?? JSONObject()) as? OutputAverage)
    var lora = LoRA()
    lora.rank = 3
    #expect(configuration.members == [CompositionMember("books", lora, sites: ["blocks.0.attn.qkv"])])
    #expect(configuration.members != [CompositionMember("books", LoRA(), sites: ["blocks.0.attn.qkv"])])
    let text = try JSONValue.object(configuration.settings()).text()
    #expect(text.contains(#""method":"LORA""#) && text.contains(#""rank":3"#))
  }

  @Test func `misspelt keys and settings of members are refused with the nearest`() throws {
    func read(_ member: String) throws {
      let json = try JSONValue(parsing: Data("{\"members\": [\(member)]}".utf8))
      _ = try adapterConfiguration(named: "adapter_fusion", settings: json.object ?? JSONObject())
    }
    let key = try thrown(CompositionError.self) { try read(#"{"name": "a", "metod": "lora"}"#) }
    #expect(key.description.contains("Did you mean 'method'?"))
    let setting = try thrown(MethodError.self) {
      try read(#"{"name": "a", "method": "pfeiffer", "settings": {"widht": 3}}"#)
    }
    #expect(setting.description.contains("Did you mean 'width'?"))
    let method = try thrown(MethodError.self) { try read(#"{"name": "a", "method": "pfeifer"}"#) }
    #expect(method.description.contains("Did you mean 'pfeiffer'?"))
  }

  @Test func `compositions nest, and each frozen tensor has its place in the file`() throws {
    let backbone = try TinyBackbone()
    let inner = OutputAverage(of: [CompositionMember("x", LoRA(rank: 1)), CompositionMember("y", LoRA(rank: 2))])
    let outer = OutputAverage(of: [CompositionMember("pair", inner), CompositionMember("z", LoRA(rank: 1))])
    let adapter = try backbone.adapted(by: outer).adapter
    #expect(
      adapter.frozen.map(\.name).prefix(2) == [
        "members.pair.members.x.blocks.0.attn.qkv.lora_A", "members.pair.members.x.blocks.0.attn.qkv.lora_B",
      ])
    #expect(adapter.frozen.count == 12 && adapter.parameters.isEmpty)
  }
}
