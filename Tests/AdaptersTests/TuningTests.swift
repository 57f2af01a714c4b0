import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct TuningTests {
  @Test func `a tuned tensor is used in the place of the backbone's, which stays as it is`() throws {
    let backbone = try TinyBackbone()
    let adapter = try backbone.adapted(by: .bias).adapter
    let linear = try backbone.linear(at: backbone.sites[0])
    let input = try Tensor.normal([3, 12], from: Generator(seed: 1))
    let before = try linear(input)
    try withoutGradients { try adapter.parameter("blocks.0.attn.qkv.bias").value.addInPlace(.full(0.5, [36])) }
    try expectClose(
      adapter.output(of: linear, input: input, pass: ForwardPass()), before + 0.5, tolerance: 1e-6)
    #expect(try linear(input).isEqual(to: before))
  }

  @Test func `the LayerNorms before and after the blocks`() throws {
    let clip = try VisionTransformer(from: VisionFixture.url("timm-vit-clip"))
    #expect(clip.outerLayerNorms.first == ["norm_pre"])
    #expect(clip.outerLayerNorms.last == ["norm"])
    let plain = try TinyBackbone()
    #expect(plain.outerLayerNorms.first.isEmpty && plain.outerLayerNorms.last.isEmpty)
  }
}

extension Backbone {
  /// The names of what trains, each once.
  func trained(by configuration: some AdapterConfiguration, blocks: Blocks? = nil) throws -> Set<String> {
    let names = try adapted(by: configuration, blocks: blocks).adapter.parameters.map(\.name)
    #expect(Set(names).count == names.count)
    return Set(names)
  }

  func count(_ configuration: some AdapterConfiguration, blocks: Blocks? = nil) throws -> Int {
    try adapted(by: configuration, blocks: blocks).adapter.parameterCount
  }
}
