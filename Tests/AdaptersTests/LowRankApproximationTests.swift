import Tensors
import Testing

@testable import Adapters

@Suite struct LowRankApproximationTests {
  /// A trained-looking update in float32: its singular values fall off.
  static func update(_ outFeatures: Int, _ inFeatures: Int, rank: Int, seed: UInt64) throws -> LowRankDelta {
    let generator = try Generator(seed: seed)
    let decay = try Tensor((0..<rank).map { Float(1) / Float($0 + 1) })
    return LowRankDelta(
      down: try .normal([rank, inFeatures], deviation: 0.05, from: generator),
      up: try Tensor.normal([outFeatures, rank], deviation: 0.05, from: generator) * decay, scale: 2)
  }

  /// The truncated decomposition of the dense matrix, by libtorch in float64.
  static func dense(_ delta: any WeightDelta, rank: Int) throws -> (matrix: Tensor, norm: Double, lost: Double) {
    let (u, s, vh) = try delta.to(.float64).materialized().svd()
    let kept = try (u.narrowed(1, 0..<rank) * s.narrowed(0, 0..<rank)).matmul(vh.narrowed(0, 0..<rank))
    let values = try s.doubles()
    return (kept, try s.norm().item(), values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }.squareRoot())
  }

  static let sums: [(out: Int, in: Int, ranks: [Int], weights: [Double], rank: Int)] = [
    (96, 64, [8, 8, 8, 8], [1, 1, 1, 1], 8), (64, 96, [8, 8, 8, 8], [0.4, 0.3, 0.2, 0.1], 8),
    (96, 64, [1, 2, 4, 8], [1, -1, 0.5, 2], 4), (300, 40, [4, 4], [1e-3, 1e3], 4), (40, 300, [3, 5, 7], [1, 1, 1], 1),
    (96, 64, [8], [1], 8), (96, 64, [8], [-0.7], 3), (33, 31, [12, 12, 12], [1, 1, 1], 31),
    (20, 30, [2, 2], [1, 1], 9),
    (7, 5, [5, 5, 5], [1, -2, 3], 5), (1, 9, [1, 1], [1, 1], 1), (128, 128, [16, 16, 16], [1, 0, 1], 16),
  ]

  @Test(arguments: sums.indices, [1, 2, 3] as [UInt64])
  func `sums of low ranks are approximated as their dense matrix is`(_ index: Int, _ seed: UInt64) throws {
    let sum = Self.sums[index]
    let delta = try SumDelta(
      sum.ranks.enumerated().map { index, rank in
        (sum.weights[index], try Self.update(sum.out, sum.in, rank: rank, seed: seed * 100 + UInt64(index)))
      })
    let found = try delta.approximation(rank: sum.rank)
    let expected = try Self.dense(delta, rank: sum.rank)
    #expect(found.delta.factors.allSatisfy { $0.dtype == .float32 && $0.isContiguous })
    #expect(found.delta.down.shape == [sum.rank, sum.in] && found.delta.up.shape == [sum.out, sum.rank])
    let matrix = try found.delta.to(.float64).materialized()
    #expect(try (matrix - expected.matrix).norm().item() <= 1e-5 * expected.norm)
    #expect(abs(found.relativeError - expected.lost / expected.norm) <= 1e-5)
    #expect(try abs(delta.norm() / expected.norm - 1) <= 1e-5)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `sums whose terms share directions are no less exact`(_ seed: UInt64) throws {
    let shared = try Self.update(80, 60, rank: 4, seed: seed)
    let other = try Self.update(80, 60, rank: 4, seed: seed + 10)
    let sameDown = LowRankDelta(down: shared.down, up: other.up, scale: 3)
    // Rank 4 three times over: three quarters of the factors' columns are redundant.
    let delta = try SumDelta([(1, shared), (0.5, sameDown), (-0.25, shared)])
    for rank in [2, 4, 12] {
      let (found, expected) = (try delta.approximation(rank: rank), try Self.dense(delta, rank: rank))
      #expect(try (found.delta.to(.float64).materialized() - expected.matrix).norm().item() <= 1e-6 * expected.norm)
    }
    let beyond = try delta.approximation(rank: 12).delta
    #expect(try beyond.down.narrowed(0, 4..<12).abs().max().item() == 0)
    #expect(try beyond.up.narrowed(1, 4..<12).abs().max().item() == 0)
    #expect(try beyond.down.narrowed(0, 0..<4).abs().max(1).min().item() > 0)
  }

  @Test func `a change minus itself is zero, of any rank`() throws {
    let delta = try Self.update(50, 40, rank: 4, seed: 1)
    let zero = try SumDelta([(1, delta), (-1, delta)])
    #expect(try zero.norm() <= 1e-7 * delta.norm())
    let found = try zero.approximation(rank: 3)
    #expect(try found.delta.norm() <= 1e-12 * delta.norm())
    let exact = LowRankDelta(down: try .zeros([4, 40]), up: try .zeros([50, 4]))
    let nothing = try exact.approximation(rank: 3)
    #expect(nothing.relativeError == 0)
    #expect(try nothing.delta.norm() == 0)
    #expect(nothing.delta.down.shape == [3, 40] && nothing.delta.up.shape == [50, 3])
  }

  @Test func `a near cancellation keeps its small difference`() throws {
    let delta = try Self.update(50, 40, rank: 4, seed: 1)
    let small = try Self.update(50, 40, rank: 2, seed: 2)
    let sum = try SumDelta([(1, delta), (1e-4, small), (-1, delta)])
    let found = try sum.approximation(rank: 2)
    let expected = try small.to(.float64).materialized() * 1e-4
    #expect(try (found.delta.to(.float64).materialized() - expected).norm().item() <= 1e-5 * expected.norm().item())
    #expect(try abs(sum.norm() / expected.norm().item() - 1) <= 1e-5)
  }

  @Test(arguments: [DType.bfloat16, .float16])
  func `dtypes mix, and half precision is widened before anything is computed`(_ half: DType) throws {
    let (one, other) = (try Self.update(50, 40, rank: 4, seed: 1).to(half), try Self.update(50, 40, rank: 4, seed: 2))
    let sum = try SumDelta([(1, one), (1, other)])
    #expect(sum.factors.allSatisfy { $0.dtype == .float32 })
    for delta in [sum, one] as [any WeightDelta] {
      let (found, expected) = (try delta.approximation(rank: 3), try Self.dense(delta, rank: 3))
      #expect(found.delta.down.dtype == .float32)
      #expect(try (found.delta.to(.float64).materialized() - expected.matrix).norm().item() <= 1e-5 * expected.norm)
    }
    #expect(try SumDelta([(1, one), (1, other.to(.float64))]).approximation(rank: 1).delta.up.dtype == .float64)
  }

  @Test func `autocast does not reach it`() throws {
    let delta = try SumDelta([
      (1, Self.update(50, 40, rank: 4, seed: 1)), (1, Self.update(50, 40, rank: 4, seed: 2)),
    ])
    let (found, norm) = try withAutocast(.bfloat16, on: .cpu) { (try delta.approximation(rank: 3), try delta.norm()) }
    #expect(try found.delta.up.isEqual(to: delta.approximation(rank: 3).delta.up))
    #expect(try norm == delta.norm())
  }

  @Test func `both factors carry the root of each singular value, with scale 1`() throws {
    let delta = try Self.update(50, 40, rank: 6, seed: 1)
    let found = try delta.approximation(rank: 6).delta
    let values = try delta.to(.float64).materialized().svd().s.narrowed(0, 0..<6)
    #expect(found.scale == 1)
    try expectClose(found.up.to(.float64).squared().sum(0), values, tolerance: 1e-6)
    try expectClose(found.down.to(.float64).squared().sum(1), values, tolerance: 1e-6)
  }

  @Test func `signs are fixed by the largest entry of each row of the down factor`() throws {
    let delta = try Self.update(50, 40, rank: 6, seed: 1)
    let (found, negated) = (
      try delta.approximation(rank: 4).delta, try delta.scaled(by: -1).approximation(rank: 4).delta
    )
    #expect(try found.down.max(1).isEqual(to: found.down.abs().max(1)))
    try expectClose(negated.down, found.down, tolerance: 1e-6)
    try expectClose(negated.up, found.up.negated(), tolerance: 1e-6)
  }

  @Test func `the same change gives the same bytes`() throws {
    let sum = try SumDelta((0..<4).map { (0.25, try Self.update(96, 64, rank: 8, seed: $0)) })
    let (one, other) = (try sum.approximation(rank: 8).delta, try sum.approximation(rank: 8).delta)
    #expect(try one.down.isEqual(to: other.down) && one.up.isEqual(to: other.up))
  }

  @Test func `a sum of low ranks on a large map is never made dense`() throws {
    // 120,000 × 100,000: 96 GB in float64.
    let sum = try SumDelta((0..<3).map { (1, try Self.update(120_000, 100_000, rank: 2, seed: $0)) })
    let found = try sum.approximation(rank: 6)
    #expect(found.relativeError < 1e-7)
    let input = try Tensor.normal([2, 100_000], from: Generator(seed: 5))
    try expectClose(found.delta.apply(to: input), sum.apply(to: input), tolerance: 1e-4)
  }

  @Test func `no gradient flows, whatever the factors want`() throws {
    let delta = try Self.update(9, 8, rank: 2, seed: 1).mapFactors { try $0.requiringGradient() }
    let found = try delta.approximation(rank: 1).delta
    #expect(found.factors.allSatisfy { !$0.requiresGradient })
  }

  @Test(arguments: [Int.min, -1, 0, 41, .max])
  func `a rank out of range is refused`(_ rank: Int) throws {
    let delta = try Self.update(50, 40, rank: 4, seed: 1)
    let error = try thrown(WeightDeltaError.self) { _ = try delta.approximation(rank: rank) }
    #expect(error == .rank(rank, limit: 40))
    #expect(
      error.description == "The rank \(rank) is out of range: a change of this shape has ranks from 1 to 40.")
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func `numbers that are not finite are refused`(_ bad: Float) throws {
    let down = try Self.update(50, 40, rank: 4, seed: 1).down
    var up = [Float](repeating: 0.1, count: 200)
    up[77] = bad
    let delta = LowRankDelta(down: down, up: try Tensor(up, shape: [50, 4]))
    #expect(try thrown(WeightDeltaError.self) { _ = try delta.approximation(rank: 2) } == .nonFinite)
    let dense = DenseDelta(try Tensor(up, shape: [10, 20]))
    let error = try thrown(WeightDeltaError.self) { _ = try dense.approximation(rank: 2) }
    #expect(
      error.description == """
        The change of a weight holds numbers that are not finite. Look for a training run that diverged, or a damaged file.
        """)
  }
}
