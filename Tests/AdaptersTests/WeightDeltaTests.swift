import Tensors
import Testing

@testable import Adapters

/// What every structure promises, whichever it is, against its dense matrix. A structure joins by a line in `structures`.
@Suite struct WeightDeltaTests {
  struct Structure: Sendable, CustomTestStringConvertible {
    let name: String
    /// The rank of its low-rank form.
    let rank: Int?
    let make: @Sendable (Generator) throws -> any WeightDelta
    var testDescription: String { name }
  }

  /// All `[12, 8]`, float64.
  static let structures: [Structure] = [
    Structure(name: "dense", rank: nil) { DenseDelta(try $0.normal(12, 8)) },
    Structure(name: "low rank", rank: 2) { try lowRank(12, 8, rank: 2, $0) },
    Structure(name: "low rank of full rank", rank: 8) { try lowRank(12, 8, rank: 8, $0) },
    Structure(name: "sum of low ranks", rank: 4) {
      try SumDelta([(2, lowRank(12, 8, rank: 1, $0)), (-0.5, lowRank(12, 8, rank: 3, $0))])
    },
    Structure(name: "sum of low ranks above the full rank", rank: nil) {
      try SumDelta([(2, lowRank(12, 8, rank: 4, $0)), (-0.5, lowRank(12, 8, rank: 5, $0))])
    },
    Structure(name: "sum across structures", rank: nil) {
      try SumDelta([
        (2, lowRank(12, 8, rank: 2, $0)), (-1.5, DenseDelta($0.normal(12, 8))),
        (0.5, kroneckerProduct(dense: (3, 4), dense: (4, 2), $0)),
      ])
    },
    Structure(name: "stack of low ranks", rank: 3) {
      try StackedDelta(
        [(7..<12, lowRank(5, 8, rank: 1, $0)), (1..<5, lowRank(4, 8, rank: 2, $0))], outFeatures: 12)
    },
    Structure(name: "stack of dense and low rank", rank: nil) {
      try StackedDelta([(0..<5, DenseDelta($0.normal(5, 8))), (5..<9, lowRank(4, 8, rank: 2, $0))], outFeatures: 12)
    },
    Structure(name: "rescaled rows", rank: nil) { RescalingDelta(of: try $0.normal(12, 8), rows: try $0.normal(12)) },
    Structure(name: "rescaled columns", rank: nil) {
      RescalingDelta(of: try $0.normal(12, 8), columns: try $0.normal(8))
    },
    Structure(name: "rescaled rows and columns", rank: nil) {
      RescalingDelta(of: try $0.normal(12, 8), rows: try $0.normal(12), columns: try $0.normal(8))
    },
    Structure(name: "grouped", rank: nil) { GroupedDelta(values: try $0.normal(4, 3, 2)) },
    Structure(name: "grouped, reordered", rank: nil) { GroupedDelta(values: try $0.normal(4, 3, 2), reorder: true) },
    Structure(name: "union of grouped", rank: nil) {
      try GroupedDelta.folded([
        GroupedDelta(values: $0.normal(4, 3, 2), reorder: true), GroupedDelta(values: $0.normal(2, 6, 4)),
      ])
    },
    Structure(name: "Hadamard", rank: 4) { try hadamard(12, 8, rank: 2, $0) },
    Structure(name: "Hadamard of full rank", rank: nil) { try hadamard(12, 8, rank: 3, $0) },
    Structure(name: "Kronecker of rank-one coarse factors", rank: 4) { try kronecker(4, 2, 3, rank: 1, $0) },
    Structure(name: "Kronecker of rank-one coarse factors, full rank", rank: nil) {
      try kronecker(4, 2, 3, rank: 3, $0)
    },
    Structure(name: "Kronecker product of dense factors", rank: nil) {
      try kroneckerProduct(dense: (3, 4), dense: (4, 2), $0)
    },
    Structure(name: "Kronecker product of a dense and a low-rank factor", rank: 2) {
      KroneckerProductDelta(
        left: .dense(try $0.normal(3, 2)), right: .product(up: try $0.normal(4, 1), down: try $0.normal(1, 4)),
        scale: 1.5)
    },
    Structure(name: "Kronecker product of low-rank factors", rank: 4) {
      KroneckerProductDelta(
        left: .product(up: try $0.normal(3, 2), down: try $0.normal(2, 4)),
        right: .product(up: try $0.normal(4, 2), down: try $0.normal(2, 2)), scale: -0.5)
    },
  ]

  static func lowRank(_ outFeatures: Int, _ inFeatures: Int, rank: Int, _ generator: Generator) throws -> LowRankDelta {
    LowRankDelta(down: try generator.normal(rank, inFeatures), up: try generator.normal(outFeatures, rank), scale: 1.5)
  }

  static func hadamard(_ outFeatures: Int, _ inFeatures: Int, rank: Int, _ generator: Generator) throws -> HadamardDelta
  {
    HadamardDelta(
      firstUp: try generator.normal(outFeatures, rank), firstDown: try generator.normal(rank, inFeatures),
      secondUp: try generator.normal(outFeatures, rank), secondDown: try generator.normal(rank, inFeatures), scale: 1.5)
  }

  static func kronecker(_ dimension: Int, _ inner: Int, _ outer: Int, rank: Int, _ generator: Generator) throws
    -> KroneckerDelta
  {
    KroneckerDelta(
      coarseLeft: try generator.normal(dimension, dimension), coarseRight: try generator.normal(dimension, dimension),
      fineLeft: try generator.normal(dimension, inner, rank), fineRight: try generator.normal(dimension, rank, outer))
  }

  static func kroneckerProduct(dense left: (Int, Int), dense right: (Int, Int), _ generator: Generator) throws
    -> KroneckerProductDelta
  {
    KroneckerProductDelta(
      left: .dense(try generator.normal(left.0, left.1)), right: .dense(try generator.normal(right.0, right.1)),
      scale: 0.7)
  }

  @Test(arguments: structures)
  func `applied, it is the product with its dense matrix`(_ structure: Structure) throws {
    let delta = try structure.make(Generator(seed: 1))
    let dense = try delta.materialized()
    #expect([delta.outFeatures, delta.inFeatures] == [12, 8] && dense.shape == [12, 8])
    for shape in [[2, 3, 8], [5, 8], [8]] {
      let input = try Tensor.normal(shape, dtype: .float64, from: Generator(seed: 2))
      try expectClose(delta.apply(to: input), input.linear(dense))
    }
  }

  @Test(arguments: structures)
  func `merged, it adds its scaled dense matrix`(_ structure: Structure) throws {
    let delta = try structure.make(Generator(seed: 1))
    let weight = try Generator(seed: 2).normal(12, 8)
    try expectClose(delta.merged(into: weight, scale: -0.5), weight - delta.materialized() * 0.5)
  }

  @Test(arguments: structures)
  func `the gradients of its factors are those of finite differences`(_ structure: Structure) throws {
    let leaves = try structure.make(Generator(seed: 1)).mapFactors { try $0.requiringGradient() }
    let input = try Generator(seed: 2).normal(3, 8)
    let weight = try Generator(seed: 3).normal(3, 12)
    func applied() throws -> Tensor { try (leaves.apply(to: input).sin() * weight).sum() }
    func dense() throws -> Tensor { try (input.linear(leaves.materialized()).sin() * weight).sum() }
    #expect(!leaves.factors.isEmpty)
    let (direct, throughMatrix) = (
      try gradients(of: applied(), leaves.factors), try gradients(of: dense(), leaves.factors)
    )
    for (factor, (one, other)) in zip(leaves.factors, zip(direct, throughMatrix)) {
      try expectClose(one, other, tolerance: 1e-11)
      try expectClose(one, differences(of: factor, applied), tolerance: 1e-8)
    }
  }

  @Test(arguments: structures)
  func `its low-rank form is itself, and holds fewer numbers than the matrix`(_ structure: Structure) throws {
    let delta = try structure.make(Generator(seed: 1))
    let factored = try delta.lowRank
    #expect(factored?.down.shape[0] == structure.rank)
    guard let factored else { return }
    try expectClose(factored.materialized(), delta.materialized())
    #expect(delta is LowRankDelta || factored.down.count + factored.up.count < 12 * 8)
  }

  @Test(arguments: structures)
  func `its norm and its multiples are those of its dense matrix`(_ structure: Structure) throws {
    let delta = try structure.make(Generator(seed: 1))
    let norm = try delta.materialized().norm().item()
    #expect(try abs(delta.norm() / norm - 1) < 1e-12)
    let scaled = try delta.scaled(by: -2.5)
    try expectClose(scaled.materialized(), delta.materialized() * -2.5)
    #expect(try abs(scaled.norm() / (2.5 * norm) - 1) < 1e-12)
  }

  @Test(arguments: structures)
  func `its inner product with every other structure is that of the dense matrices`(_ structure: Structure) throws {
    let delta = try structure.make(Generator(seed: 1))
    for other in Self.structures {
      let second = try other.make(Generator(seed: 4))
      let expected = try (delta.materialized() * second.materialized()).sum().item()
      let scale = try delta.norm() * second.norm()
      #expect(try abs(delta.inner(second) - expected) < 1e-13 * scale, "\(other.name)")
      #expect(try abs(second.inner(delta) - expected) < 1e-13 * scale, "\(other.name)")
      let single = try delta.to(.float32).inner(second.to(.float32))
      #expect(abs(single - expected) < 1e-6 * scale, "\(other.name)")
    }
  }

  @Test(arguments: structures)
  func `in another dtype it is the same change, rounded`(_ structure: Structure) throws {
    let delta = try structure.make(Generator(seed: 1))
    let single = try delta.to(.float32)
    #expect(single.factors.allSatisfy { $0.dtype == .float32 })
    #expect(type(of: single) == type(of: delta))
    #expect(try single.materialized().dtype == .float32)
    try expectClose(single.materialized(), delta.materialized(), tolerance: 1e-6)
    #expect(try single.apply(to: .ones([8])).dtype == .float32)
  }

  @Test(arguments: structures)
  func `its best approximation of any rank is that of its dense matrix`(_ structure: Structure) throws {
    let delta = try structure.make(Generator(seed: 1))
    let dense = try delta.materialized()
    let (u, s, vh) = try dense.svd()
    let values = try s.doubles()
    let norm = try s.norm().item()
    for rank in 1...8 {
      let found = try delta.approximation(rank: rank)
      let expected = try (u.narrowed(1, 0..<rank) * s.narrowed(0, 0..<rank)).matmul(vh.narrowed(0, 0..<rank))
      #expect(found.delta.down.shape == [rank, 8] && found.delta.up.shape == [12, rank])
      try expectClose(found.delta.materialized(), expected, tolerance: 1e-11)
      let lost = values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(found.relativeError - lost / norm) < 1e-12)
      #expect(try abs((found.delta.materialized() - dense).norm().item() - lost) < 1e-11 * norm)
    }
  }

  @Test func `the inner product of large maps of low rank never makes them dense`() throws {
    let generator = try Generator(seed: 1)
    // 120,000 × 100,000: 96 GB in float64.
    let one = LowRankDelta(
      down: try .normal([2, 100_000], from: generator), up: try .normal([120_000, 2], from: generator))
    let other = LowRankDelta(
      down: try .normal([3, 100_000], from: generator), up: try .normal([120_000, 3], from: generator), scale: -2)
    let left = try one.up.to(.float64).transposed().matmul(other.up.to(.float64))
    let right = try one.down.to(.float64).matmul(other.down.to(.float64).transposed())
    let expected = try (left * right).sum().item() * -2
    #expect(try abs(one.inner(other) / expected - 1) < 1e-12)
    #expect(try one.inner(one.scaled(by: -1)) == -one.inner(one))
  }

  @Test func `what differs in shape, or holds a number that is not one, is refused`() throws {
    let generator = try Generator(seed: 1)
    let (one, other) = (DenseDelta(try generator.normal(3, 4)), DenseDelta(try generator.normal(4, 3)))
    let error = try thrown(WeightDeltaError.self) { _ = try one.inner(other) }
    #expect(
      error.description == """
        Changes of weights of shapes [3, 4] and [4, 3] cannot be combined. Combine changes of one linear map, or of maps of \
        one shape.
        """)
    for bad in [Double.nan, .infinity] {
      let delta = LowRankDelta(down: try generator.normal(2, 4), up: try .full(bad, [3, 2], dtype: .float64))
      #expect(try thrown(WeightDeltaError.self) { _ = try delta.norm() } == .nonFinite)
      #expect(try thrown(WeightDeltaError.self) { _ = try one.inner(delta) } == .nonFinite)
    }
  }
}
