import Tensors

/// `ΔW = Σ_m BD(V_m) · R_m` of several groupings, with one number for each connection that any of them makes: what the sum
/// of grouped branches is, stored without the numbers that branches have in common and without indices, because the places
/// follow from the groupings.
public struct GroupedUnionDelta: WeightDelta {
  /// `[connections]`, in the row-major order of their places in ΔW.
  public let values: Tensor
  let support: GroupedSupport

  public var outFeatures: Int { support.outFeatures }
  public var inFeatures: Int { support.inFeatures }
  public var factors: [Tensor] { [values] }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> GroupedUnionDelta {
    GroupedUnionDelta(values: try transform(values), support: support)
  }

  /// As grouped products, each connection in the first grouping that makes it.
  public func apply(to input: Tensor) throws -> Tensor {
    let branches = try support.deltas(values).map { GroupedBranch(delta: $0) }
    return try GroupedBranch.output(weight: nil, bias: nil, input: input, branches: branches)
  }

  public func materialized() throws -> Tensor {
    try Tensor.zeros([outFeatures * inFeatures], dtype: values.dtype, device: values.device)
      .scattered(0, support.places.to(values.device), values).reshaped(outFeatures, inFeatures)
  }

  public func merged(into weight: Tensor, scale: Double) throws -> Tensor {
    try weight.adding(values, at: support.places.to(values.device), scale: scale)
  }

  public func scaled(by factor: Double) throws -> any WeightDelta {
    GroupedUnionDelta(values: try values * factor, support: support)
  }

  public func factorwiseInner(_ other: any WeightDelta) throws -> Double? {
    guard try other.lowRank == nil else { return nil }
    return try (other.materialized().reshaped(-1).selected(0, support.places.to(values.device)) * values).sum().item()
  }
}

extension GroupedDelta {
  /// The sum of branches of one map, each connection once: grouped where one grouping makes all of them (finer groups lie
  /// in coarser ones), a `GroupedUnionDelta` else. Summed in float64 and rounded once to the branches' dtype.
  ///
  /// - Throws: `WeightDeltaError.emptySum`; `.shapes` where two differ.
  public static func folded(_ branches: [GroupedDelta]) throws -> any WeightDelta {
    guard let first = branches.first else { throw WeightDeltaError.emptySum }
    for branch in branches { try WeightDeltaError.checkShapes(first, branch) }
    return try withoutGradients {
      let support = try GroupedSupport(
        branches.map(\.grouping), outFeatures: first.outFeatures, inFeatures: first.inFeatures)
      let device = first.values.device
      let sum = try Tensor.zeros([support.count], dtype: .float64, device: device)
      for branch in branches {
        let positions = try support.positions(of: branch.grouping).to(device)
        try sum.addInPlace(branch.values.to(.float64).reshaped(-1), at: positions)
      }
      let values = try sum.to(first.values.dtype)
      guard let only = support.only else { return GroupedUnionDelta(values: values, support: support) }
      // The first grouping's slots lead to all connections where it is the only one.
      let blocks = try values.selected(0, support.slots[0].to(device)).reshaped(
        only.groups, first.outFeatures / only.groups, first.inFeatures / only.groups)
      return GroupedDelta(values: blocks, reorder: only.reorder)
    }
  }

  /// The connections that any of these groupings makes, counted as merging writes them: overlaps once.
  static func connectionCount(_ groupings: [Grouping], outFeatures: Int, inFeatures: Int) throws -> Int {
    try GroupedSupport(groupings, outFeatures: outFeatures, inFeatures: inFeatures).count
  }
}

/// The connections that several groupings of one map make together.
struct GroupedSupport: Sendable {
  let outFeatures: Int
  let inFeatures: Int
  /// Those that no other one contains.
  let groupings: [Grouping]
  /// The places in a row-major ΔW, ascending, int64.
  let places: Tensor
  /// For each grouping and each of its values in their order: which connection it is, or `count` where an earlier grouping
  /// makes it too.
  let slots: [Tensor]

  init(_ groupings: [Grouping], outFeatures: Int, inFeatures: Int) throws {
    var distinct: [Grouping] = []
    for grouping in groupings where !distinct.contains(grouping) { distinct.append(grouping) }
    let largest = distinct.filter { one in !distinct.contains { $0 != one && $0.contains(one) } }
    let own = try largest.map { try $0.places(outFeatures, inFeatures) }
    let size = outFeatures * inFeatures
    let marks = try Tensor.zeros([size])
    for places in own { try marks.copyInPlace(.ones([places.count]), at: places) }
    let places = try marks.nonzero().reshaped(-1)
    let ranks = try Self.ranks(places, size)
    let taken = try Tensor.zeros([size])
    slots = try own.map { own in
      let shared = try taken.selected(0, own).isGreater(than: 0)
      try taken.copyInPlace(.ones([own.count]), at: own)
      return try Tensor.full(Double(places.count), [own.count], dtype: .int64)
        .selected(where: shared, else: ranks.selected(0, own))
    }
    (self.outFeatures, self.inFeatures, self.groupings, self.places) = (outFeatures, inFeatures, largest, places)
  }

  /// How many connections there are.
  var count: Int { places.count }

  /// The grouping that makes all connections, where one does.
  var only: Grouping? { groupings.count == 1 ? groupings[0] : nil }

  /// Which connection each value of a grouping is, of those that are part of this support.
  func positions(of grouping: Grouping) throws -> Tensor {
    try Self.ranks(places, outFeatures * inFeatures).selected(0, grouping.places(outFeatures, inFeatures))
  }

  /// The connections' numbers as blocks of the groupings, each number once and zeros elsewhere.
  func deltas(_ values: Tensor) throws -> [GroupedDelta] {
    let padded = try Tensor.concatenated([values, .zeros([1], dtype: values.dtype, device: values.device)])
    return try zip(groupings, slots).map { grouping, slots in
      let blocks = try padded.selected(0, slots.to(values.device)).reshaped(
        grouping.groups, outFeatures / grouping.groups, inFeatures / grouping.groups)
      return GroupedDelta(values: blocks, reorder: grouping.reorder)
    }
  }

  /// For each place of a matrix, its number among `places`.
  private static func ranks(_ places: Tensor, _ size: Int) throws -> Tensor {
    let ranks = try Tensor.zeros([size], dtype: .int64)
    try ranks.copyInPlace(.arange(0..<places.count), at: places)
    return ranks
  }
}
