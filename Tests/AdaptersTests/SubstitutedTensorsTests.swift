import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct SubstitutedTensorsTests {
  @Test func `a backbone with other tensors in place of its own computes what one of those tensors does`() throws {
    let backbone = try TinyBackbone()
    let input = try Tensor.normal([4, 5, 12], from: Generator(seed: 7))
    let generator = try Generator(seed: 3)
    var tensors: [String: Tensor] = [:]
    for name in ["blocks.0.attn.qkv.weight", "blocks.1.mlp.fc2.bias", "blocks.1.norm2.bias"] {
      tensors[name] = try .normal(backbone.tensor(name).shape, from: generator)
    }
    let other = try TinyBackbone(replacing: backbone) { name, original in tensors[name] ?? original }
    let found = try backbone.features(
      input, adaptation: SubstitutedTensors(tensors: tensors), pass: ForwardPass())
    #expect(try found.isEqual(to: other.features(input)))
    #expect(try found.distance(to: backbone.features(input)) > 0.1)
  }
}
