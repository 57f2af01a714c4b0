import NeuralNetworks
import Tensors
import Testing

@Suite struct LinearTests {
  private let site = Site(name: "blocks.0.mlp.fc1", block: 0, role: .fc1, inFeatures: 2, outFeatures: 3)

  @Test func `rows of the weight give the outputs`() throws {
    let weight = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [3, 2])
    let input = try Tensor([1, 10, -1, 0] as [Float], shape: [1, 2, 2])
    let plain = Linear(site: site, weight: weight, bias: nil)
    #expect(try plain(input).floats() == [21, 43, 65, -1, -3, -5])
    let shifted = Linear(site: site, weight: weight, bias: try Tensor([0.5, 0, -1] as [Float]))
    #expect(try shifted(input).floats() == [21.5, 43, 64, -0.5, -3, -6])
    #expect(try shifted(input).shape == [1, 2, 3])
  }

  @Test func `an input of another width is an error`() throws {
    let linear = Linear(site: site, weight: try .ones([3, 2]), bias: nil)
    let error = try thrown(TorchError.self) { _ = try linear(.ones([1, 4])) }
    #expect(error.operands == ["[1, 4] float32", "[3, 2] float32"])
  }
}
