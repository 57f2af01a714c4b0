import NeuralNetworks
import Tensors
import Training

/// Sparse interpolated experts: one offset δ of all weights that experts share, each letting through a sparse part of it.
///
///     θ = θ_pre + c · Σ_m α_m (z_m ∘ δ)
///
/// Chen et al. 2024, "Unleashing the Power of Meta-tuning for Few-shot Generalization Through Sparse Interpolated Experts" (SMAT),
/// arXiv:2403.08477. A mask has one hard-concrete gate for each weight; that at least a fraction τ of each expert's gates is exactly
/// 0 is a constraint, by dual ascent with restarts (Gallego-Posada et al. 2022, "Controlled Sparsity via Constrained
/// Optimization", arXiv:2208.04425) with multipliers λ:
///
///     h_m = #(z_m = 0) / N                        what λ sees
///     λ_m ← 0 where h_m > τ                       before the gradients
///     ∂a_m += λ_m ᾱ_m P(1 − P) / N                P = P(z_m ≠ 0), what the logits see
///     λ_m ← max(0, λ_m + η_λ ᾱ_m (τ − h_m))       ᾱ the mean over the step's tasks
///
/// The clamp of λ at 0 is ours; the authors' code can leave one below for a step.
///
/// Gradients are computed in closed form and by the tensor, see `MaskedOffset`: training holds the logits, δ, its momentum and the
/// gradients of the step's tasks. While δ is 0, only δ moves.
@Compute
public final class SparseExperts: MetaWeights {
  public struct Settings: Sendable, Hashable {
    /// M
    public var experts = 8
    /// τ, the fraction of each expert's gates that is to be 0, above 0 and below 1; nil where the masks train without a target.
    public var sparsity: Double? = 0.9
    /// Masks chosen by hand, which then do not train; nil for masks that train.
    public var masks: MaskPattern?
    /// `η_δ`
    public var deltaRate = 1e-4
    public var momentum = 0.9
    /// Of δ, towards the pretrained weights.
    public var deltaDecay = 1e-4
    /// `κ`: the learning rate of the logits divided by N, the number of weights, for the constraint's gradient is divided by it. The
    /// authors' rate of 1e6 is 0.046 for ViT-S.
    public var maskRate = 0.046
    /// The largest norm of the logits' gradient; larger ones are scaled down to it.
    public var maskClip = 5.0
    /// `η_λ`
    public var multiplierRate = 2e-3
    /// Of the logits as they start, around 0.
    public var initialDeviation = 0.5

    public init() {}

    /// - Throws: `MetaWeightsError.noExperts`, `.sparsity`
    public func validate() throws(MetaWeightsError) {
      guard (1...SparseExperts.mostExperts).contains(experts) else { throw .noExperts(experts) }
      if let sparsity, masks == nil, !(sparsity > 0 && sparsity < 1) { throw .sparsity(sparsity) }
    }
  }

  nonisolated static let mostExperts = 4096

  public nonisolated let settings: Settings
  public nonisolated var expertCount: Int { settings.experts }
  /// `c`, 1 while training; less goes back towards the pretrained network.
  public var scale = 1.0
  /// The gates of `merge`. Gradients are those of the median, so training merges with it.
  public var gate = MaskedOffset.Gate.median

  /// The backbone's tensors by name, and the experts' offset of each, in the same order.
  public nonisolated var names: [String] { base.names }
  public nonisolated let offsets: [MaskedOffset]

  private nonisolated let base: BaseTensors
  private let momenta: [Tensor]
  /// λ, `[experts]` float64.
  private let multiplierTensor: Tensor
  /// λ, and the gates that are 0, kept beside the tensors that they are read from.
  public private(set) var multipliers: [Double]
  private var counts: [MaskedOffset.Counts]
  private var pending: Pending?

  private struct Pending {
    var tasks: [TaskGradient]
    /// ᾱ
    var mixing: [Double]
    var constraint: [Double]?
    /// What the logits' gradient is scaled by.
    var clip: Double
  }

  /// δ starts at exactly 0, the logits at `Normal(0, initialDeviation²)`, drawn by the name of their tensor.
  ///
  /// - Throws: `MetaWeightsError`; `PlacementError` for a pattern of more blocks than there are.
  public init(of backbone: any Backbone, settings: Settings, seed: UInt64) throws {
    try settings.validate()
    self.settings = settings
    let base = try BaseTensors(of: backbone)
    let generator = try Generator(seed: seed).derived("masks")
    let logits =
      try settings.masks?.logits(for: backbone, experts: settings.experts, generator: generator)
      ?? zip(base.names, base.tensors).map { name, tensor in
        try Tensor.normal(
          [settings.experts] + tensor.shape, deviation: settings.initialDeviation, dtype: tensor.dtype,
          from: generator.derived(name)
        ).to(tensor.device)
      }
    offsets = try zip(base.zeros(), logits).map { try MaskedOffset($0, logits: $1) }
    momenta = try base.zeros()
    multipliers = [Double](repeating: 0, count: settings.experts)
    multiplierTensor = try .zeros([settings.experts], dtype: .float64)
    counts = []
    self.base = base
    try stateChanged()
  }

  // MARK: What the masks are

  /// h: the fraction of each expert's gates that is 0.
  public var hardSparsity: [Double] { counts.map { Double($0.zeros) / Double(base.count) } }

  /// E: the fraction of each expert's gates that would not be 0, were they drawn. At least 0.0471, for the logits are bounded: what is
  /// feasible is told by `hardSparsity`.
  public var expectedDensity: [Double] {
    get throws { try total(expectedOpen: true).map { $0.expectedOpen / Double(base.count) } }
  }

  private func total(expectedOpen: Bool) throws -> [MaskedOffset.Counts] {
    var total = [MaskedOffset.Counts](repeating: .init(), count: expertCount)
    for offset in offsets {
      for (expert, counts) in try offset.counts(expectedOpen: expectedOpen).enumerated() { total[expert] += counts }
    }
    return total
  }

  // MARK: Merging and training

  public func merge(_ mixing: [Double], into task: TaskWeights) throws {
    try base.check(task, mixing: mixing, experts: expertCount)
    for (index, offset) in offsets.enumerated() {
      try offset.merge(mixing, onto: base.tensors[index], into: task.tensors[index], scale: scale, gate: gate)
    }
  }

  public func backward(_ tasks: [TaskGradient]) throws -> [[Double]] {
    try base.check(tasks, experts: expertCount)
    let mean = (0..<expertCount).map { expert in
      tasks.reduce(0) { $0 + $1.mixing[expert] } / Double(tasks.count)
    }
    try restartMultipliers()
    let constraint =
      settings.masks == nil ? zip(multipliers, mean).map { $0 * $1 / Double(base.count) } : nil
    var toMixing = tasks.map { _ in [Double](repeating: 0, count: expertCount) }
    var squares = 0.0
    for (index, offset) in offsets.enumerated() {
      let found = try offset.backward(share(of: tasks, constraint, index))
      squares += found.squaredNorm
      guard squares.isFinite, found.mixing.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
        throw MetaWeightsError.notFinite(tensor: base.names[index])
      }
      for task in tasks.indices {
        for expert in 0..<expertCount { toMixing[task][expert] += found.mixing[task][expert] }
      }
    }
    let clip = min(1, settings.maskClip / (squares.squareRoot() + 1e-6))
    pending = Pending(tasks: tasks, mixing: mean, constraint: constraint, clip: clip)
    return toMixing
  }

  public func step(factor: Double) throws {
    guard let pending else { throw MetaWeightsError.noGradient }
    let step = MaskedOffset.Step(
      offsetRate: settings.deltaRate * factor, momentum: settings.momentum, decay: settings.deltaDecay,
      logitRate: settings.maskRate * Double(base.count) * factor * pending.clip, limit: HardConcrete.limit)
    var gates = [MaskedOffset.Counts](repeating: .init(), count: expertCount)
    for (index, offset) in offsets.enumerated() {
      let share = share(of: pending.tasks, pending.constraint, index)
      for (expert, counts) in try offset.step(share, momentum: momenta[index], by: step).enumerated() {
        gates[expert] += counts
      }
    }
    self.pending = nil
    guard settings.masks == nil else { return }
    if let sparsity = settings.sparsity {
      // The sparsity that the step started from, as the gradients.
      for (expert, hard) in hardSparsity.enumerated() {
        let ascent = settings.multiplierRate * factor * pending.mixing[expert] * (sparsity - hard)
        multipliers[expert] = max(0, multipliers[expert] + ascent)
      }
      try multiplierTensor.copyInPlace(Tensor(multipliers))
    }
    counts = gates
  }

  private func share(of tasks: [TaskGradient], _ constraint: [Double]?, _ index: Int) -> MaskedOffset.Tasks {
    MaskedOffset.Tasks(
      gradients: tasks.map { $0.gradients[index] }, mixing: tasks.map(\.mixing), constraint: constraint, scale: scale)
  }

  private func restartMultipliers() throws {
    guard let sparsity = settings.sparsity else { return }
    for (expert, hard) in hardSparsity.enumerated() where hard > sparsity { multipliers[expert] = 0 }
    try multiplierTensor.copyInPlace(Tensor(multipliers))
  }

  // MARK: State

  public var state: [(name: String, tensor: Tensor)] {
    base.named("offset", offsets.map(\.offset)) + base.named("logits", offsets.compactMap(\.logits))
      + base.named("momentum", momenta) + [("multipliers", multiplierTensor)]
  }

  public func stateChanged() throws {
    multipliers = try multiplierTensor.doubles()
    counts = try total(expectedOpen: false)
    pending = nil
  }

  /// Beside the offset's norm and λ: hard sparsity, expected density, which disagree strongly while gates are soft, the fraction of
  /// gates that are 0 or 1, and the fraction that the estimator's gate has open and the median's has not.
  public func measures() throws -> [(name: String, value: Double)] {
    let weights = Double(base.count)
    let gates = try total(expectedOpen: true).enumerated().flatMap { expert, counts in
      [
        ("hard_sparsity.\(expert)", Double(counts.zeros) / weights),
        ("expected_density.\(expert)", counts.expectedOpen / weights),
        ("binary.\(expert)", Double(counts.zeros + counts.ones) / weights),
        ("open_in_estimator_only.\(expert)", Double(counts.zerosOfMedianOnly) / weights),
        ("multiplier.\(expert)", multipliers[expert]),
      ]
    }
    return [("offset_norm", try BaseTensors.norm(of: offsets.map(\.offset)))] + gates
  }
}
