import Tensors
import Testing

@testable import Adapters

@Suite struct SumDeltaTests {
  @Test func `a sum is the weighted sum of its terms, whatever their structures`() throws {
    let generator = try Generator(seed: 1)
    let dense = try generator.normal(6, 4)
    let (up, down) = (try generator.normal(6, 2), try generator.normal(2, 4))
    let (left, right) = (try generator.normal(2, 2), try generator.normal(3, 2))
    let sum = try SumDelta([
      (2, DenseDelta(dense)), (-0.5, LowRankDelta(down: down, up: up, scale: 3)),
      (0.25, KroneckerProductDelta(left: .dense(left), right: .dense(right))),
    ])
    let product = try Tensor.einsum("ij,kl->ikjl", left, right).reshaped(6, 4)
    try expectClose(sum.materialized(), dense * 2 - up.matmul(down) * 1.5 + product * 0.25)
    #expect(sum.factors.count == 5)
  }

  @Test func `low ranks side by side are one low rank`() throws {
    let generator = try Generator(seed: 1)
    let one = LowRankDelta(down: try generator.normal(1, 9), up: try generator.normal(7, 1), scale: 3)
    let other = LowRankDelta(down: try generator.normal(2, 9), up: try generator.normal(7, 2))
    let factored = try #require(try SumDelta([(2, one), (-1, other)]).lowRank)
    #expect(factored.scale == 1)
    try expectClose(factored.down, Tensor.concatenated([one.down, other.down]))
    try expectClose(factored.up, Tensor.concatenated([one.up * 6, other.up * -1], dimension: 1))
  }

  @Test func `sums of sums are flat`() throws {
    let generator = try Generator(seed: 1)
    let (one, other) = (DenseDelta(try generator.normal(3, 4)), DenseDelta(try generator.normal(3, 4)))
    let inner = try SumDelta([(2, one), (3, other)])
    let outer = try SumDelta([(10, inner), (1, other)])
    #expect(outer.terms.map(\.weight) == [20, 30, 1])
    try expectClose(outer.materialized(), one.value * 20 + other.value * 31)
    #expect((inner.scaled(by: -1) as? SumDelta)?.terms.map(\.weight) == [-2, -3])
  }

  @Test func `a sum of one is that one`() throws {
    let generator = try Generator(seed: 1)
    let delta = LowRankDelta(down: try generator.normal(5, 9), up: try generator.normal(7, 5), scale: 3)
    let sum = try SumDelta([(0.5, delta)])
    #expect(try sum.lowRank?.scale == 1.5)
    try expectClose(sum.materialized(), delta.materialized() * 0.5)
  }

  @Test func `mixed dtypes meet in the wider one, alike ones stay`() throws {
    func dense(_ dtype: DType) throws -> DenseDelta { DenseDelta(try .full(1.5, [2, 2], dtype: dtype)) }
    func dtype(_ dtypes: DType...) throws -> DType {
      try SumDelta(dtypes.map { (1, try dense($0)) }).materialized().dtype
    }
    #expect(try dtype(.float32, .bfloat16) == .float32)
    #expect(try dtype(.float16, .bfloat16) == .float32)
    #expect(try dtype(.float64, .bfloat16, .float32) == .float64)
    #expect(try dtype(.bfloat16, .bfloat16) == .bfloat16)
  }

  @Test func `an empty sum and terms of different shapes are refused`() throws {
    let empty = try thrown(WeightDeltaError.self) { _ = try SumDelta([]) }
    #expect(empty == .emptySum)
    #expect(empty.description == "A sum of changes needs at least one: its shape is theirs.")
    let generator = try Generator(seed: 1)
    let (one, other) = (DenseDelta(try generator.normal(3, 4)), DenseDelta(try generator.normal(3, 5)))
    #expect(
      try thrown(WeightDeltaError.self) { _ = try SumDelta([(1, one), (1, other)]) } == .shapes([3, 4], [3, 5]))
  }
}
