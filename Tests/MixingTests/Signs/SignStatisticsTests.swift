import Adapters
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

@Suite struct SignStatisticsTests {
  private static let a: [Float] = [1, -2, 3, -4]
  private static let b: [Float] = [1, 2, -3, -4]
  private static let c: [Float] = [-1, 2, 3, 0]

  private func statistics(
    _ rows: [[Float]], _ reducer: SignReducer = .pairwise, zeros: SignZeros = .ignore
  ) throws -> SignStatistics {
    try SignStatistics(rows.map { try .row($0) }, options: SignOptions(reducer: reducer, zeros: zeros))
  }

  // MARK: Pairs

  @Test func `an adapter agrees with itself and its negative disagrees everywhere`() throws {
    #expect(try statistics([Self.a, Self.a]).pairs == [[0, 0], [0, 0]])
    #expect(try statistics([Self.a, Self.a.map { -$0 }]).pairs == [[0, 1], [1, 0]])
  }

  @Test func `three adapters by hand`() throws {
    let signs = try statistics([Self.a, Self.b, Self.c])
    #expect(signs.pairs == [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    #expect(signs.pair(2, 0) == 0.5)
    #expect(signs.set([0, 1, 2]) == 0.5)
    #expect(signs.set([0, 1, 2], .any) == 0.75)
    #expect(signs.set([0, 1, 2], .minority) == 0.25)
  }

  @Test func `a zero agrees, does not count, or is a sign of its own`() throws {
    #expect(try statistics([Self.a, Self.c], zeros: .ignore).pair(0, 1) == 0.5)
    #expect(try statistics([Self.a, Self.c], zeros: .exclude).pair(0, 1) == 2.0 / 3)
    #expect(try statistics([Self.a, Self.c], zeros: .ternary).pair(0, 1) == 0.75)
  }

  @Test(arguments: SignZeros.allCases) func `a pair has one value for all three reducers, the minority half`(
    zeros: SignZeros
  ) throws {
    let signs = try statistics([Self.a, Self.c], zeros: zeros)
    #expect(signs.set([0, 1], .any) == signs.pair(0, 1))
    #expect(signs.set([0, 1], .minority) == signs.pair(0, 1) / 2)
  }

  @Test func `zeros among three adapters`() throws {
    // Signs at six weights: + + −, + − 0, + 0 0, 0 0 0, + + 0, + + +.
    let rows: [[Float]] = [[1, 1, 1, 0, 1, 1], [1, -1, 0, 0, 1, 1], [-1, 0, 0, 0, 0, 1]]
    let members = [0, 1, 2]
    let ignored = try statistics(rows)
    #expect(ignored.set(members, .any) == 2.0 / 6)
    #expect(ignored.set(members, .minority) == 2.0 / 18)
    let excluded = try statistics(rows, zeros: .exclude)
    // Two or more are not 0 at all but the third and the fourth.
    #expect(excluded.set(members, .any) == 2.0 / 4)
    #expect(excluded.set(members, .minority) == 2.0 / 12)
    // Pairs share 4, 2 and 2 weights; 1, 1 and 1 of them conflict.
    #expect(excluded.set(members) == (1.0 / 4 + 1.0 / 2 + 1.0 / 2) / 3)
    let ternary = try statistics(rows, zeros: .ternary)
    #expect(ternary.set(members, .any) == 4.0 / 6)
    // Those not of the commonest sign: 1, 2, 1, 0, 1, 0.
    #expect(ternary.set(members, .minority) == 5.0 / 18)
  }

  @Test func `scaling an adapter changes nothing, and no set of fewer than two disagrees`() throws {
    let scaled = try statistics([Self.a, Self.b.map { $0 * 1e-6 }, Self.c])
    #expect(try scaled.pairs == statistics([Self.a, Self.b, Self.c]).pairs)
    for reducer in SignReducer.allCases {
      #expect(scaled.set([1], reducer) == 0)
      #expect(scaled.set([], reducer) == 0)
    }
  }

  // MARK: Sets of unrelated adapters

  @Test(arguments: [(2, 0.5, 0.25), (3, 0.75, 0.25), (5, 0.9375, 0.3125), (13, 0.99976, 0.387)])
  func `unrelated adapters have the values of chance`(count: Int, any: Double, minority: Double) throws {
    let generator = try Generator(seed: 3)
    let rows = try (0..<count).map { _ in try Tensor.normal([50_000], from: generator).floats() }
    let signs = try statistics(rows)
    let members = Array(0..<count)
    #expect(abs(signs.set(members, .pairwise) - 0.5) < 0.005)
    #expect(abs(signs.set(members, .any) - any) < 0.005)
    #expect(abs(signs.set(members, .minority) - minority) < 0.005)
  }

  @Test(arguments: SignZeros.allCases, SignReducer.allCases)
  func `words of 64 and one weight after the other give the same`(zeros: SignZeros, reducer: SignReducer) throws {
    let generator = try Generator(seed: 5)
    // Three signs in equal parts, over more than one word and not a whole number of them.
    let rows = try (0..<6).map { _ in
      try Tensor.uniform([203], -1.5, 1.5, from: generator).floats().map { $0.rounded() }
    }
    let signs = try statistics(rows, zeros: zeros)
    for members in [[0, 1], [5, 2, 3], [0, 1, 2, 3, 4, 5]] {
      let expected = Self.slowly(members.map { rows[$0] }, zeros, reducer)
      #expect(abs(signs.set(members, reducer) - expected) < 1e-12)
    }
  }

  /// The definition, position by position.
  private static func slowly(_ rows: [[Float]], _ zeros: SignZeros, _ reducer: SignReducer) -> Double {
    let columns = rows[0].indices.map { place in rows.map { $0[place] > 0 ? 1 : $0[place] < 0 ? -1 : 0 } }
    func fraction(_ columns: [[Int]], _ part: ([Int]) -> Double) -> Double {
      let counted = zeros == .exclude ? columns.filter { column in column.count { $0 != 0 } > 1 } : columns
      return counted.isEmpty ? 0 : counted.reduce(0) { $0 + part($1) } / Double(counted.count)
    }
    func disagree(_ column: [Int]) -> Bool {
      zeros == .ternary ? Set(column).count > 1 : column.contains(1) && column.contains(-1)
    }
    switch reducer {
    case .any: return fraction(columns) { disagree($0) ? 1 : 0 }
    case .minority:
      return fraction(columns) { column in
        let (plus, minus) = (column.count { $0 > 0 }, column.count { $0 < 0 })
        let votes = zeros == .ternary ? column.count - max(plus, minus, column.count - plus - minus) : min(plus, minus)
        return Double(votes) / Double(column.count)
      }
    case .pairwise:
      var values: [Double] = []
      for first in rows.indices {
        for second in rows.indices where second > first {
          values.append(fraction(columns.map { [$0[first], $0[second]] }) { disagree($0) ? 1 : 0 })
        }
      }
      return values.reduce(0, +) / Double(values.count)
    }
  }

  // MARK: Entries and blocks

  @Test func `profiles go by matrix and by block, and vectors have no say`() throws {
    let layout = AdapterLayout([
      ("other.weight", [2, 2], nil, true), ("blocks.0.down", [2, 2], 0, true), ("blocks.0.bias", [2], 0, false),
      ("blocks.1.down", [2, 2], 1, true), ("blocks.1.up", [2, 2], 1, true),
    ])
    let first = try AdapterVector(layout, [Float](repeating: 1, count: 18))
    let second = try AdapterVector(
      layout, [1, 1, 1, -1] + [1, 1, 1, 1] + [-1, -1] + [-1, -1, 1, 1] + [-1, -1, -1, -1])
    let signs = try SignStatistics([first, second])
    #expect(signs.weightCount == 16)
    #expect(signs.entries.map(\.name) == ["other.weight", "blocks.0.down", "blocks.1.down", "blocks.1.up"])
    #expect(signs.pair(0, 1) == 7.0 / 16)
    #expect(signs.byEntry([0, 1]) == [0.25, 0, 0.5, 1])
    #expect(signs.byEntry([0, 1], .minority) == [0.125, 0, 0.25, 0.5])
    let blocks = signs.byBlock([0, 1])
    #expect(blocks.map(\.block) == [nil, 0, 1])
    #expect(blocks.map(\.value) == [0.25, 0, 0.75])
    #expect(signs.byBlock([0, 1], .any).map(\.value) == [0.25, 0, 0.75])
  }

  // MARK: The reference

  @Test func `signs of what training changed can differ from those of the weights`() throws {
    let start: [Float] = [2, 2, -2, -2]
    let (first, second): ([Float], [Float]) = ([3, 1, -1, -3], [1, 3, -1, -2])
    let vectors = [try AdapterVector.row(first), try .row(second)]
    #expect(try SignStatistics(vectors).pair(0, 1) == 0)
    let initial = [AdapterVector](repeating: try .row(start), count: 2)
    let signs = try SignStatistics(vectors, initial: initial, options: SignOptions(reference: .delta))
    // Changes: + − + −, − + + 0.
    #expect(signs.pair(0, 1) == 0.5)
    #expect(throws: MixingError.noInitial("1, 2")) {
      try SignStatistics(vectors, options: SignOptions(reference: .delta))
    }
  }

  // MARK: The space

  @Test func `a change of basis turns the signs of the factors and not those of the change`() throws {
    let (model, other) = try (loRA(seed: 1), loRA(seed: 1))
    for (parameter, mirrored) in zip(model.adapter.parameters, other.adapter.parameters) {
      try mirrored.load(parameter.value.detached().negated())
    }
    let models = [model, other]
    let factors = try SignStatistics(of: models, names: ["one", "mirrored"])
    #expect(factors.pair(0, 1) == 1)
    let changes = try SignStatistics(of: models, names: ["one", "mirrored"], options: SignOptions(space: .delta))
    #expect(changes.pair(0, 1) == 0)
    let site = try #require(model.adapter.sites.first)
    let linear = try model.backbone.linear(at: site)
    let (delta, mirrored) = try (model.adapter.delta(of: linear), other.adapter.delta(of: linear))
    let (left, right) = try (#require(delta?.weight).materialized(), #require(mirrored?.weight).materialized())
    #expect(try left.abs().max().item() > 0.01)
    #expect(try left.isEqual(to: right))
  }

  @Test func `the changes of adapters of different ranks are compared map by map`() throws {
    let backbone = try MixingBackbone()
    let one = try backbone.adapted(by: LoRA.small, at: .fc1, seed: 1)
    let two = try backbone.adapted(by: LoRA(rank: 4), at: [.fc1, .fc2], seed: 2)
    for (index, model) in [one, two].enumerated() { try model.adapter.perturb(seed: UInt64(index)) }
    let signs = try SignStatistics(of: [one, two], names: ["one", "two"], options: SignOptions(space: .delta))
    #expect(signs.entries.map(\.name) == backbone.sites.filter { [.fc1, .fc2].contains($0.role) }.map(\.name))
    var (conflicts, count) = (0, 0)
    for site in backbone.sites where [.fc1, .fc2].contains(site.role) {
      count += site.inFeatures * site.outFeatures
      guard site.role == .fc1 else { continue }
      let linear = try backbone.linear(at: site)
      let deltas = try [one, two].map { try #require($0.adapter.delta(of: linear)?.weight).materialized().floats() }
      conflicts += zip(deltas[0], deltas[1]).count { $0 * $1 < 0 }
    }
    #expect(signs.weightCount == count)
    #expect(signs.pair(0, 1) == Double(conflicts) / Double(count))
    #expect(conflicts > 0)
  }

  @Test func `an adapter whose change depends on the input has signs of its factors only`() throws {
    let model = try MixingBackbone().adapted(by: Pfeiffer(width: 4), seed: 1)
    let error = #expect(throws: MixingError.self) {
      try SignStatistics(of: [model, model], names: ["a", "b"], options: SignOptions(space: .delta))
    }
    #expect(error?.description.contains("The adapter a is no change of the backbone's linear maps") == true)
    #expect(try SignStatistics(of: [model, model], names: ["a", "b"]).pair(0, 1) == 0)
  }

  @Test func `a start that is made again from the seed takes its signs away`() throws {
    let backbone = try MixingBackbone()
    let models = try (0..<2).map { index in
      let model = try backbone.adapted(by: LoRA.small, at: .fc1, seed: 7)
      try model.adapter.perturb(seed: UInt64(index), deviation: 1e-3)
      return model
    }
    let raw = try SignStatistics(of: models, names: ["a", "b"]).pair(0, 1)
    let delta = try SignStatistics(of: models, names: ["a", "b"], options: SignOptions(reference: .delta)).pair(0, 1)
    // B starts at 0 and disagrees in half of its signs either way; those of A are still the start's.
    #expect(raw < 0.4)
    #expect(abs(delta - 0.5) < 0.08)
  }

  private func loRA(seed: UInt64) throws -> AdaptedModel {
    let model = try MixingBackbone().adapted(by: LoRA.small, at: .fc1, seed: seed)
    try model.adapter.perturb(seed: seed)
    return model
  }

  // MARK: Refusals

  @Test func `adapters of different layouts, without weights or with NaN are refused`() throws {
    let vector = try AdapterVector.row([1, 2])
    #expect(throws: MixingError.noAdapters) { try SignStatistics([]) }
    #expect(throws: MixingError.layout("'weight' [1, 2]", "'weight' [1, 3]")) {
      try SignStatistics([vector, .row([1, 2, 3])])
    }
    #expect(throws: MixingError.count(1, expected: 2)) { try SignStatistics([vector, vector], names: ["a"]) }
    for number in [Float.nan, .infinity, -.infinity] {
      #expect(throws: MixingError.notFinite("weight", adapter: "b")) {
        try SignStatistics([vector, .row([1, number])], names: ["a", "b"])
      }
    }
    let biases = try AdapterVector(AdapterLayout([("bias", [2], 0, false)]), [1, 2])
    #expect(throws: MixingError.noWeights) { try SignStatistics([biases, biases]) }
  }
}
