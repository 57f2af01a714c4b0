import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct TuningTests {
  func names(_ configuration: some AdapterConfiguration, of backbone: TinyBackbone) throws -> Set<String> {
    let names = try backbone.adapted(by: configuration, at: .attention).adapter.parameters.map(\.name)
    #expect(Set(names).count == names.count)
    return Set(names)
  }

  @Test func `what each method tunes`() throws {
    let backbone = try TinyBackbone(blocks: 1)
    let linear: Set = ["blocks.0.attn.qkv.bias", "blocks.0.attn.proj.bias"]
    #expect(try names(.linearProbe, of: backbone) == [])
    #expect(try names(BiasTuning(.linear), of: backbone) == linear)
    #expect(try names(.bias, of: backbone) == linear.union(["blocks.0.norm1.bias"]))
    #expect(
      try names(.attention, of: backbone) == linear.union(["blocks.0.attn.qkv.weight", "blocks.0.attn.proj.weight"]))
    #expect(try names(.full, of: backbone) == Set(backbone.tensors.map(\.name)))
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    func count(_ configuration: some AdapterConfiguration) throws -> Int {
      try backbone.adapted(by: configuration, at: .allLinear).adapter.parameterCount
    }
    #expect(backbone.parameterCount == 85_798_656)
    #expect(try count(LinearProbe()) == 0)
    #expect(try count(BiasTuning(.all)) == 102_912)
    #expect(try count(BiasTuning(.linear)) == 82_944)
    #expect(try count(AttentionTuning()) == 28_348_416)
  }

  @Test func `a tuned tensor is used in the place of the backbone's, which stays as it is`() throws {
    let backbone = try TinyBackbone()
    let adapter = try backbone.adapted(by: .bias, at: .attention).adapter
    let linear = try backbone.linear(at: backbone.sites[0])
    let input = try Tensor.normal([3, 12], from: Generator(seed: 1))
    let before = try linear(input)
    try withoutGradients { try adapter.parameter("blocks.0.attn.qkv.bias").value.addInPlace(.full(0.5, [36])) }
    try expectClose(
      adapter.output(of: linear, input: input, pass: ForwardPass()), before + 0.5, tolerance: 1e-6)
    #expect(try linear(input).isEqual(to: before))
  }
}
