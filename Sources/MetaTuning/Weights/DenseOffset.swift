import NeuralNetworks
import Tensors
import Training

/// Dense meta-tuning: every weight of the network moves, the same for all tasks. `θ = θ_pre + c · δ`.
///
/// Hu et al. 2022, "Pushing the Limits of Simple Pipelines for Few-Shot Learning" (PMF), arXiv:2204.07305. Kept as an offset of the
/// frozen weights rather than as the weights themselves, so that decay pulls towards the pretrained network, and so that
/// `scale` interpolates with it after training (Wortsman et al. 2022, WiSE-FT, arXiv:2109.01903).
@Compute
public final class DenseOffset: MetaWeights {
  public struct Settings: Sendable, Hashable {
    /// `η_δ`
    public var deltaRate = 1e-4
    public var momentum = 0.9
    /// Of δ, towards the pretrained weights. PMF's code has 0, SMAT's 1e-4: the same in both where they are compared.
    public var deltaDecay = 1e-4

    public init() {}

    func step(factor: Double) -> MaskedOffset.Step {
      MaskedOffset.Step(offsetRate: deltaRate * factor, momentum: momentum, decay: deltaDecay)
    }
  }

  public let settings: Settings
  /// `c`, 1 while training; less goes back towards the pretrained network.
  public var scale = 1.0
  /// δ of each of the backbone's tensors, in their order.
  public var offsets: [Tensor] { deltas.map(\.offset) }
  public nonisolated var expertCount: Int { 0 }

  private let base: BaseTensors
  private let deltas: [MaskedOffset]
  private let momenta: [Tensor]
  private var tasks: [TaskGradient] = []

  /// δ starts at exactly 0.
  ///
  /// - Throws: `MetaWeightsError.dtype` unless the backbone is float32 or float64.
  public init(of backbone: any Backbone, settings: Settings = Settings()) throws {
    self.settings = settings
    base = try BaseTensors(of: backbone)
    deltas = try base.zeros().map { try MaskedOffset($0) }
    momenta = try base.zeros()
  }

  public func merge(_ mixing: [Double], into task: TaskWeights) throws {
    try base.check(task, mixing: mixing, experts: 0)
    for (index, delta) in deltas.enumerated() {
      try delta.merge([1], onto: base.tensors[index], into: task.tensors[index], scale: scale)
    }
  }

  public func backward(_ tasks: [TaskGradient]) throws -> [[Double]] {
    try base.check(tasks, experts: 0)
    for (index, delta) in deltas.enumerated() {
      let inner = try delta.backward(step(tasks, index)).mixing
      guard inner.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
        throw MetaWeightsError.notFinite(tensor: base.names[index])
      }
    }
    self.tasks = tasks
    return tasks.map { _ in [] }
  }

  public func step(factor: Double) throws {
    guard !tasks.isEmpty else { throw MetaWeightsError.noGradient }
    for (index, delta) in deltas.enumerated() {
      try delta.step(step(tasks, index), momentum: momenta[index], by: settings.step(factor: factor))
    }
    tasks = []
  }

  private func step(_ tasks: [TaskGradient], _ index: Int) -> MaskedOffset.Tasks {
    MaskedOffset.Tasks(
      gradients: tasks.map { $0.gradients[index] }, mixing: tasks.map { _ in [1] }, scale: scale)
  }

  public var state: [(name: String, tensor: Tensor)] {
    base.named("offset", offsets) + base.named("momentum", momenta)
  }

  public func stateChanged() { tasks = [] }

  public func measures() throws -> [(name: String, value: Double)] {
    [("offset_norm", try BaseTensors.norm(of: offsets))]
  }
}
