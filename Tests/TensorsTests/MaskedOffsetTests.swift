import Foundation
import Tensors
import Testing

@Suite struct MaskedOffsetTests {
  // MARK: The method as it is written down, differentiated by the graph

  /// A tensor of some experts with the gradients of some tasks.
  struct Operands {
    let base: Tensor
    let offset: Tensor
    let logits: Tensor?
    let momentum: Tensor
    let tasks: MaskedOffset.Tasks

    init(_ shape: Case) throws {
      let generator = try Generator(seed: 5)
      func normal(_ shape: [Int], deviation: Double = 1, dtype: DType) throws -> Tensor {
        try Tensor.normal(shape, deviation: deviation, dtype: .float64, from: generator).to(dtype)
      }
      base = try normal(shape.shape, dtype: shape.dtype)
      offset = try normal(shape.shape, dtype: shape.dtype)
      momentum = try normal(shape.shape, dtype: shape.dtype)
      logits =
        try shape.experts.map { try normal([$0] + shape.shape, deviation: 1.3, dtype: shape.dtype) }
      let experts = shape.experts ?? 1
      let mixing = try (0..<shape.tasks).map { _ in try Tensor.uniform([experts], 0.1, 1, from: generator).doubles() }
      tasks = MaskedOffset.Tasks(
        gradients: try (0..<shape.tasks).map { _ in try normal(shape.shape, dtype: shape.dtype) }, mixing: mixing,
        constraint: shape.experts.map { (0..<$0).map { $0 == 1 ? 0 : 0.2 + 0.1 * Double($0) } }, scale: 0.75)
    }

    func masked() throws -> MaskedOffset { try MaskedOffset(offset.clone(), logits: logits?.clone()) }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var experts: Int?
    var tasks = 1
    var shape: [Int]
    var dtype = DType.float64
    var testDescription: String { "\(experts.map(String.init) ?? "no") masks, \(tasks) tasks, \(shape) \(dtype)" }
  }

  /// Shapes around the width of a vector, a block and a chunk of the kernel.
  static let cases = [
    Case(experts: nil, tasks: 2, shape: [3, 5]), Case(experts: 1, shape: [1]), Case(experts: 3, tasks: 2, shape: [8]),
    Case(experts: 2, tasks: 4, shape: [17, 16]), Case(experts: 8, shape: [9, 31]),
    Case(experts: 9, tasks: 3, shape: [16_384 + 257]),
  ].flatMap { wide in
    [wide, Case(experts: wide.experts, tasks: wide.tasks, shape: wide.shape, dtype: .float32)]
  }

  /// `z`, `[M, …]` float64, of logits that may be leaves.
  private func gates(_ logits: Tensor) throws -> Tensor {
    try ((logits * 1.5).sigmoid() * 1.2 - 0.1).clamped(0...1)
  }

  private func openProbabilities(_ logits: Tensor) throws -> Tensor { try (logits + 2.0 / 3 * log(11)).sigmoid() }

  /// `θ` of one task, float64.
  private func merged(base: Tensor, offset: Tensor, gates: Tensor?, mixing: Tensor, scale: Double) throws -> Tensor {
    guard let gates else { return try base + mixing * scale * offset }
    let weights = try mixing.reshaped([mixing.count] + offset.shape.map { _ in 1 })
    return try base + (gates * weights).sum(0) * scale * offset
  }

  private func expectNear(
    _ found: Tensor, _ expected: Tensor, dtype: DType, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(found.shape == expected.shape, sourceLocation: sourceLocation)
    let scale = try max(1, expected.abs().max().item())
    let tolerance = dtype == .float64 ? 1e-14 : 3e-6
    let distance = try (found.to(.float64) - expected.to(.float64)).abs().max().item()
    #expect(distance / scale < tolerance, sourceLocation: sourceLocation)
  }

  @Test(arguments: cases)
  func `a merge is the formula`(_ shape: Case) throws {
    let given = try Operands(shape)
    let masked = try given.masked()
    let mixing = given.tasks.mixing[0]
    let found = try given.base.zerosLike()
    try masked.merge(mixing, onto: given.base, into: found, scale: -1.5)
    let expected = try merged(
      base: given.base.to(.float64), offset: given.offset.to(.float64),
      gates: given.logits.map { try gates($0.to(.float64)) }, mixing: Tensor(mixing), scale: -1.5)
    try expectNear(found, expected, dtype: shape.dtype)
    let inPlace = try given.base.clone()
    try masked.merge(mixing, onto: inPlace, into: inPlace, scale: -1.5)
    #expect(try inPlace.isEqual(to: found))
  }

  @Test(arguments: cases)
  func `gradients are those of the graph over all masks`(_ shape: Case) throws {
    let given = try Operands(shape)
    let tasks = given.tasks
    let offset = try given.offset.to(.float64).clone().requiringGradient()
    let logits = try given.logits.map { try $0.to(.float64).clone().requiringGradient() }
    let mixing = try tasks.mixing.map { try Tensor($0).requiringGradient() }
    var loss = try Tensor(0.0)
    for (index, gradient) in tasks.gradients.enumerated() {
      let theta = try merged(
        base: given.base.to(.float64), offset: offset, gates: logits.map(gates), mixing: mixing[index],
        scale: tasks.scale)
      loss = try loss + (theta * gradient.to(.float64)).sum() * (1 / Double(tasks.gradients.count))
    }
    if let logits, let constraint = tasks.constraint {
      let perExpert = try openProbabilities(logits).reshaped(constraint.count, given.offset.count).sum(1)
      loss = try loss + (perExpert * Tensor(constraint)).sum()
    }
    try loss.backward()

    let masked = try given.masked()
    let toOffset = try given.offset.zerosLike()
    let toLogits = try given.logits?.zerosLike()
    let found = try masked.backward(tasks, offsetGradient: toOffset, logitsGradient: toLogits)
    try expectNear(toOffset, #require(try offset.gradient()), dtype: shape.dtype)
    for (index, leaf) in mixing.enumerated() {
      // The loss is the mean of the tasks', and what is returned is each task's own.
      let expected = try #require(try leaf.gradient()) * Double(tasks.gradients.count)
      try expectNear(Tensor(found.mixing[index]), expected, dtype: shape.dtype)
    }
    guard let toLogits, let expected = try logits?.gradient() else {
      #expect(found.squaredNorm == 0)
      return
    }
    try expectNear(toLogits, expected, dtype: shape.dtype)
    let squares = try expected.squared().sum().item()
    #expect(abs(found.squaredNorm / squares - 1) < (shape.dtype == .float64 ? 1e-13 : 1e-5))
    // What is computed does not depend on what is asked for.
    let alone = try masked.backward(tasks)
    #expect(alone.mixing == found.mixing && alone.squaredNorm == found.squaredNorm)
  }

  @Test(arguments: cases)
  func `a step is that of the gradients, with momentum, decay and bounded logits`(_ shape: Case) throws {
    let given = try Operands(shape)
    let masked = try given.masked()
    let toOffset = try given.offset.zerosLike()
    let toLogits = try given.logits?.zerosLike()
    _ = try masked.backward(given.tasks, offsetGradient: toOffset, logitsGradient: toLogits)
    let step = MaskedOffset.Step(offsetRate: 0.3, momentum: 0.8, decay: 0.05, logitRate: 2, limit: 2.5)
    let velocity = try given.momentum.clone()
    let counts = try masked.step(given.tasks, momentum: velocity, by: step)

    let expected = try given.momentum * 0.8 + toOffset + given.offset * 0.05
    try expectNear(velocity, expected, dtype: shape.dtype)
    try expectNear(masked.offset, given.offset - expected * 0.3, dtype: shape.dtype)
    guard let logits = given.logits, let toLogits, let moved = masked.logits else {
      #expect(counts == [.init()])
      return
    }
    try expectNear(moved, (logits - toLogits * 2).clamped(-2.5...2.5), dtype: shape.dtype)
    #expect(try counts == masked.counts(expectedOpen: false))
    #expect(try counts.reduce(0) { $0 + $1.zeros } == moved.to(.float64).isLess(than: -1.5985968).sum().integer())
  }

  @Test func `logits without a constraint stay as they are, and have no gradient`() throws {
    let given = try Operands(Case(experts: 3, tasks: 2, shape: [40]))
    let masked = try given.masked()
    var tasks = given.tasks
    tasks.constraint = nil
    #expect(try masked.backward(tasks).squaredNorm == 0)
    #expect(throws: TorchError.self) { try masked.backward(tasks, logitsGradient: given.logits?.zerosLike()) }
    let step = MaskedOffset.Step(offsetRate: 0.3, momentum: 0, decay: 0, logitRate: 2, limit: 2.5)
    try masked.step(tasks, momentum: given.momentum, by: step)
    #expect(try #require(masked.logits).isEqual(to: #require(given.logits)))
    #expect(try !masked.offset.isEqual(to: given.offset))
    // A constraint of zeros is one: the tasks' own gradient remains.
    tasks.constraint = [0, 0, 0]
    #expect(try masked.backward(tasks).squaredNorm > 0.01)
  }

  // MARK: Gates

  /// Logit, median, estimator, slope of the median, P(z ≠ 0).
  static let table: [(a: Double, median: Double, estimator: Double, slope: Double, open: Double)] = [
    (-2, 0, 0.043044, 0, 0.400975), (-1, 0.118911, 0.222730, 0.268464, 0.645335), (0, 0.5, 0.5, 0.45, 0.831822),
    (0.5, 0.715014, 0.646951, 0.392211, 0.890767), (1, 0.881089, 0.777270, 0.268464, 0.930771),
    (2, 1, 0.956956, 0, 0.973367), (-4.60517, 0, 0, 0, 0.047130), (4.60517, 1, 1, 0, 0.997982),
  ]

  @Test(arguments: [DType.float64, .float32], table)
  func `gates, slopes and probabilities are the published ones`(
    dtype: DType, row: (a: Double, median: Double, estimator: Double, slope: Double, open: Double)
  ) throws {
    let one = try Tensor.ones([1], dtype: dtype)
    let masked = try MaskedOffset(one, logits: Tensor([row.a], shape: [1, 1]).to(dtype))
    func merged(_ gate: MaskedOffset.Gate) throws -> Double {
      let theta = try one.zerosLike()
      try masked.merge([1], onto: one.zerosLike(), into: theta, gate: gate)
      return try theta.item()
    }
    #expect(try abs(merged(.median) - row.median) < 6e-7)
    #expect(try abs(merged(.estimator) - row.estimator) < 6e-7)
    let slope = try Tensor.zeros([1, 1], dtype: dtype)
    _ = try masked.backward(.init(gradients: [one], mixing: [[1]], constraint: [0]), logitsGradient: slope)
    #expect(try abs(slope.item() - row.slope) < 6e-7)
    #expect(try abs(masked.counts()[0].expectedOpen - row.open) < 6e-7)
    // Outside the bounds, exactly.
    if abs(row.a) > 1.6 {
      #expect(try merged(.median) == row.median)
      #expect(try slope.item() == 0)
    }
  }

  @Test(arguments: [(DType.float32, 2.5e-7), (.float64, 5e-16)])
  func `gates are exact over their whole range`(dtype: DType, tolerance: Double) throws {
    let logits = try Tensor((0...20_000).map { Double($0 - 10_000) / 2_000 }, shape: [1, 20_001]).to(dtype)
    let one = try Tensor.ones([20_001], dtype: dtype)
    for gate in MaskedOffset.Gate.allCases {
      let theta = try one.zerosLike()
      try MaskedOffset(one, logits: logits).merge([1], onto: theta, into: theta, gate: gate)
      let inputs = try logits.to(.float64).doubles()
      for (a, found) in zip(inputs, try theta.doubles()) {
        let stretched = 1.2 / (1 + exp(gate == .median ? -1.5 * a : -a)) - 0.1
        #expect(abs(found - min(max(stretched, 0), 1)) <= tolerance, "at \(a)")
      }
    }
  }

  @Test func `logits beyond all bounds are gates as others, and NaN is no number`() throws {
    let logits = try Tensor([-.infinity, -300, 300, .infinity, .nan] as [Float], shape: [1, 5])
    let masked = try MaskedOffset(.ones([5]), logits: logits)
    let theta = try Tensor.zeros([5])
    for gate in MaskedOffset.Gate.allCases {
      try masked.merge([1], onto: .zeros([5]), into: theta, gate: gate)
      #expect(try theta.floats().prefix(4) == [0, 0, 1, 1])
      #expect(try theta.floats()[4].isNaN)
    }
    let counts = try masked.counts(expectedOpen: false)[0]
    #expect((counts.zeros, counts.ones, counts.zerosOfMedianOnly) == (2, 2, 0))
  }

  @Test func `gates are counted by hand`() throws {
    let first = [-4.0, -2.4, -2.3, -1.6, -1.59, 0, 1.59, 1.6, 4]
    let logits = try Tensor(first + first.map { -$0 / 2 }, shape: [2, 9])
    let counts = try MaskedOffset(.zeros([9], dtype: .float64), logits: logits).counts()
    #expect((counts[0].zeros, counts[0].ones, counts[0].zerosOfMedianOnly) == (4, 2, 2))
    #expect((counts[1].zeros, counts[1].ones, counts[1].zerosOfMedianOnly) == (1, 1, 1))
    let expected = first.reduce(0) { $0 + 1 / (1 + exp(-$1 - 2.0 / 3 * log(11))) }
    #expect(abs(counts[0].expectedOpen - expected) < 1e-12)
    let whole = try MaskedOffset(.zeros([2, 3])).counts()
    #expect((whole[0].zeros, whole[0].ones, whole[0].expectedOpen) == (0, 6, 6))
  }

  // MARK: Merging

  @Test func `two experts by hand`() throws {
    // Gates 1 0 1 and 0 1 1.
    let logits = try Tensor([4, -4, 4, -4, 4, 4] as [Double], shape: [2, 3])
    let masked = try MaskedOffset(Tensor([0.2, -0.4, 0.1]), logits: logits)
    let theta = try Tensor.zeros([3], dtype: .float64)
    try masked.merge([0.25, 0.75], onto: Tensor([1.0, 2, 3]), into: theta)
    try expectClose(theta, [1.05, 1.7, 3.1], tolerance: 1e-15)
    let gradient = try Tensor([1, -2, 0.5])
    let toOffset = try Tensor.zeros([3], dtype: .float64)
    let tasks = MaskedOffset.Tasks(gradients: [gradient], mixing: [[0.25, 0.75]], constraint: [0, 0])
    let found = try masked.backward(tasks, offsetGradient: toOffset)
    try expectClose(toOffset, [0.25, -1.5, 0.5], tolerance: 1e-15)
    try expectClose(Tensor(found.mixing[0]), [0.25, 0.85], tolerance: 1e-15)
    #expect(found.squaredNorm == 0)
  }

  @Test func `an offset of zero, and masks of zero, leave every bit of the base`() throws {
    let given = try Operands(Case(experts: 5, shape: [700], dtype: .float32))
    let theta = try given.base.zerosLike()
    for gate in MaskedOffset.Gate.allCases {
      let none = try MaskedOffset(given.offset.zerosLike(), logits: given.logits)
      try none.merge(given.tasks.mixing[0], onto: given.base, into: theta, scale: 3, gate: gate)
      #expect(try theta.isEqual(to: given.base))
      let closed = try MaskedOffset(given.offset, logits: .full(-log(100), [5, 700]))
      try closed.merge(given.tasks.mixing[0], onto: given.base, into: theta, gate: gate)
      #expect(try theta.isEqual(to: given.base))
    }
  }

  @Test func `any number of threads gives the same bits`() throws {
    let given = try Operands(Case(experts: 3, tasks: 2, shape: [5, 16_384], dtype: .float32))
    let before = Threads.count
    defer { Threads.count = before }
    let results = try [1, 2, 3].map { threads in
      Threads.count = threads
      let masked = try given.masked()
      let theta = try given.base.clone()
      try masked.merge(given.tasks.mixing[0], onto: given.base, into: theta)
      let (toOffset, toLogits) = try (given.offset.zerosLike(), #require(given.logits).zerosLike())
      let found = try masked.backward(given.tasks, offsetGradient: toOffset, logitsGradient: toLogits)
      let momentum = try given.momentum.clone()
      let counts = try masked.step(
        given.tasks, momentum: momentum, by: .init(offsetRate: 0.1, momentum: 0.9, decay: 0.1, logitRate: 1, limit: 3))
      let numbers = try found.mixing.flatMap(\.self) + [found.squaredNorm] + masked.counts().map(\.expectedOpen)
      return (
        [theta, toOffset, toLogits, momentum, masked.offset, try #require(masked.logits)], numbers, counts
      )
    }
    for other in results.dropFirst() {
      for (one, two) in zip(results[0].0, other.0) { #expect(try one.isEqual(to: two)) }
      #expect(results[0].1 == other.1)
      #expect(results[0].2 == other.2)
    }
  }

  @Test func `bfloat16 goes through libtorch's operations`() throws {
    let given = try Operands(Case(experts: 3, tasks: 2, shape: [400]))
    func coarse(_ tensor: Tensor) throws -> Tensor { try tensor.to(.bfloat16) }
    let wide = try MaskedOffset(
      coarse(given.offset).to(.float64), logits: coarse(#require(given.logits)).to(.float64))
    let narrow = try MaskedOffset(coarse(given.offset), logits: coarse(#require(given.logits)))
    var tasks = given.tasks
    tasks.gradients = try tasks.gradients.map(coarse)
    let (theta, toOffset, toLogits) = try (
      coarse(given.base), narrow.offset.zerosLike(), #require(narrow.logits).zerosLike()
    )
    try narrow.merge(tasks.mixing[0], onto: coarse(given.base), into: theta)
    let found = try narrow.backward(tasks, offsetGradient: toOffset, logitsGradient: toLogits)
    let momentum = try coarse(given.momentum)
    let step = MaskedOffset.Step(offsetRate: 0.3, momentum: 0.8, decay: 0.05, logitRate: 2, limit: 2.5)
    try narrow.step(tasks, momentum: momentum, by: step)

    tasks.gradients = try tasks.gradients.map { try $0.to(.float64) }
    let (wideTheta, wideOffset, wideLogits) = try (
      given.base.zerosLike(), wide.offset.zerosLike(), #require(wide.logits).zerosLike()
    )
    try wide.merge(tasks.mixing[0], onto: given.base, into: wideTheta)
    let expected = try wide.backward(tasks, offsetGradient: wideOffset, logitsGradient: wideLogits)
    try wide.step(tasks, momentum: given.momentum, by: step)
    for (one, two) in try [
      (theta, wideTheta), (toOffset, wideOffset), (toLogits, wideLogits), (momentum, given.momentum),
      (narrow.offset, wide.offset), (#require(narrow.logits), #require(wide.logits)),
    ] {
      #expect(try (one.to(.float64) - two).norm().item() / two.norm().item() < 0.02)
    }
    for (one, two) in zip(found.mixing.flatMap(\.self), expected.mixing.flatMap(\.self)) {
      #expect(abs(one - two) < 0.02 * max(10, abs(two)))
    }
    #expect(abs(found.squaredNorm / expected.squaredNorm - 1) < 0.02)
    let (one, two) = try (
      MaskedOffset(wide.offset.to(.bfloat16), logits: wide.logits?.to(.bfloat16)).counts(), wide.counts()
    )
    for (one, two) in zip(one, two) {
      #expect(abs(one.zeros - two.zeros) <= 2 && abs(one.ones - two.ones) <= 2)
      #expect(abs(one.expectedOpen / two.expectedOpen - 1) < 0.01)
    }
  }

  // MARK: Packing

  /// Experts whose gates are 0 or 1, about three in ten of them open.
  private func binary(experts: Int, shape: [Int], dtype: DType = .float32) throws -> (MaskedOffset, base: Tensor) {
    let generator = try Generator(seed: 8)
    let mask = try Tensor.bernoulli([experts] + shape, probability: 0.3, dtype: dtype, from: generator)
    let logits = try mask * (2 * log(100)) - log(100)
    let offset = try Tensor.normal(shape, dtype: dtype, from: generator)
    return (try MaskedOffset(offset, logits: logits), try .normal(shape, dtype: dtype, from: generator))
  }

  @Test(arguments: [1, 2, 7, 8, 9, 16, 17, 20], [DType.float32, .float64])
  func `what is packed merges to the same bits`(experts: Int, dtype: DType) throws {
    let (masked, base) = try binary(experts: experts, shape: [3, 16_384 / 2 + 5], dtype: dtype)
    let packed = try masked.packed()
    #expect(packed.rounded == 0)
    #expect(packed.bits.shape == [base.count, experts <= 8 ? 1 : experts <= 16 ? 2 : 3])
    let mixing = try Tensor.uniform([experts], 0.1, 1, from: Generator(seed: 2)).doubles()
    let (expected, found) = try (base.zerosLike(), base.zerosLike())
    try masked.merge(mixing, onto: base, into: expected, scale: 0.7)
    try MaskedOffset.merge(bits: packed.bits, values: packed.values, mixing, onto: base, into: found, scale: 0.7)
    #expect(try found.isEqual(to: expected))
    #expect(try found.distance(to: base) > 0.1)
    let kept = try #require(masked.logits).isGreater(than: 0).any(0).to(.int64).sum().integer()
    #expect(packed.values.count == kept)
    // The same by libtorch's operations.
    let half = try base.to(.bfloat16)
    try MaskedOffset.merge(
      bits: packed.bits, values: packed.values.to(.bfloat16), mixing, onto: half, into: half, scale: 0.7)
    #expect(try (half.to(dtype) - expected).norm().item() / expected.norm().item() < 0.01)
  }

  @Test func `bits are set from a half on, and gates in between are counted`() throws {
    let logits = try Tensor([-4, -0.1, 0, 4, -1.7, 1, -1, 2] as [Float], shape: [2, 4])
    let packed = try MaskedOffset(Tensor([10, 20, 30, 40] as [Float]), logits: logits).packed()
    #expect(try packed.bits.integers() == [0, 2, 1, 3])
    #expect(try packed.values.floats() == [20, 30, 40])
    #expect(packed.rounded == 4)
    let whole = try MaskedOffset(Tensor([10, 20] as [Float])).packed()
    #expect(try whole.bits.integers() == [1, 1])
    #expect(whole.rounded == 0)
  }

  @Test func `bits that do not go with the values are refused`() throws {
    let (masked, base) = try binary(experts: 3, shape: [50])
    let packed = try masked.packed()
    let theta = try base.zerosLike()
    let fewer = try packed.values.narrowed(0, 0..<packed.values.count - 1)
    let error = try thrown {
      try MaskedOffset.merge(bits: packed.bits, values: fewer, [1, 0, 0], onto: base, into: theta)
    }
    #expect(error.message == "the bits let \(packed.values.count) values through, and there are \(fewer.count)")
    #expect(throws: TorchError.self) {
      try MaskedOffset.merge(
        bits: packed.bits, values: packed.values, [Double](repeating: 1, count: 9), onto: base, into: theta)
    }
    #expect(throws: TorchError.self) {
      try MaskedOffset.merge(bits: packed.bits, values: packed.values, [], onto: base, into: theta)
    }
    #expect(throws: TorchError.self) {
      try MaskedOffset.merge(
        bits: packed.bits.to(.int64), values: packed.values, [1, 0, 0], onto: base, into: theta)
    }
    // A bit above the last expert's, as a damaged file may have it.
    let damaged = try packed.bits.to(.int64) + 128
    let all = try Tensor.ones([50])
    try MaskedOffset.merge(bits: damaged.to(.uint8), values: all, [1, 0, 0], onto: base, into: theta)
    #expect(try theta.isAllFinite())
  }

  // MARK: Refusals

  @Test func `operands that do not fit are refused`() throws {
    let given = try Operands(Case(experts: 3, tasks: 2, shape: [40]))
    let masked = try given.masked()
    #expect(throws: TensorError.self) { try MaskedOffset(given.offset, logits: given.offset) }
    #expect(throws: TensorError.count(2, shape: [3])) {
      try masked.merge([1, 2], onto: given.base, into: given.base)
    }
    #expect(throws: TorchError.self) {
      try masked.merge([1, 2, 3], onto: given.base, into: given.base.to(.float32))
    }
    #expect(throws: TorchError.self) {
      try masked.merge([1, 2, 3], onto: given.base, into: given.base.reshaped(4, 10).transposed())
    }
    var tasks = given.tasks
    tasks.mixing[1] = [1]
    #expect(throws: TensorError.count(1, shape: [3])) { try masked.backward(tasks) }
    #expect(throws: TensorError.count(0, shape: [1])) { try masked.backward(.init(gradients: [], mixing: [])) }
    tasks = given.tasks
    tasks.gradients[1] = try tasks.gradients[1].narrowed(0, 0..<39)
    let error = try thrown { _ = try masked.backward(tasks) }
    #expect(error.message == "a gradient has the shape [39] and the offset [40]")
    let step = MaskedOffset.Step(offsetRate: 0.3, momentum: 0, decay: 0)
    #expect(throws: TorchError.self) { try masked.step(tasks, momentum: given.momentum, by: step) }
    #expect(throws: TorchError.self) {
      try masked.step(given.tasks, momentum: given.momentum.to(.float32), by: step)
    }
    #expect(try masked.offset.isEqual(to: given.offset))
  }

  @Test func `NaN in a gradient comes out again`() throws {
    let given = try Operands(Case(experts: 2, shape: [300]))
    var tasks = given.tasks
    tasks.gradients = [try tasks.gradients[0].clone()]
    try tasks.gradients[0].narrowed(0, 299..<300).fillInPlace(.nan)
    let found = try given.masked().backward(tasks)
    #expect(found.squaredNorm.isNaN)
    #expect(found.mixing[0].allSatisfy { $0.isNaN })
  }
}
