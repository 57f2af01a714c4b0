import Adapters
import Tensors
import Testing

@testable import Mixing

@Suite struct PruningTests {
  private static let ten: [Float] = [1, -5, 2, -4, 3, 0.5, 0.1, -0.2, 0.3, 6]

  private func kept(
    _ vector: [Float], _ density: Double, _ criterion: Pruning.Criterion = .magnitude, among others: [[Float]] = []
  ) throws -> [Float] {
    try Pruning(density: density, criterion: criterion)(.row(vector), among: others.map { try .row($0) }).vector.values
  }

  // MARK: Magnitude

  @Test func `a fifth of ten keeps the two largest`() throws {
    #expect(try kept(Self.ten, 0.2) == [0, -5, 0, 0, 0, 0, 0, 0, 0, 6])
  }

  @Test func `a density of one keeps everything bit for bit`() throws {
    #expect(try kept(Self.ten, 1).map(\.bitPattern) == Self.ten.map(\.bitPattern))
  }

  @Test func `the number kept is rounded and at least one`() throws {
    #expect(Pruning.keptCount(0.1, of: 10) == 1)
    #expect(Pruning.keptCount(1 - 0.9, of: 10) == 1)
    #expect(Pruning.keptCount(0.26, of: 10) == 3)
    #expect(Pruning.keptCount(1e-9, of: 10) == 1)
    #expect(Pruning.keptCount(1, of: 10) == 10)
    #expect(try kept(Self.ten, 1e-9) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 6])
  }

  @Test func `of equals the first are kept`() throws {
    #expect(try kept([1, -1, 1, -1], 0.5) == [1, -1, 0, 0])
    #expect(try kept([0, 0, 0, 2], 0.75) == [0, 0, 0, 2])
    let mask = try Pruning(density: 0.75).mask(of: .row([0, 0, 0, 2]))
    #expect(mask.keeps == [true, true, false, true])
  }

  @Test(arguments: [0.05, 0.3, 0.77]) func `the selection is that of a sort`(density: Double) throws {
    let values = try Tensor.normal([999], from: Generator(seed: 2)).floats().map { ($0 * 8).rounded() / 8 }
    let order = values.indices.sorted { (-values[$0].magnitude, $0) < (-values[$1].magnitude, $1) }
    let expected = Set(order.prefix(Pruning.keptCount(density, of: 999)))
    let mask = try Pruning(density: density).mask(of: .row(values))
    #expect(Set(mask.keeps.indices.filter { mask.keeps[$0] }) == expected)
  }

  @Test func `each matrix keeps its share, or all of them theirs, and vectors stay whole`() throws {
    let layout = AdapterLayout([("a", [2, 2], 0, true), ("bias", [2], 0, false), ("b", [2, 2], 0, true)])
    let vector = try AdapterVector(layout, [1, 2, 3, 4, 0.1, 0.2, 10, 20, 30, 40])
    let each = try Pruning(density: 0.5)(vector)
    #expect(each.vector.values == [0, 0, 3, 4, 0.1, 0.2, 0, 0, 30, 40])
    #expect(each.mask.keptCount == 4)
    #expect(each.mask.density == 0.5)
    let all = try Pruning(density: 0.5, scope: .global)(vector)
    #expect(all.vector.values == [0, 0, 0, 0, 0.1, 0.2, 10, 20, 30, 40])
  }

  // MARK: Beside other adapters

  @Test func `conflicts go first, the smallest of them before the others`() throws {
    // Against the others the first, the third and the fourth conflict: 9, 7 and 8.
    let vector: [Float] = [9, -1, 7, -8, 2, -3]
    let others: [[Float]] = [[-1, -1, 1, 1, 1, 0], [1, -1, -1, -1, 1, -2]]
    #expect(try kept(vector, 5.0 / 6, .conflicts, among: others) == [9, -1, 0, -8, 2, -3])
    #expect(try kept(vector, 4.0 / 6, .conflicts, among: others) == [9, -1, 0, 0, 2, -3])
    #expect(try kept(vector, 3.0 / 6, .conflicts, among: others) == [0, -1, 0, 0, 2, -3])
    #expect(try kept(vector, 2.0 / 6, .conflicts, among: others) == [0, 0, 0, 0, 2, -3])
  }

  @Test func `those against the sum go first, and a sum of zero outvotes nobody`() throws {
    // Sums: −3, 4, 0, 1: the first and the last weight are against theirs.
    let vector: [Float] = [5, 1, 2, -1]
    let others: [[Float]] = [[-4, 1, -1, 2], [-4, 2, -1, 0]]
    #expect(try kept(vector, 0.75, .minority, among: others) == [5, 1, 2, 0])
    #expect(try kept(vector, 0.5, .minority, among: others) == [0, 1, 2, 0])
    #expect(try kept(vector, 0.25, .minority, among: others) == [0, 0, 2, 0])
  }

  @Test func `a criterion that compares wants something to compare with`() throws {
    for criterion in [Pruning.Criterion.conflicts, .minority] {
      #expect(throws: MixingError.nothingToCompare(criterion.rawValue)) { try kept(Self.ten, 0.5, criterion) }
    }
    #expect(throws: MixingError.layout("'weight' [1, 10]", "'weight' [1, 2]")) {
      try kept(Self.ten, 0.5, .conflicts, among: [[1, 2]])
    }
  }

  // MARK: At random

  @Test func `random masks come from the seed and differ between matrices`() throws {
    let layout = AdapterLayout([("a", [10, 10], 0, true), ("b", [10, 10], 0, true)])
    let vector = try AdapterVector(layout, [Float](repeating: 1, count: 200))
    func mask(_ seed: UInt64) throws -> [Bool] {
      try Pruning(density: 0.3, criterion: .random, seed: seed).mask(of: vector).keeps
    }
    #expect(try mask(1) == mask(1))
    #expect(try mask(1) != mask(2))
    #expect(try mask(1)[..<100].count { $0 } == 30)
    #expect(try Array(mask(1)[..<100]) != Array(mask(1)[100...]))
  }

  @Test(arguments: [0.5, 0.1]) func `independent masks leave half the square of the density in conflict`(
    density: Double
  ) throws {
    let generator = try Generator(seed: 4)
    let vectors = try (0..<2).map { _ in
      let signs = try Tensor.bernoulli([200_000], probability: 0.5, from: generator).floats().map { 2 * $0 - 1 }
      return try Pruning(density: density, criterion: .random, seed: 7)(.row(signs)).vector
    }
    let signs = try SignStatistics(vectors)
    #expect(abs(signs.pair(0, 1) - density * density / 2) < 0.003)
    let shared = try SignStatistics(vectors, options: SignOptions(zeros: .exclude))
    #expect(abs(shared.pair(0, 1) - 0.5) < 0.02)
  }

  @Test func `one seed draws other weights of another adapter, the same of the same`() throws {
    let (first, second) = ((0..<100).map { Float($0) }, (0..<100).map { Float($0 + 1) })
    func mask(_ values: [Float], _ scope: Pruning.Scope) throws -> [Bool] {
      try Pruning(density: 0.3, criterion: .random, scope: scope).mask(of: .row(values)).keeps
    }
    for scope in Pruning.Scope.allCases {
      #expect(try mask(first, scope) == mask(first, scope))
      #expect(try mask(first, scope) != mask(second, scope))
    }
  }

  // MARK: Refusals

  @Test(arguments: [0, -0.1, 1.01, .nan, .infinity]) func `a density that keeps nothing or too much is refused`(
    density: Double
  ) throws {
    let error = #expect(throws: MixingError.self) { try kept(Self.ten, density) }
    #expect(error?.description.contains("above 0 and at most 1") == true)
  }

  @Test func `a weight that is not finite is refused, a bias that is not is left alone`() throws {
    #expect(throws: MixingError.notFinite("weight", adapter: "to be pruned")) { try kept([1, .nan], 0.5) }
    #expect(throws: MixingError.notFinite("weight", adapter: "number 2 beside it")) {
      try kept([1, 2], 0.5, .conflicts, among: [[1, 2], [.infinity, 1]])
    }
  }
}
