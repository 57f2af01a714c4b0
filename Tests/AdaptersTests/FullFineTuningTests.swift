import NeuralNetworks
import Testing

@testable import Adapters

@Suite struct FullFineTuningTests {
  @Test func `every tensor trains`() throws {
    let backbone = try TinyBackbone(blocks: 1)
    #expect(try backbone.trained(by: .full) == Set(backbone.tensors.map(\.name)))
    #expect(try backbone.count(.full) == backbone.parameterCount)
    #expect(try ShapesOfViTB().parameterCount == 85_798_656)
  }
}
