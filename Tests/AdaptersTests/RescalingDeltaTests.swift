import Tensors
import Testing

@testable import Adapters

@Suite struct RescalingDeltaTests {
  @Test func `added to its weight, it leaves the weight with its rows and columns scaled`() throws {
    let generator = try Generator(seed: 1)
    let (weight, rows, columns) = (try generator.normal(4, 3), try generator.normal(4), try generator.normal(3))
    func scaled(_ rows: Tensor?, _ columns: Tensor?) throws -> Tensor {
      try RescalingDelta(of: weight, rows: rows, columns: columns).merged(into: weight)
    }
    try expectClose(scaled(rows, nil), weight * rows.unsqueezed(1))
    try expectClose(scaled(nil, columns), weight * columns)
    try expectClose(scaled(rows, columns), weight * rows.unsqueezed(1) * columns)
    #expect(try scaled(nil, nil).isEqual(to: weight))
    #expect(try RescalingDelta(of: weight).apply(to: generator.normal(2, 3)).abs().max().item() == 0)
  }

  @Test func `scales next to 1 keep their digits in float32`() throws {
    // r·c − 1 computed as it reads loses all but a few bits of r − 1 = 2⁻²⁰ beside c = 1 + 2⁻²².
    let weight = try Tensor.full(3, [1, 1])
    let (row, column) = (1 + 0x1p-20, 1 + 0x1p-22)
    let delta = RescalingDelta(of: weight, rows: try .full(row, [1]), columns: try .full(column, [1]))
    let exact = 3 * (row * column - 1)
    #expect(try abs(delta.materialized().item() / exact - 1) < 1e-6)
    #expect(try abs(delta.apply(to: .ones([1, 1])).item() / exact - 1) < 1e-6)
  }

  @Test func `its factors are the scales it has, then the weight`() throws {
    let weight = try Tensor.ones([4, 3])
    #expect(RescalingDelta(of: weight).factors.map(\.shape) == [[4, 3]])
    #expect(
      RescalingDelta(of: weight, rows: try .ones([4]), columns: try .ones([3])).factors.map(\.shape)
        == [[4], [3], [4, 3]])
  }
}
