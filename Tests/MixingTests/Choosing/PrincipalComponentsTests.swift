import Tensors
import Testing

@testable import Mixing

@Suite struct PrincipalComponentsTests {
  @Test(arguments: [3, 40])
  func `distances survive where no dimension is dropped`(_ count: Int) throws {
    let values = try Tensor.normal([count, 5], dtype: .float64, from: Generator(seed: 2)).doubles()
    let samples = Samples(count: count, width: 5, values: values)
    let reduced = try PrincipalComponents(of: samples, limit: 50)(samples)
    #expect(reduced.width == min(5, count - 1))
    for other in 1..<count {
      let (before, after) = (
        samples.squaredDistance(0, to: Array(samples[other])), reduced.squaredDistance(0, to: Array(reduced[other]))
      )
      #expect(abs(before - after) < 1e-9)
    }
  }

  @Test func `the first component is the direction of the largest variance`() throws {
    let samples = Samples(count: 4, width: 2, values: [0, 0, 3, 4.1, 6, 7.9, 9, 12])
    let components = try PrincipalComponents(of: samples, limit: 1)
    let direction = try components.directions.doubles()
    #expect(abs(abs(direction[0] * 0.6 + direction[1] * 0.8) - 1) < 1e-4)
  }

  @Test func `samples that do not vary have one component, of zeros`() throws {
    let same = Samples(count: 3, width: 4, values: [Double](repeating: 2, count: 12))
    let reduced = try PrincipalComponents(of: same, limit: 50)(same)
    #expect(reduced.width == 1 && reduced.values == [0, 0, 0])
  }
}
