import Tensors
import Testing

@testable import Adapters

@Suite struct StackedDeltaTests {
  @Test func `parts stand in their rows, whatever their order, and the rest is zero`() throws {
    let generator = try Generator(seed: 1)
    let value = DenseDelta(try generator.normal(2, 3))
    let query = LowRankDelta(down: try generator.normal(1, 3), up: try generator.normal(2, 1), scale: 2)
    let stack = try StackedDelta([(4..<6, value), (0..<2, query)], outFeatures: 7)
    let expected = try Tensor.concatenated([
      query.up.matmul(query.down) * 2, .zeros([2, 3], dtype: .float64), value.value, .zeros([1, 3], dtype: .float64),
    ])
    try expectClose(stack.materialized(), expected)
    #expect(stack.parts.map(\.rows) == [0..<2, 4..<6])
    let full = try StackedDelta([(0..<2, value), (2..<4, query)], outFeatures: 4)
    try expectClose(full.materialized(), Tensor.concatenated([value.value, query.materialized()]))
  }

  @Test func `of low ranks it is a low rank whose ups stand on a block diagonal`() throws {
    let generator = try Generator(seed: 1)
    let one = LowRankDelta(down: try generator.normal(1, 6), up: try generator.normal(3, 1), scale: 2)
    let other = LowRankDelta(down: try generator.normal(2, 6), up: try generator.normal(4, 2))
    let stack = try StackedDelta([(1..<4, one), (6..<10, other)], outFeatures: 10)
    let factored = try #require(try stack.lowRank)
    #expect(factored.down.shape == [3, 6] && factored.up.shape == [10, 3])
    #expect(try factored.up.abs().isGreater(than: 0).to(.float64).sum().item() == 3 + 8)
    try expectClose(factored.materialized(), stack.materialized())
  }

  @Test func `stacks of the same rows are multiplied part by part, of other rows through the matrix`() throws {
    let generator = try Generator(seed: 1)
    func dense(_ rows: Int) throws -> DenseDelta { DenseDelta(try generator.normal(rows, 3)) }
    let (a, b, c, d) = (try dense(2), try dense(2), try dense(2), try dense(3))
    let one = try StackedDelta([(0..<2, a), (4..<6, b)], outFeatures: 6)
    let alike = try StackedDelta([(0..<2, c)], outFeatures: 6)
    let apart = try StackedDelta([(2..<4, c)], outFeatures: 6)
    let across = try StackedDelta([(1..<4, d)], outFeatures: 6)
    #expect(try one.factorwiseInner(alike) == a.factorwiseInner(c) ?? (a.value * c.value).sum().item())
    #expect(try one.inner(apart) == 0)
    #expect(try one.factorwiseInner(across) == nil)
    let overlap = try (a.value.narrowed(0, 1..<2) * d.value.narrowed(0, 0..<1)).sum().item()
    #expect(try abs(one.inner(across) - overlap) < 1e-13)
  }

  @Test func `rows outside the map, shared rows and rows that do not fit are refused`() throws {
    let generator = try Generator(seed: 1)
    let delta = DenseDelta(try generator.normal(2, 3))
    func refusal(_ parts: [(Range<Int>, any WeightDelta)]) throws -> WeightDeltaError {
      try thrown(WeightDeltaError.self) { _ = try StackedDelta(parts.map { ($0.0, $0.1) }, outFeatures: 6) }
    }
    #expect(try refusal([]) == .emptySum)
    #expect(try refusal([(5..<7, delta)]).description == "Rows 5 ..< 7 do not lie within the 6 rows of the whole map.")
    #expect(try refusal([(-1..<1, delta)]) == .rows(-1..<1, outFeatures: 6))
    #expect(
      try refusal([(2..<4, delta), (1..<3, delta)]).description
        == "Rows 1 ..< 3 and rows 2 ..< 4 overlap. Add changes of the same rows by a sum first.")
    #expect(
      try refusal([(0..<3, delta)]).description
        == "Rows 0 ..< 3 are 3, and the change that should stand there has 2.")
    #expect(
      try refusal([(0..<2, delta), (2..<4, DenseDelta(generator.normal(2, 4)))]) == .shapes([2, 3], [2, 4]))
  }
}
