import Tensors
import Testing

@testable import Adapters

@Suite struct GroupedDeltaTests {
  private func delta(_ numbers: [Double], _ groups: Int, _ outputs: Int, _ inputs: Int, reorder: Bool = false) throws
    -> GroupedDelta
  {
    GroupedDelta(values: try Tensor(numbers, shape: [groups, outputs, inputs]), reorder: reorder)
  }

  @Test(arguments: [
    (8, 4, [0, 2, 4, 6, 1, 3, 5, 7]), (12, 3, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]), (6, 2, [0, 3, 1, 4, 2, 5]),
    (4, 2, [0, 2, 1, 3]), (6, 1, [0, 1, 2, 3, 4, 5]), (6, 6, [0, 1, 2, 3, 4, 5]),
  ])
  func `reordered channels are read down the columns of a grid`(_ width: Int, _ groups: Int, _ channels: [Int]) throws {
    func order(_ groups: Int) throws -> [Int] {
      // The columns of the first row of each group.
      let places = try Grouping(groups: groups, reorder: true, inFeatures: width).places(groups, width).integers()
      return places.enumerated().map { place, address in address - place / (width / groups) * width }
    }
    #expect(try order(groups) == channels)
    let back = try order(width / groups)
    #expect(channels.map { back.firstIndex(of: $0) ?? -1 } == channels.map { channels[$0] })
    #expect(back.map { channels[$0] } == Array(0..<width))
  }

  @Test func `a plain and a reordered matrix by hand`() throws {
    let numbers = (1...8).map(Double.init)
    #expect(
      try delta(numbers, 2, 2, 2).materialized().doubles() == [1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 5, 6, 0, 0, 7, 8])
    #expect(
      try delta(numbers, 2, 2, 2, reorder: true).materialized().doubles()
        == [1, 0, 2, 0, 3, 0, 4, 0, 0, 5, 0, 6, 0, 7, 0, 8])
    let wide = try delta((1...12).map(Double.init), 2, 2, 3, reorder: true)
    #expect(
      try wide.materialized().doubles()
        == [1, 3, 0, 2, 0, 0, 4, 6, 0, 5, 0, 0, 0, 0, 8, 0, 7, 9, 0, 0, 11, 0, 10, 12])
    let x = try Tensor((1...6).map(Double.init))
    #expect(try wide.apply(to: x).doubles() == [15, 36, 113, 155])
    #expect(try delta((1...12).map(Double.init), 2, 2, 3).apply(to: x).doubles() == [14, 32, 122, 167])
  }

  @Test func `one group is a dense change, groups of one channel a diagonal`() throws {
    let numbers = try Generator(seed: 1).normal(1, 5, 4)
    for reorder in [false, true] {
      #expect(try GroupedDelta(values: numbers, reorder: reorder).materialized().isEqual(to: numbers.reshaped(5, 4)))
      let diagonal = try delta([1, 2, 3], 3, 1, 1, reorder: reorder)
      #expect(try diagonal.materialized().doubles() == [1, 0, 0, 0, 2, 0, 0, 0, 3])
    }
  }

  @Test(arguments: [false, true])
  func `gradients are the dense ones where connections are`(reorder: Bool) throws {
    let generator = try Generator(seed: 2)
    let values = try generator.normal(3, 2, 4).requiringGradient()
    let x = try generator.normal(5, 2, 12).requiringGradient()
    let delta = GroupedDelta(values: values, reorder: reorder)
    let weights = try generator.normal(5, 2, 6)
    let found = try gradients(of: (delta.apply(to: x) * weights).sum(), [values, x])
    let dense = try delta.materialized().detached().clone().requiringGradient()
    let expected = try gradients(of: (x.linear(dense) * weights).sum(), [dense, x])
    try expectClose(found[0].reshaped(-1), expected[0].reshaped(-1).selected(0, delta.places()))
    try expectClose(found[1], expected[1])
    try expectClose(
      differences(of: values.detached()) { try (delta.apply(to: x) * weights).sum() }, found[0], tolerance: 1e-7)
    let scattered = try gradients(of: (x.linear(delta.materialized()) * weights).sum(), [values])
    try expectClose(scattered[0], found[0])
  }

  @Test func `merging adds at the connections alone, rounding once`() throws {
    let generator = try Generator(seed: 3)
    let delta = GroupedDelta(values: try generator.normal(3, 2, 4), reorder: true)
    let weight = try generator.normal(6, 12)
    try expectClose(delta.merged(into: weight, scale: -2), weight - delta.materialized() * 2, tolerance: 1e-15)
    let half = try weight.to(.bfloat16)
    let merged = try delta.to(.float32).merged(into: half)
    #expect(try merged.isEqual(to: (half.to(.float32) + delta.to(.float32).materialized()).to(.bfloat16)))
    let untouched = try delta.materialized().equals(0)
    #expect(try merged.filled(0, where: untouched.not()).isEqual(to: half.filled(0, where: untouched.not())))
  }

  @Test func `a product beside a linear map is the same with and without a copy of the weight`() throws {
    let generator = try Generator(seed: 4)
    let (weight, bias) = (try generator.normal(6, 12), try generator.normal(6).requiringGradient())
    let values = try (0..<2).map { _ in try generator.normal(3, 2, 4).requiringGradient() }
    let shifts = try (0..<2).map { _ in try generator.normal(6).requiringGradient() }
    // Two rows go beside the product, twelve ride in it.
    for samples in [1, 6] {
      let x = try generator.normal(samples, 2, 12).requiringGradient()
      let g = try generator.normal(samples, 2, 6)
      let leaves = [x, bias] + values + shifts
      let branches = zip(values, shifts).enumerated().map { index, branch in
        GroupedBranch(delta: GroupedDelta(values: branch.0, reorder: index == 1), bias: branch.1)
      }
      let output = try GroupedBranch.output(weight: weight, bias: bias, input: x, branches: branches)
      let dense = try weight + branches[0].delta.materialized() + branches[1].delta.materialized()
      let expected = try x.linear(dense, bias + shifts[0] + shifts[1])
      try expectClose(output, expected)
      for (one, other) in zip(
        try gradients(of: (output * g).sum(), leaves), try gradients(of: (expected * g).sum(), leaves))
      { try expectClose(one, other) }
    }
  }

  @Test func `a dropped sample has its own output, and shares in the bias alone`() throws {
    let generator = try Generator(seed: 5)
    let (weight, bias) = (try generator.normal(6, 12), try generator.normal(6).requiringGradient())
    let shift = try generator.normal(6).requiringGradient()
    let values = try generator.normal(3, 2, 4).requiringGradient()
    let x = try generator.normal(2, 9, 12).requiringGradient()
    let branch = GroupedBranch(
      delta: GroupedDelta(values: values, reorder: true), bias: shift, scales: try Tensor([0, 4] as [Double]))
    let output = try GroupedBranch.output(weight: weight, bias: bias, input: x, branches: [branch])
    let base = try x.linear(weight, bias)
    #expect(try output.narrowed(0, 0..<1).isEqual(to: base.narrowed(0, 0..<1)))
    let kept = try base + (branch.delta.apply(to: x) + shift) * Tensor([0, 4] as [Double], shape: [2, 1, 1])
    try expectClose(output, kept)
    let leaves = [x, bias, values, shift]
    let g = try generator.normal(2, 9, 6)
    for (one, other) in zip(try gradients(of: (output * g).sum(), leaves), try gradients(of: (kept * g).sum(), leaves))
    {
      try expectClose(one, other)
    }
  }

  // MARK: Several branches

  @Test func `nested branches fold into the coarsest, overlaps once`() throws {
    let blocks = try delta((1...8).map(Double.init), 2, 2, 2)
    let diagonal = try delta([10, 20, 30, 40], 4, 1, 1)
    let folded = try #require(try GroupedDelta.folded([diagonal, blocks]) as? GroupedDelta)
    #expect(folded.groups == 2 && folded.values.count == 8)
    #expect(
      try folded.materialized().doubles() == [11, 2, 0, 0, 3, 24, 0, 0, 0, 0, 35, 6, 0, 0, 7, 48])
  }

  @Test func `branches that cross fold into their union`() throws {
    let blocks = try delta((1...8).map(Double.init), 2, 2, 2, reorder: true)
    let diagonal = try delta([10, 20, 30, 40], 4, 1, 1, reorder: true)
    let folded = try #require(try GroupedDelta.folded([blocks, diagonal]) as? GroupedUnionDelta)
    #expect(
      try folded.materialized().doubles() == [11, 0, 2, 0, 3, 20, 4, 0, 0, 5, 30, 6, 0, 7, 0, 48])
    #expect(try folded.values.doubles() == [11, 2, 3, 20, 4, 5, 30, 6, 7, 48])
    let weight = try Generator(seed: 1).normal(4, 4)
    try expectClose(folded.merged(into: weight, scale: 0.5), weight + folded.materialized() * 0.5, tolerance: 1e-15)
    let x = try Generator(seed: 2).normal(3, 4)
    let values = try folded.values.clone().requiringGradient()
    let leaf = folded.mapFactors { _ in values }
    try expectClose(leaf.apply(to: x), x.linear(folded.materialized()))
    let numbers = try x.linear(leaf.materialized()).squared().sum()
    try expectClose(
      gradients(of: leaf.apply(to: x).squared().sum(), [values])[0], gradients(of: numbers, [values])[0])
  }

  @Test func `the sum of random branches is their folded form`() throws {
    let generator = try Generator(seed: 6)
    for reorder in [[false, false, false], [true, true, true], [false, true, false]] {
      let branches = try zip([6, 4, 12], reorder).map { groups, reorder in
        GroupedDelta(values: try generator.normal(groups, 24 / groups, 12 / groups), reorder: reorder)
      }
      let sum = try branches.map { try $0.materialized() }.reduce(.zeros([24, 12], dtype: .float64)) { try $0 + $1 }
      try expectClose(GroupedDelta.folded(branches).materialized(), sum, tolerance: 1e-15)
    }
    #expect(throws: WeightDeltaError.emptySum) { try GroupedDelta.folded([]) }
    #expect(throws: WeightDeltaError.shapes([4, 4], [3, 3])) {
      try GroupedDelta.folded([delta(Array(repeating: 1, count: 8), 2, 2, 2), delta([1, 2, 3], 3, 1, 1)])
    }
  }

  /// The table of what is trained and what is stored for a map of 768 by 768.
  @Test(arguments: [
    ([384], 1_536, 1_536, 1_536), ([384, 192], 4_608, 3_072, 4_600), ([192, 96], 9_216, 6_144, 9_184),
    ([384, 256], 3_840, 2_560, 3_832), ([384, 128, 96], 12_288, 7_168, 12_204),
  ])
  func `connections that are trained, stored plain and stored reordered`(
    _ groups: [Int], _ trained: Int, _ plain: Int, _ reordered: Int
  ) throws {
    func stored(_ reorder: [Bool]) throws -> Int {
      let groupings = zip(groups, reorder).map { Grouping(groups: $0, reorder: $1, inFeatures: 768) }
      return try GroupedDelta.connectionCount(groupings, outFeatures: 768, inFeatures: 768)
    }
    #expect(groups.map { 768 * 768 / $0 }.reduce(0, +) == trained)
    #expect(try stored(groups.map { _ in false }) == plain)
    #expect(try stored(groups.map { _ in true }) == reordered)
    let two = [false, true].map { Grouping(groups: 384, reorder: $0, inFeatures: 768) }
    #expect(try GroupedDelta.connectionCount(two, outFeatures: 768, inFeatures: 768) == 3_068)
  }
}
