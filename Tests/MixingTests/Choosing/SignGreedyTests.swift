import Testing

@testable import Mixing

@Suite struct SignGreedyTests {
  let names = ["target", "two", "three", "four"]
  /// FSD to the target as in the oracle.
  let pairs: [[Double]] = [
    [0, 0.45, 0.30, 0.38], [0.45, 0, 0.10, 0.20], [0.30, 0.10, 0, 0.50], [0.38, 0.20, 0.50, 0],
  ]

  func order(_ order: SignGreedy.Order, _ stop: SignGreedy.Stop = .none, maximum: Int? = nil) throws
    -> SignGreedy.Result
  {
    try SignGreedy(order, stop: stop, maximum: maximum).choose(from: names, first: 0, pairs: pairs)
  }

  @Test func `static order is by the FSD to the target, 2 3 1 of the others, as in the oracle`() throws {
    let result = try order(.static)
    #expect(result.selection.indices == [0, 2, 3, 1])
    #expect(result.selection.candidates.map(\.score) == [0, 0.30, 0.38, 0.45])
    #expect(result.curve.map(\.members) == [[0], [0, 2], [0, 2, 3], [0, 2, 3, 1]])
    let expected = [0, 0.30, (0.30 + 0.38 + 0.50) / 3, (0.45 + 0.30 + 0.38 + 0.10 + 0.20 + 0.50) / 6]
    #expect(zip(result.curve.map(\.conflict), expected).allSatisfy { abs($0 - $1) < 1e-12 })
    #expect(try order(.descending).selection.indices == [0, 1, 3, 2])
  }

  @Test func `adaptive order takes the least FSD of the set at each step`() throws {
    // After 2, adding 1 gives (.30 + .45 + .10) / 3 and adding 3 gives (.30 + .38 + .50) / 3.
    let result = try order(.adaptive)
    #expect(result.selection.indices == [0, 2, 1, 3])
    #expect(abs(result.selection.candidates[2].score - 0.85 / 3) < 1e-12)
  }

  @Test func `a set's FSD may be another reducer's`() throws {
    let result = try SignGreedy(.adaptive).choose(from: names, first: 0, pairs: pairs) { Double($0.reduce(0, +)) }
    #expect(result.selection.indices == [0, 1, 2, 3])
    #expect(result.curve.map(\.conflict) == [0, 1, 3, 6])
  }

  @Test func `ties go to the lower place`() throws {
    let flat = (0..<4).map { row in (0..<4).map { $0 == row ? 0 : 0.4 } }
    for order in [SignGreedy.Order.static, .adaptive, .descending] {
      #expect(try SignGreedy(order).choose(from: names, first: 1, pairs: flat).selection.indices == [1, 0, 2, 3])
    }
  }

  @Test func `random orders begin with the target, are the same for a seed and differ between seeds`() throws {
    let orders = try (0..<20).map { try order(.random(seed: $0)).selection.indices }
    #expect(orders.allSatisfy { $0[0] == 0 && $0.sorted() == [0, 1, 2, 3] })
    #expect(try order(.random(seed: 3)).selection.indices == orders[3])
    #expect(Set(orders).count >= 4)
  }

  @Test func `above the highest FSD none joins any more`() throws {
    let result = try order(.static, .conflict(above: 0.35))
    #expect(result.selection.names == ["target", "three"])
    #expect(result.selection.candidates[2].reason == .conflict((0.30 + 0.38 + 0.50) / 3, limit: 0.35))
    #expect(result.selection.candidates[3].reason == .afterEnd)
    #expect(result.curve.count == 2)
    #expect(try order(.static, maximum: 2).selection.candidates[3].reason == .beyond(2))
  }

  @Test func `a drop below the target alone ends it, and is recorded at every step`() throws {
    let metrics = [0: 0.9, 2: 0.875, 3: 0.75, 1: 0.95]
    let greedy = SignGreedy(.static, stop: .drop(above: 0.05))
    let result = try greedy.choose(from: names, first: 0, pairs: pairs, metric: { metrics[$0[$0.count - 1]] ?? 0 })
    #expect(result.selection.names == ["target", "three"])
    #expect(result.curve.map(\.metric) == [0.9, 0.875])
    guard case .drop(let drop, limit: 0.05)? = result.selection.candidates[2].reason else {
      Issue.record("no drop")
      return
    }
    #expect(abs(drop - 0.15) < 1e-12)
    #expect(throws: ChoosingError.noMetric) { try greedy.choose(from: names, first: 0, pairs: pairs) }
  }

  @Test func `a matrix of another size, a place that is not there and NaN are refused`() {
    let greedy = SignGreedy()
    #expect(throws: ChoosingError.noMember(4, of: 4)) { try greedy.choose(from: names, first: 4, pairs: pairs) }
    #expect(throws: ChoosingError.count("rows of FSD", 3, expected: 4)) {
      try greedy.choose(from: names, first: 0, pairs: Array(pairs.prefix(3)))
    }
    var bad = pairs
    bad[1][2] = .nan
    #expect(throws: ChoosingError.notFinite("An FSD")) { try greedy.choose(from: names, first: 0, pairs: bad) }
  }
}
