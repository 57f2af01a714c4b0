import CTorch

/// An offset of one tensor that experts share, each letting through a part of it: `θ = θ_pre + c · w ∘ δ`, where
/// `w = Σ_m α_m z(a_m)`.
///
/// The gates are hard-concrete ones (Louizos et al. 2018, arXiv:1712.01312) without noise, `z = clamp(1.2 σ(1.5 a) − 0.1, 0, 1)`:
/// 0 or 1 beyond `|a| = ⅔ ln 11`, where no gradient passes. They are computed from the logits `a` in each pass over memory and
/// never kept, and so are the gradients of the logits, in `backward` for their norm and in `step` again: training needs the logits,
/// δ, its momentum, the gradients of `θ`, and no more.
///
/// float32 and float64 on the CPU run in a kernel of their own, others through libtorch's operations. The kernel's sums over a tensor
/// are taken in its own type within blocks of 256 entries, lane by lane, and in float64 over these, in an order that depends on the
/// tensor's size alone: any number of threads gives the same bits.
public struct MaskedOffset: Sendable {
  /// δ
  public let offset: Tensor
  /// `a`, `[experts, …]`; nil for one expert whose gates are all 1.
  public let logits: Tensor?
  public let experts: Int

  /// - Throws: `TensorError.count` unless the logits have the offset's shape behind their first dimension.
  public init(_ offset: Tensor, logits: Tensor? = nil) throws {
    if let logits, Array(logits.shape.dropFirst()) != offset.shape || logits.rank == 0 {
      throw TensorError.count(logits.count, shape: [logits.shape.first ?? 0] + offset.shape)
    }
    self.offset = offset
    self.logits = logits
    experts = logits?.shape[0] ?? 1
  }

  /// How a logit becomes a gate.
  public enum Gate: String, Sendable, Hashable, Codable, CaseIterable {
    /// `clamp(1.2 σ(1.5 a) − 0.1, 0, 1)`: the median of the hard-concrete distribution.
    case median
    /// `clamp(1.2 σ(a) − 0.1, 0, 1)`: the estimator of Louizos et al., eq. 13, without the temperature.
    case estimator
  }

  /// What the tasks of one step say of this tensor: the loss is the mean of theirs.
  public struct Tasks: Sendable {
    /// `∂L_t/∂θ_t`, each of the offset's shape.
    public var gradients: [Tensor]
    /// α, with which `θ_t` was merged: one number for each expert.
    public var mixing: [[Double]]
    /// What the derivative of `P(z ≠ 0)` is multiplied by in each expert's gradient, `λ_m ᾱ_m / N`; nil where the logits do not
    /// train.
    public var constraint: [Double]?
    /// `c`
    public var scale: Double

    public init(gradients: [Tensor], mixing: [[Double]], constraint: [Double]? = nil, scale: Double = 1) {
      self.gradients = gradients
      self.mixing = mixing
      self.constraint = constraint
      self.scale = scale
    }
  }

  /// One step of stochastic gradient descent: `a ← clamp(a − η_a ∂a, ±limit)`, `v ← μ v + ∂δ + decay · δ`, `δ ← δ − η_δ v`.
  public struct Step: Sendable, Hashable {
    public var offsetRate: Double
    public var momentum: Double
    public var decay: Double
    /// `η_a`, the clipping of the gradient included.
    public var logitRate: Double
    public var limit: Double

    public init(offsetRate: Double, momentum: Double, decay: Double, logitRate: Double = 0, limit: Double = .infinity) {
      self.offsetRate = offsetRate
      self.momentum = momentum
      self.decay = decay
      self.logitRate = logitRate
      self.limit = limit
    }
  }

  /// One expert's gates.
  public struct Counts: Sendable, Hashable {
    /// Gates of exactly 0.
    public var zeros = 0
    /// Gates of exactly 1.
    public var ones = 0
    /// Gates of exactly 0 that `Gate.estimator` has above 0.
    public var zerosOfMedianOnly = 0
    /// `Σ P(z ≠ 0)`, were the gates drawn.
    public var expectedOpen = 0.0

    public init() {}

    init(_ counts: ArraySlice<Int64>, expectedOpen: Double = 0) {
      let counts = counts.map(Int.init)
      (zeros, ones, zerosOfMedianOnly, self.expectedOpen) = (counts[0], counts[1], counts[2], expectedOpen)
    }

    public static func += (left: inout Counts, right: Counts) {
      left.zeros += right.zeros
      left.ones += right.ones
      left.zerosOfMedianOnly += right.zerosOfMedianOnly
      left.expectedOpen += right.expectedOpen
    }
  }

  /// Writes `θ` to `merged`, which may be `base`.
  ///
  /// - Throws: `TorchError` where shapes, dtypes or devices differ; `TensorError.count` unless there is one number for each expert.
  public func merge(
    _ mixing: [Double], onto base: Tensor, into merged: Tensor, scale: Double = 1, gate: Gate = .median
  ) throws {
    guard mixing.count == experts else { throw TensorError.count(mixing.count, shape: [experts]) }
    try Torch.call("merge experts", merged, base, offset, logits) {
      ct_experts_merge(
        merged.raw, base.raw, offset.raw, logits?.raw, mixing, Int32(clamping: experts), scale, gate == .estimator, $0)
    }
  }

  /// Gradients of what was merged with the median gate.
  ///
  ///     ∂L_t/∂α_m = c Σ_j g_tj δ_j z_jm
  ///     ∂L/∂a_jm  = c/T Σ_t α_tm g_tj δ_j · dz/da + constraint_m · P_jm (1 − P_jm)
  ///     ∂L/∂δ_j   = c/T Σ_t g_tj w_tj
  ///
  /// - Parameters:
  ///   - offsetGradient, logitsGradient: where `∂L/∂δ` and `∂L/∂a` are written, if they are wanted.
  /// - Returns: `∂L_t/∂α` for each task, and `‖∂L/∂a‖²`.
  public func backward(_ tasks: Tasks, offsetGradient: Tensor? = nil, logitsGradient: Tensor? = nil) throws
    -> (mixing: [[Double]], squaredNorm: Double)
  {
    var toMixing = [Double](repeating: 0, count: tasks.gradients.count * experts)
    var squares = 0.0
    try withCode(of: tasks) { code in
      try Torch.call("experts backward", offset, logits, tasks.gradients.first, offsetGradient, logitsGradient) {
        ct_experts_backward(
          offset.raw, logits?.raw, code, Int32(clamping: experts), &toMixing, &squares, offsetGradient?.raw,
          logitsGradient?.raw, $0)
      }
    }
    let rows = tasks.gradients.indices.map { Array(toMixing[$0 * experts..<($0 + 1) * experts]) }
    return (rows, squares)
  }

  /// Moves δ and, where they train, the logits, by the gradients of `backward`, which are computed anew.
  ///
  /// - Parameter momentum: `v`, zeros before the first step.
  /// - Returns: the new gates, without `expectedOpen`.
  @discardableResult
  public func step(_ tasks: Tasks, momentum: Tensor, by step: Step) throws -> [Counts] {
    var counts = [Int64](repeating: 0, count: 3 * experts)
    let step = CTExpertStep(
      offsetRate: step.offsetRate, momentum: step.momentum, decay: step.decay, logitRate: step.logitRate,
      limit: step.limit)
    try withCode(of: tasks) { code in
      try Torch.call("experts step", offset, logits, tasks.gradients.first, momentum) {
        ct_experts_step_(offset.raw, momentum.raw, logits?.raw, code, Int32(clamping: experts), step, &counts, $0)
      }
    }
    return (0..<experts).map { Counts(counts[3 * $0..<3 * $0 + 3]) }
  }

  /// How many gates are closed and open; without logits, all of the one expert's are open.
  ///
  /// - Parameter expectedOpen: whether the sum of `P(z ≠ 0)` is wanted, which takes an exponential for each logit.
  public func counts(expectedOpen: Bool = true) throws -> [Counts] {
    guard let logits else { return [Counts([0, Int64(offset.count), 0], expectedOpen: Double(offset.count))] }
    var counts = [Int64](repeating: 0, count: 3 * experts)
    var open = [Double](repeating: 0, count: experts)
    try Torch.call("count gates", logits) { failure in
      open.withUnsafeMutableBufferPointer {
        ct_experts_counts(logits.raw, &counts, expectedOpen ? $0.baseAddress : nil, failure)
      }
    }
    return (0..<experts).map { Counts(counts[3 * $0..<3 * $0 + 3], expectedOpen: open[$0]) }
  }

  /// Gates of every expert rounded to bits, and δ where any of them is open.
  ///
  /// - Returns: `bits`, uint8 `[entries, ⌈experts / 8⌉]`, the lowest bit of the first byte the first expert's; `values`, δ where a
  ///   bit is set, in order; and how many gates were neither 0 nor 1.
  public func packed() throws -> (bits: Tensor, values: Tensor, rounded: Int) {
    let logits = try logits ?? Tensor.full(.infinity, [1] + offset.shape, dtype: offset.dtype, device: offset.device)
    var bits: CTTensor?
    var rounded: Int64 = 0
    let values = try Torch.tensor("pack experts", offset, logits) { values, failure in
      ct_experts_pack(offset.raw, logits.raw, &bits, values, &rounded, failure)
    }
    guard let bits else {
      throw TorchError(kind: .other, operation: "pack experts", operands: [], message: "no bits were made")
    }
    return (Tensor(adopting: bits), values, Int(rounded))
  }

  /// `merge` of what was packed: the same numbers bit for bit where no gate was rounded.
  ///
  /// Up to 16 experts take one table of the 2^M sums of α, in which a weight's bits are the index.
  ///
  /// - Throws: `TorchError` where the bits do not go with the base, the experts or the number of values.
  public static func merge(
    bits: Tensor, values: Tensor, _ mixing: [Double], onto base: Tensor, into merged: Tensor, scale: Double = 1
  ) throws {
    try Torch.call("merge packed experts", merged, base, bits, values) {
      ct_experts_merge_packed(
        merged.raw, base.raw, bits.raw, values.raw, mixing, Int32(clamping: mixing.count), scale, $0)
    }
  }

  private func withCode(of tasks: Tasks, _ body: (CTExpertTasks) throws -> Void) throws {
    guard tasks.mixing.count == tasks.gradients.count, !tasks.gradients.isEmpty else {
      throw TensorError.count(tasks.mixing.count, shape: [max(1, tasks.gradients.count)])
    }
    for mixing in tasks.mixing + [tasks.constraint].compactMap(\.self) where mixing.count != experts {
      throw TensorError.count(mixing.count, shape: [experts])
    }
    try tasks.gradients.withHandles { gradients, count in
      try tasks.mixing.flatMap(\.self).withUnsafeBufferPointer { mixing in
        try (tasks.constraint ?? []).withUnsafeBufferPointer { constraint in
          try body(
            CTExpertTasks(
              gradients: gradients, count: count, mixing: mixing.baseAddress,
              constraint: tasks.constraint == nil ? nil : constraint.baseAddress, scale: tasks.scale))
        }
      }
    }
  }
}
