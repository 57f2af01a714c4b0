import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct DeltaTuningTests {
  let site = Site.lone(3, 2)

  @Test func `as many numbers train as the maps have weights`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.adapted(by: .delta, at: .proj).adapter.parameterCount == 12 * 768 * 768)
    #expect(try backbone.count(.delta) == 12 * (3 * 768 * 768 + 768 * 768 + 2 * 768 * 3072))
  }

  @Test func `the change is added to weight and bias`() throws {
    let layer = DeltaLayer(
      weight: try Parameter("a.delta", Tensor([1, 0, 0, 0, 2, 0] as [Float]).reshaped(2, 3)),
      bias: try Parameter("a.bias_delta", Tensor([0.5, -1] as [Float])))
    let linear = Linear(
      site: site, weight: try Tensor([1, 1, 1, 1, 1, 1] as [Float]).reshaped(2, 3), bias: try Tensor([1, 1] as [Float]))
    let input = try Tensor([1, 10, 100] as [Float]).reshaped(1, 3)
    #expect(
      try layer.output(of: linear, input: input, pass: ForwardPass()).floats() == [111 + 1 + 1.5, 111 + 20])
    let delta = try #require(try layer.delta(of: linear))
    #expect(try #require(delta.weight).merged(into: linear.weight).floats() == [2, 1, 1, 1, 3, 1])
    #expect(try #require(delta.bias).floats() == [0.5, -1])
  }

  @Test func `a bias of a site that is not adapted is refused`() throws {
    #expect(throws: AdapterError.unknown("adapted site", "blocks.0.attn.qkw", known: [site.name])) {
      try DeltaTuning(biases: ["blocks.0.attn.qkw"]).validate([site])
    }
  }
}
