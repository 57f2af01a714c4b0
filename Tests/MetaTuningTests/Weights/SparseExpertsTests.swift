import Foundation
import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Compute @Suite struct SparseExpertsTests {
  private func settings(_ change: (inout SparseExperts.Settings) -> Void = { _ in }) -> SparseExperts.Settings {
    var settings = SparseExperts.Settings()
    settings.experts = 3
    settings.sparsity = 0.5
    change(&settings)
    return settings
  }

  private func logits(_ experts: SparseExperts, _ fill: Double) throws {
    for (name, tensor) in experts.state where name.hasPrefix("logits.") { try tensor.fillInPlace(fill) }
    try experts.stateChanged()
  }

  // MARK: Where it starts

  @Test(arguments: [DType.float32, .float64])
  func `fresh experts, and masks of zero, are the backbone bit for bit`(dtype: DType) throws {
    let backbone = try FlatBackbone(dtype: dtype)
    let experts = try SparseExperts(of: backbone, settings: settings(), seed: 1)
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks(dtype: dtype))
    let expected = try backbone.features(tasks.inputs[0])
    for tensor in task.tensors { try withoutGradients { try tensor.fillInPlace(7) } }
    try experts.merge([0.2, 0.5, 0.3], into: task)
    #expect(try task.features(tasks.inputs[0]).detached().isEqual(to: expected))
    try experts.perturb()
    try experts.merge([0.2, 0.5, 0.3], into: task)
    #expect(try task.features(tasks.inputs[0]).distance(to: expected) > 0.01)
    try logits(experts, -4.605)
    try experts.merge([0.2, 0.5, 0.3], into: task)
    #expect(try task.features(tasks.inputs[0]).detached().isEqual(to: expected))
  }

  @Test func `logits start as the published statistics say`() throws {
    let backbone = try LoneTensor(400_000, dtype: .float32)
    let experts = try SparseExperts(of: backbone, settings: settings(), seed: 1)
    for expert in 0..<3 {
      #expect(abs(try experts.expectedDensity[expert] - 0.8209) < 5e-4)
      #expect(abs(experts.hardSparsity[expert] - 0.00075) < 2e-4)
    }
    // The mean gate: δ of 1 on a base of 0.
    let masked = try MaskedOffset(.ones([400_000]), logits: experts.offsets[0].logits)
    let merged = try Tensor.zeros([400_000])
    try masked.merge([1, 0, 0], onto: merged, into: merged)
    #expect(abs(try merged.mean().item() - 0.5006) < 2e-3)
    #expect(experts.multipliers == [0, 0, 0])
  }

  @Test func `what is drawn depends on the seed and on the tensor's name`() throws {
    let backbone = try FlatBackbone()
    func drawn(_ seed: UInt64) throws -> [Tensor] {
      try SparseExperts(of: backbone, settings: settings(), seed: seed).offsets.compactMap(\.logits)
    }
    let (first, again, other) = try (drawn(1), drawn(1), drawn(2))
    for index in first.indices {
      #expect(try first[index].isEqual(to: again[index]))
      #expect(try !first[index].isEqual(to: other[index]))
    }
    // The LayerNorm's scale and shift have the same shape.
    #expect(try !first[4].isEqual(to: first[5]))
  }

  // MARK: Open masks are dense meta-tuning

  @Test(arguments: [[[1.0], [1.0]], [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]])
  func `experts whose gates are all open train as a dense offset`(mixing: [[Double]]) throws {
    let backbone = try FlatBackbone()
    let sparse = settings {
      $0.experts = mixing[0].count
      $0.sparsity = nil
      $0.deltaRate = 0.05
      $0.deltaDecay = 0.01
    }
    var dense = DenseOffset.Settings()
    (dense.deltaRate, dense.deltaDecay) = (0.05, 0.01)
    let experts = try SparseExperts(of: backbone, settings: sparse, seed: 1)
    try logits(experts, 4.605)
    let offset = try DenseOffset(of: backbone, settings: dense)
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks())
    var losses: [Double] = []
    for _ in 0..<10 {
      let one = try tasks.gradients(experts, mixing: mixing, into: task)
      let two = try tasks.gradients(offset, mixing: [[], []], into: task)
      #expect(abs(one.loss - two.loss) < 1e-13)
      losses.append(one.loss)
      _ = try experts.backward(one.tasks)
      _ = try offset.backward(two.tasks)
      try experts.step(factor: 0.8)
      try offset.step(factor: 0.8)
    }
    for (one, two) in zip(experts.offsets, offset.offsets) {
      #expect(try one.offset.isClose(to: two, tolerance: 1e-13))
    }
    #expect(losses[9] < 0.9 * losses[0])
  }

  // MARK: Gradients

  @Test func `gradients are those of finite differences through the whole network`() throws {
    let backbone = try FlatBackbone()
    let mixing = [[0.2, 0.5, 0.3], [0.7, 0, 0.3]]
    let multipliers = [2.0, 0.5, 0]
    let experts = try SparseExperts(
      of: backbone,
      settings: settings {
        // Steps of exactly the gradients, and h below τ, so that no multiplier restarts.
        ($0.deltaRate, $0.momentum, $0.deltaDecay, $0.maskRate) = (1, 0, 0, 1.0 / 77)
        ($0.maskClip, $0.multiplierRate, $0.sparsity) = (1e9, 0, 0.9)
      }, seed: 3)
    try experts.perturb()
    try experts.perturb("logits", deviation: 1.2, seed: 12)
    try experts.tensor("multipliers").copyInPlace(Tensor(multipliers))
    try experts.stateChanged()
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks())
    let mean = [0.45, 0.25, 0.3]

    /// The mean loss and `Σ_m λ_m ᾱ_m (τ − 1 + E_m)`.
    func loss(_ mixing: [[Double]]) throws -> Double {
      let open = try experts.expectedDensity
      let constraint = (0..<3).reduce(0) { $0 + multipliers[$1] * mean[$1] * (0.9 - 1 + open[$1]) }
      return try tasks.gradients(experts, mixing: mixing, into: task).loss + constraint
    }
    func difference(_ change: (Double) throws -> Double) throws -> Double {
      let step = 1e-4
      return try (change(step) - change(-step)) / (2 * step)
    }

    let state = try experts.state.map { (name: $0.name, tensor: $0.tensor, before: try $0.tensor.doubles()) }
    var expected: [String: [Double]] = [:]
    for (name, tensor, before) in state where name.hasPrefix("offset.") || name.hasPrefix("logits.") {
      expected[name] = try before.indices.map { index in
        // Beside a gate's bounds the function has a corner.
        if name.hasPrefix("logits."), abs(abs(before[index]) - HardConcrete.bound) < 2e-4 { return .nan }
        defer { try? tensor.copyInPlace(Tensor(before, shape: tensor.shape)) }
        return try difference { shift in
          var moved = before
          moved[index] += shift
          try tensor.copyInPlace(Tensor(moved, shape: tensor.shape))
          return try loss(mixing)
        }
      }
    }
    let toMixing = try mixing.indices.map { task in
      try mixing[task].indices.map { expert in
        try difference { shift in
          var moved = mixing
          moved[task][expert] += shift
          return try loss(moved) * 2
        }
      }
    }

    let found = try experts.backward(try tasks.gradients(experts, mixing: mixing, into: task).tasks)
    try experts.step(factor: 1)
    for (one, two) in zip(found.flatMap(\.self), toMixing.flatMap(\.self)) {
      #expect(abs(one - two) < 1e-5 * max(0.01, abs(two)))
    }
    var open = 0
    for (name, tensor, before) in state {
      guard let expected = expected[name] else { continue }
      for (index, after) in try tensor.doubles().enumerated() {
        let moved = before[index] - after
        if expected[index].isNaN { continue }
        #expect(abs(moved - expected[index]) < 1e-5 * max(0.001, abs(expected[index])), "\(name) \(index)")
        guard name.hasPrefix("logits."), abs(before[index]) > 1.7 else { continue }
        // No task's gradient passes a closed or open gate.
        let expert = index / (before.count / 3)
        let p = HardConcrete.openProbability(before[index])
        #expect(abs(moved - multipliers[expert] * mean[expert] * p * (1 - p) / 77) < 1e-14)
        open += 1
      }
    }
    #expect(open > 20)
  }

  @Test func `while the offset is zero only the offset moves`() throws {
    let backbone = try FlatBackbone()
    let experts = try SparseExperts(of: backbone, settings: settings { $0.maskRate = 100 }, seed: 1)
    let before = try experts.offsets.map { try #require($0.logits).clone() }
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks())
    let mixing = [[0.2, 0.5, 0.3], [0.7, 0, 0.3]]
    let found = try experts.backward(try tasks.gradients(experts, mixing: mixing, into: task).tasks)
    #expect(found == [[0, 0, 0], [0, 0, 0]])
    try experts.step(factor: 1)
    for (index, offset) in experts.offsets.enumerated() {
      #expect(try #require(offset.logits).isEqual(to: before[index]))
      #expect(try offset.offset.abs().max().item() > 1e-6)
    }
  }

  @Test func `the gradient of the logits is clipped by its norm over all tensors`() throws {
    let backbone = try FlatBackbone()
    func moved(clip: Double) throws -> Double {
      let experts = try SparseExperts(
        of: backbone,
        settings: settings {
          $0.maskRate = 1.0 / 77
          $0.maskClip = clip
          $0.sparsity = nil
        }, seed: 3)
      try experts.perturb()
      let before = try experts.offsets.map { try #require($0.logits).clone() }
      let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks())
      _ = try experts.backward(
        tasks.gradients(experts, mixing: [[0.2, 0.5, 0.3], [0.7, 0, 0.3]], into: task).tasks)
      try experts.step(factor: 0.5)
      return try zip(experts.offsets, before).reduce(0) {
        try $0 + (#require($1.0.logits) - $1.1).squared().sum().item()
      }.squareRoot()
    }
    let whole = try moved(clip: 1e9)
    #expect(whole > 0.01)
    #expect(abs(try moved(clip: 0.004) - 0.002) < 1e-6)
    #expect(abs(try moved(clip: 2.001 * whole) - whole) < 1e-12)
  }

  // MARK: The constraint

  /// `Φ⁻¹`, by bisection.
  private func normalQuantile(_ p: Double) -> Double {
    var (low, high) = (-8.0, 8.0)
    for _ in 0..<80 {
      let middle = (low + high) / 2
      if erfc(-middle / 2.squareRoot()) / 2 < p { low = middle } else { high = middle }
    }
    return (low + high) / 2
  }

  struct Loop: Sendable {
    var rate: Double, ascent: Double, target: Double
    var step: Int, sparsity: Double, peak: Double
  }

  @Test(arguments: [
    Loop(rate: 1, ascent: 0.01, target: 0.9, step: 61, sparsity: 0.909, peak: 0.3802),
    Loop(rate: 1, ascent: 0.01, target: 0.5, step: 60, sparsity: 0.514, peak: 0.2405),
    Loop(rate: 0.2, ascent: 0.02, target: 0.9, step: 95, sparsity: 0.905, peak: 1.1911),
    Loop(rate: 1, ascent: 0.01, target: 0.99, step: 76, sparsity: 0.991, peak: 0),
  ])
  func `the constraint alone closes gates until its target, then lets go`(loop: Loop) throws {
    let backbone = try LoneTensor(1000)
    let experts = try SparseExperts(
      of: backbone,
      settings: settings {
        ($0.experts, $0.sparsity) = (1, loop.target)
        ($0.maskRate, $0.multiplierRate) = (loop.rate, loop.ascent)
      }, seed: 1)
    let start = (0..<1000).map { 0.5 * normalQuantile((Double($0) + 0.5) / 1000) }
    try experts.tensor("logits.w").copyInPlace(Tensor(start, shape: [1, 1000]))
    try experts.stateChanged()
    let task = TaskGradient(mixing: [1], gradients: [try .zeros([1000], dtype: .float64)])
    var (step, peak) = (0, 0.0)
    while experts.hardSparsity[0] < loop.target, step < 200 {
      _ = try experts.backward([task])
      try experts.step(factor: 1)
      step += 1
      peak = max(peak, experts.multipliers[0])
    }
    // It is the next step that finds the target met.
    #expect(step + 1 == loop.step)
    #expect(experts.hardSparsity == [loop.sparsity])
    if loop.peak > 0 { #expect(abs(peak - loop.peak) < 5.1e-5) }
    let density = try experts.expectedDensity
    let logits = try experts.tensor("logits.w").clone()
    for _ in 0..<3 {
      _ = try experts.backward([task])
      #expect(experts.multipliers == [0])
      try experts.step(factor: 1)
    }
    #expect(try experts.tensor("logits.w").isEqual(to: logits))
    #expect(experts.multipliers == [0])
    if loop.target == 0.9, loop.rate == 1 { #expect(abs(density[0] - 0.2604) < 5.1e-5) }
  }

  @Test func `an expert is pruned as far as tasks select it`() throws {
    let backbone = try LoneTensor(1000)
    let experts = try SparseExperts(
      of: backbone, settings: settings { ($0.maskRate, $0.multiplierRate) = (1, 0.01) }, seed: 1)
    let zeros = try Tensor.zeros([1000], dtype: .float64)
    let tasks = [[0.75, 0.25, 0], [1, 0, 0]].map { TaskGradient(mixing: $0, gradients: [zeros]) }
    _ = try experts.backward(tasks)
    let before = experts.hardSparsity
    try experts.step(factor: 0.5)
    for (expert, mean) in [0.875, 0.125, 0].enumerated() {
      #expect(abs(experts.multipliers[expert] - 0.005 * mean * (0.5 - before[expert])) < 1e-15)
    }
    for _ in 0..<100 {
      _ = try experts.backward(tasks)
      try experts.step(factor: 1)
    }
    #expect(experts.hardSparsity[0] > 0.1)
    #expect(experts.hardSparsity[0] > experts.hardSparsity[1])
    #expect(experts.hardSparsity[2] == before[2])
  }

  // MARK: Masks that stay

  @Test func `masks chosen by hand have no gradient, no multiplier, and stay`() throws {
    let backbone = try FlatBackbone()
    let experts = try SparseExperts(
      of: backbone,
      settings: settings {
        $0.masks = .random(density: 0.4)
        ($0.maskRate, $0.multiplierRate, $0.sparsity, $0.deltaRate) = (100, 1, 0.99, 0.05)
      }, seed: 3)
    let before = try experts.offsets.map { try #require($0.logits).clone() }
    let sparsity = experts.hardSparsity
    #expect(sparsity.allSatisfy { abs($0 - 0.6) < 0.2 } && Set(sparsity).count > 1)
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks())
    var losses: [Double] = []
    for _ in 0..<10 {
      let found = try tasks.gradients(experts, mixing: [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], into: task)
      losses.append(found.loss)
      let toMixing = try experts.backward(found.tasks)
      if losses.count > 1 { #expect(toMixing.allSatisfy { $0.contains { $0 != 0 } }) }
      try experts.step(factor: 1)
    }
    #expect(losses[9] < 0.9 * losses[0])
    for (offset, before) in zip(experts.offsets, before) {
      #expect(try #require(offset.logits).isEqual(to: before))
      // δ stays 0 where no expert lets it through.
      let closed = try before.isGreater(than: 0).any(0).not()
      #expect(try offset.offset.masked(closed).abs().sum().item() == 0)
    }
    #expect(experts.multipliers == [0, 0, 0])
    #expect(experts.hardSparsity == sparsity)
  }

  // MARK: Interpolation, state, refusals

  @Test func `a scale interpolates between the backbone and what was trained`() throws {
    let backbone = try FlatBackbone()
    let experts = try SparseExperts(of: backbone, settings: settings(), seed: 3)
    try experts.perturb()
    let (whole, half) = try (TaskWeights(of: backbone), TaskWeights(of: backbone))
    try experts.merge([0.2, 0.5, 0.3], into: whole)
    experts.scale = 0.25
    try experts.merge([0.2, 0.5, 0.3], into: half)
    for (index, (name, base)) in backbone.tensors.enumerated() {
      let expected = try base + (whole.tensors[index].detached() - base) * 0.25
      #expect(try half.tensors[index].detached().isClose(to: expected, tolerance: 1e-14), "\(name)")
    }
  }

  @Test func `the other gate is open where the median's is closed already`() throws {
    let backbone = try FlatBackbone()
    let experts = try SparseExperts(of: backbone, settings: settings(), seed: 3)
    try experts.perturb()
    try logits(experts, -2)
    let task = try TaskWeights(of: backbone)
    experts.gate = .estimator
    try experts.merge([0.2, 0.5, 0.3], into: task)
    for (index, (_, base)) in backbone.tensors.enumerated() {
      let expected = try base + experts.offsets[index].offset * HardConcrete.estimator(-2)
      #expect(try task.tensors[index].detached().isClose(to: expected, tolerance: 1e-14))
    }
    let measures = try Dictionary(uniqueKeysWithValues: experts.measures().map { ($0.name, $0.value) })
    #expect(measures["open_in_estimator_only.1"] == 1)
    #expect(measures["hard_sparsity.1"] == 1)
    #expect(measures["binary.1"] == 1)
    #expect(measures["multiplier.2"] == 0)
    #expect(abs(try #require(measures["expected_density.0"]) - 0.400975) < 1e-6)
    #expect(try #require(measures["offset_norm"]) > 1)
  }

  @Test func `experts whose state is copied go on bit for bit`() throws {
    let backbone = try FlatBackbone(dtype: .float32)
    let settings = settings { ($0.deltaRate, $0.maskRate, $0.multiplierRate) = (0.05, 0.5, 0.1) }
    let experts = try SparseExperts(of: backbone, settings: settings, seed: 3)
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks(dtype: .float32))
    func train(_ experts: SparseExperts, steps: Int) throws {
      for _ in 0..<steps {
        let found = try tasks.gradients(experts, mixing: [[0.2, 0.5, 0.3], [0.7, 0, 0.3]], into: task)
        _ = try experts.backward(found.tasks)
        try experts.step(factor: 1)
      }
    }
    try train(experts, steps: 4)
    let copy = try SparseExperts(of: backbone, settings: settings, seed: 9)
    for ((name, to), (other, from)) in zip(copy.state, experts.state) {
      #expect(name == other)
      try to.copyInPlace(from)
    }
    try copy.stateChanged()
    #expect(copy.multipliers == experts.multipliers && copy.hardSparsity == experts.hardSparsity)
    #expect(copy.multipliers[0] > 0)
    try train(experts, steps: 3)
    try train(copy, steps: 3)
    for (one, two) in zip(copy.state, experts.state) { #expect(try one.tensor.isEqual(to: two.tensor), "\(one.name)") }
    // Every tensor of the backbone has three of its own, and all of them have moved.
    #expect(experts.state.count == 3 * backbone.tensors.count + 1)
    let fresh = try SparseExperts(of: backbone, settings: settings, seed: 3)
    for (one, two) in zip(fresh.state, experts.state) {
      #expect(try !one.tensor.isEqual(to: two.tensor), "\(one.name)")
    }
  }

  @Test(arguments: [0.0, 1, 1.5, -0.1, .nan])
  func `a target that no mask can have is refused, with the remedy`(target: Double) throws {
    let error = #expect(throws: MetaWeightsError.self) {
      try SparseExperts(of: FlatBackbone(), settings: settings { $0.sparsity = target }, seed: 1)
    }
    let text = try #require(error).description
    #expect(text.contains("it must lie above 0 and below 1"))
    #expect(text.contains(target >= 1 ? "0.9 to 0.99 is usual" : "use dense meta-tuning (pmf)"))
  }

  @Test func `masks without a target train, and no multiplier rises`() throws {
    let backbone = try FlatBackbone()
    let experts = try SparseExperts(
      of: backbone, settings: settings { ($0.sparsity, $0.maskRate, $0.multiplierRate) = (nil, 1, 1) }, seed: 3)
    try experts.perturb()
    let before = try #require(experts.offsets[0].logits).clone()
    let (task, tasks) = try (TaskWeights(of: backbone), FlatTasks())
    let found = try tasks.gradients(experts, mixing: [[0.2, 0.5, 0.3], [0.7, 0, 0.3]], into: task)
    _ = try experts.backward(found.tasks)
    try experts.step(factor: 1)
    #expect(experts.multipliers == [0, 0, 0])
    #expect(try #require(experts.offsets[0].logits).distance(to: before) > 1e-4)
  }

  @Test func `what does not fit is refused`() throws {
    let backbone = try FlatBackbone()
    #expect(throws: MetaWeightsError.noExperts(0)) {
      try SparseExperts(of: backbone, settings: settings { $0.experts = 0 }, seed: 1)
    }
    #expect(throws: MetaWeightsError.dtype("bfloat16", tensor: "w")) {
      try SparseExperts(of: LoneTensor(5, dtype: .bfloat16), settings: settings(), seed: 1)
    }
    let experts = try SparseExperts(of: backbone, settings: settings(), seed: 1)
    let task = try TaskWeights(of: backbone)
    #expect(throws: MetaWeightsError.mixing(2, experts: 3)) { try experts.merge([1, 2], into: task) }
    #expect(throws: MetaWeightsError.noTasks) { try experts.backward([]) }
    #expect(throws: MetaWeightsError.noGradient) { try experts.step(factor: 1) }
    let gradients = try FlatTasks().gradients(experts, mixing: [[1, 0, 0], [0, 1, 0]], into: task).tasks
    #expect(throws: MetaWeightsError.mixing(1, experts: 3)) {
      try experts.backward([gradients[0], TaskGradient(mixing: [1], gradients: gradients[1].gradients)])
    }
    #expect(throws: MetaWeightsError.tensors(5, expected: 6)) {
      try experts.backward([TaskGradient(mixing: [1, 0, 0], gradients: gradients[0].gradients.dropLast())])
    }
    _ = try experts.backward(gradients)
    try experts.step(factor: 1)
    // A step takes its gradients with it.
    #expect(throws: MetaWeightsError.noGradient) { try experts.step(factor: 1) }
  }

  @Test func `a gradient that is no number is told by its tensor, and nothing changes`() throws {
    let backbone = try FlatBackbone()
    let experts = try SparseExperts(of: backbone, settings: settings(), seed: 1)
    var gradients = try FlatTasks().gradients(
      experts, mixing: [[1, 0, 0], [0, 1, 0]], into: TaskWeights(of: backbone)
    ).tasks
    gradients[1].gradients[3] = try gradients[1].gradients[3] * .infinity
    let before = try experts.state.map { try $0.tensor.clone() }
    #expect(throws: MetaWeightsError.notFinite(tensor: "blocks.1.mlp.fc1.bias")) { try experts.backward(gradients) }
    #expect(throws: MetaWeightsError.noGradient) { try experts.step(factor: 1) }
    for (one, two) in zip(experts.state, before) { #expect(try one.tensor.isEqual(to: two)) }
  }
}
