/// Adapters of different initialization brought into one order of their hidden units, so that averages, votes and signs
/// compare like with like.
///
/// A bottleneck's units can stand in any order without changing what it computes, and two adapters that started apart
/// have theirs in different orders: their average is then no average of the two functions. Each module's units, the
/// rows of `[W_down | b_down | W_upᵀ]`, are matched to those of a reference so that the sum of squared differences is
/// least (Ainsworth et al. 2023, "Git Re-Basin", arXiv:2209.04836, matching weights; here one layer alone, where the
/// optimum is exact), and put in its order.
///
/// The rank-one terms of LoRA's `B·A` are ordered alike, and a term whose two vectors both point the other way is
/// turned around. What else leaves a function as it is stays: the scale of a unit under ReLU (`balanced`), and for LoRA
/// every other change of the basis, for which mixing ΔW is the remedy. Adapters that started from one seed are in one
/// order already.
public struct UnitAlignment: Sendable {
  /// The adapter in the reference's order; the same function.
  public let vector: AdapterVector
  public let modules: [Module]

  public struct Module: Hashable, Sendable {
    /// As in `blocks.3.mlp.adapter`.
    public let name: String
    /// Unit `i` was unit `order[i]`.
    public let order: [Int]
    /// Which units, in the new order, were turned around.
    public let isTurned: [Bool]
    /// `Σ ‖unit of the reference − unit‖²`, before and after.
    public let distanceBefore: Double
    public let distanceAfter: Double

    public var isChanged: Bool { isTurned.contains(true) || order.enumerated().contains { $0.offset != $0.element } }
  }

  /// - Throws: `MixingError.layout` where the two differ in structure, `AlignmentError`.
  public init(_ vector: AdapterVector, to reference: AdapterVector) throws {
    try vector.layout.check(against: reference.layout)
    let all = try HiddenUnits.all(in: vector.layout)
    guard !all.isEmpty else { throw AlignmentError.noHiddenUnits }
    var values = vector.values
    modules = try all.map { try Self.align($0, &values, reference.values) }
    self.vector = try AdapterVector(vector.layout, values)
  }

  /// Every adapter in the order of the first.
  ///
  /// - Throws: as `init`.
  public static func aligned(_ vectors: [AdapterVector]) throws -> [AdapterVector] {
    guard let first = vectors.first else { return [] }
    return try [first] + vectors.dropFirst().map { try UnitAlignment($0, to: first).vector }
  }

  /// The adapter with what each hidden unit of its bottlenecks reads with, bias and all, as long as what it writes
  /// with: the same function for an activation with `σ(c·x) = c·σ(x)`, `c > 0`. That is ReLU and no other of ours, so
  /// it is for the caller to know. A unit with only zeros on one side stays as it is.
  ///
  /// - Throws: `AlignmentError`
  public static func balanced(_ vector: AdapterVector) throws -> AdapterVector {
    let all = try HiddenUnits.all(in: vector.layout).filter { $0.kind == .bottleneck }
    guard !all.isEmpty else { throw AlignmentError.noHiddenUnits }
    var values = vector.values
    for units in all {
      for unit in 0..<units.count {
        var (reads, writes) = (0.0, 0.0)
        units.forEachInput(of: unit) { reads += Double(values[$0]) * Double(values[$0]) }
        units.forEachOutput(of: unit) { writes += Double(values[$0]) * Double(values[$0]) }
        guard reads.isFinite, writes.isFinite else { throw AlignmentError.notFinite(units.module) }
        guard reads > 0, writes > 0 else { continue }
        let factor = (writes / reads).squareRoot().squareRoot()
        units.forEachInput(of: unit) { values[$0] = Float(Double(values[$0]) * factor) }
        units.forEachOutput(of: unit) { values[$0] = Float(Double(values[$0]) / factor) }
      }
    }
    return try AdapterVector(vector.layout, values)
  }

  private static func align(_ units: HiddenUnits, _ values: inout [Float], _ reference: [Float]) throws -> Module {
    let places = (0..<units.count).map { units.places(of: $0) }
    let (own, wanted) = (places.map { $0.map { values[$0] } }, places.map { $0.map { reference[$0] } })
    func product(_ one: [Float], _ other: [Float]) -> Double {
      var sum = 0.0
      for index in one.indices { sum += Double(one[index]) * Double(other[index]) }
      return sum
    }
    // Reordering changes no length, so the least sum of squared differences is the greatest sum of products.
    let products = wanted.flatMap { unit in own.map { product(unit, $0) } }
    guard products.allSatisfy(\.isFinite) else { throw AlignmentError.notFinite(units.module) }
    let turns = units.kind == .lowRank
    let order = LinearAssignment.solve(products.map { -(turns ? abs($0) : $0) }, size: units.count)
    let isTurned = order.enumerated().map { turns && products[$0 * units.count + $1] < 0 }
    let lengths = (own + wanted).reduce(0) { $0 + product($1, $1) }
    let before = (0..<units.count).reduce(0) { $0 + products[$1 * units.count + $1] }
    let after = order.enumerated().reduce(0) { sum, pair in
      let product = products[pair.offset * units.count + pair.element]
      return sum + (turns ? abs(product) : product)
    }
    for (unit, source) in order.enumerated() {
      for (place, value) in zip(places[unit], own[source]) { values[place] = isTurned[unit] ? -value : value }
    }
    return Module(
      name: units.module, order: order, isTurned: isTurned, distanceBefore: max(0, lengths - 2 * before),
      distanceAfter: max(0, lengths - 2 * after))
  }
}
