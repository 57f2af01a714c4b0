import NeuralNetworks
import Testing

@testable import Adapters

@Suite struct LinearProbeTests {
  @Test func `nothing of the backbone trains`() throws {
    #expect(try TinyBackbone().trained(by: .linearProbe).isEmpty)
    #expect(try ShapesOfViTB().count(.linearProbe) == 0)
  }
}
