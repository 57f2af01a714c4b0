import Adapters
import Foundation
import Tensors
import Testing

@testable import Mixing

@Suite struct LeadingSingularVectorsTests {
  @Test(arguments: [1, 4, 8]) func `agrees with the whole decomposition where the spectrum falls`(_ count: Int) throws {
    let generator = try Generator(seed: 3)
    let scales = try Tensor((0..<40).map { Float(10 * pow(0.8, Double($0))) })
    let matrix =
      try Tensor.normal([160, 40], from: generator).matmul(.normal([40, 200], from: generator) * scales.unsqueezed(1))
      + .normal([160, 200], deviation: 0.01, from: generator)
    let leading = try LeadingSingularVectors(of: matrix, count: count)
    let exact = try DenseDelta(matrix).approximation(rank: count)
    let product = try exact.delta.materialized()
    #expect(try leading.up.matmul(leading.down).distance(to: product) <= 1e-5 * product.abs().max().item())
    #expect(abs(leading.relativeError - exact.relativeError) <= 1e-6)
  }

  @Test func `a flat spectrum is decomposed as a whole`() throws {
    let matrix = try Tensor.normal([60, 50], from: Generator(seed: 4))
    let leading = try LeadingSingularVectors(of: matrix, count: 3)
    #expect(abs(leading.relativeError - (try DenseDelta(matrix).approximation(rank: 3).relativeError)) <= 1e-6)
  }

  @Test func `zeros have nothing to approximate`() throws {
    let leading = try LeadingSingularVectors(of: .zeros([100, 90]), count: 2)
    #expect(leading.relativeError == 0)
    #expect(try leading.up.matmul(leading.down).abs().max().item() == 0)
  }

  @Test func `NaN and ranks out of range are refused`() throws {
    #expect(throws: WeightDeltaError.nonFinite) { try LeadingSingularVectors(of: .full(.nan, [3, 3]), count: 1) }
    #expect(throws: WeightDeltaError.rank(4, limit: 3)) { try LeadingSingularVectors(of: .ones([3, 5]), count: 4) }
  }
}
