import Tensors
import Testing

@testable import Adapters

@Suite struct HadamardDeltaTests {
  @Test func `the change is the product of two low ranks, element by element`() throws {
    let generator = try Generator(seed: 1)
    let (a1, b1, a2, b2) = (
      try generator.normal(5, 2), try generator.normal(2, 4), try generator.normal(5, 2), try generator.normal(2, 4)
    )
    let delta = HadamardDelta(firstUp: a1, firstDown: b1, secondUp: a2, secondDown: b2, scale: 1.5)
    let (one, other) = (try a1.matmul(b1).doubles(), try a2.matmul(b2).doubles())
    let expected = try Tensor(zip(one, other).map { $0 * $1 * 1.5 }, shape: [5, 4])
    try expectClose(delta.materialized(), expected)
    #expect(delta.factors.map(\.shape) == [[5, 2], [2, 4], [5, 2], [2, 4]])
  }

  @Test func `its rank reaches the square of its factors'`() throws {
    let delta = try WeightDeltaTests.hadamard(30, 20, rank: 3, Generator(seed: 1))
    let values = try delta.materialized().svd().s.doubles()
    #expect(values.filter { $0 > values[0] * 1e-12 }.count == 9)
    let factored = try #require(try delta.lowRank)
    #expect(factored.down.shape == [9, 20] && factored.up.shape == [30, 9] && factored.scale == 1.5)
    try expectClose(factored.materialized(), delta.materialized())
  }
}
