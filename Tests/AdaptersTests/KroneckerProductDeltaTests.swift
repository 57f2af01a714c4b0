import Tensors
import Testing

@testable import Adapters

@Suite struct KroneckerProductDeltaTests {
  typealias Factor = KroneckerProductDelta.Factor

  @Test func `block i j is the left factor's number times the right factor`() throws {
    let delta = KroneckerProductDelta(
      left: .dense(try Tensor([1, 2, 3, 4, 5, 6] as [Double], shape: [2, 3])),
      right: .dense(try Tensor([1, 10, -1, 0.5] as [Double], shape: [2, 2])), scale: 2)
    let expected: [[Double]] = [
      [2, 20, 4, 40, 6, 60], [-2, 1, -4, 2, -6, 3], [8, 80, 10, 100, 12, 120], [-8, 4, -10, 5, -12, 6],
    ]
    try expectClose(delta.materialized(), Tensor(expected.flatMap { $0 }, shape: [4, 6]))
    #expect([delta.outFeatures, delta.inFeatures] == [4, 6])
  }

  @Test func `factors that are products are multiplied out`() throws {
    let generator = try Generator(seed: 1)
    let (p, q) = (try generator.normal(3, 2), try generator.normal(2, 4))
    let (u, v) = (try generator.normal(5, 1), try generator.normal(1, 2))
    let dense = KroneckerProductDelta(left: .dense(try p.matmul(q)), right: .dense(try u.matmul(v)), scale: 0.5)
    for (left, right) in [
      (Factor.product(up: p, down: q), dense.right), (dense.left, .product(up: u, down: v)),
      (.product(up: p, down: q), .product(up: u, down: v)),
    ] {
      let delta = KroneckerProductDelta(left: left, right: right, scale: 0.5)
      try expectClose(delta.materialized(), dense.materialized())
      #expect(delta.factors.count == left.tensors.count + right.tensors.count)
      #expect([delta.outFeatures, delta.inFeatures] == [15, 8])
    }
  }

  @Test func `ranks multiply, and a dense factor counts by its shorter side`() throws {
    let generator = try Generator(seed: 1)
    let thin = Factor.product(up: try generator.normal(8, 1), down: try generator.normal(1, 8))
    for (left, rank) in [
      (Factor.dense(try generator.normal(2, 4)), 2), (.dense(try generator.normal(4, 3)), 3),
      (.product(up: try generator.normal(4, 2), down: try generator.normal(2, 4)), 2),
    ] {
      let delta = KroneckerProductDelta(left: left, right: thin, scale: 3)
      let factored = try #require(try delta.lowRank)
      #expect(factored.down.shape[0] == rank && factored.scale == 3)
      try expectClose(factored.materialized(), delta.materialized())
    }
  }

  @Test func `products of one size are compared factor by factor, others through the matrix`() throws {
    let generator = try Generator(seed: 1)
    func delta(_ left: (Int, Int), _ right: (Int, Int)) throws -> KroneckerProductDelta {
      try WeightDeltaTests.kroneckerProduct(dense: left, dense: right, generator)
    }
    let (one, alike, other) = (try delta((3, 4), (4, 2)), try delta((3, 4), (4, 2)), try delta((2, 4), (6, 2)))
    let expected = try (one.materialized() * alike.materialized()).sum().item()
    #expect(try abs(#require(try one.factorwiseInner(alike)) - expected) < 1e-12)
    #expect(try one.factorwiseInner(other) == nil)
    #expect(try abs(one.inner(other) - (one.materialized() * other.materialized()).sum().item()) < 1e-12)
  }
}
