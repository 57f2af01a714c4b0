import NeuralNetworks
import Tensors
import Training

/// Dense experts, merged softly: `θ = θ_pre + c · Σ_m α_m δ_m`, each expert an offset of every weight.
///
/// What the sparse experts are compared with: the same routing without shared δ or masks. The baseline of this name in the paper's
/// table ("SoftMerge") is not defined in what its authors published; this is our reading of it, after Muqeeth et al. 2023,
/// "Soft Merging of Experts with Adaptive Routing" (SMEAR), arXiv:2306.03745, whose experts are averaged by the router's weights.
@Compute
public final class DenseExperts: MetaWeights {
  public let settings: DenseOffset.Settings
  /// `c`, 1 while training; less goes back towards the pretrained network.
  public var scale = 1.0
  public nonisolated let expertCount: Int

  private let base: BaseTensors
  /// `deltas[index][expert]`, for each tensor of the backbone.
  private let deltas: [[MaskedOffset]]
  private let momenta: [[Tensor]]
  private var tasks: [TaskGradient] = []

  /// Every δ starts at exactly 0; the experts part by what the tasks mix of them.
  ///
  /// - Throws: `MetaWeightsError.noExperts`, `.dtype`
  public init(of backbone: any Backbone, experts: Int, settings: DenseOffset.Settings = DenseOffset.Settings()) throws {
    guard (1...SparseExperts.mostExperts).contains(experts) else { throw MetaWeightsError.noExperts(experts) }
    self.settings = settings
    expertCount = experts
    let base = try BaseTensors(of: backbone)
    self.base = base
    let planes = try (0..<experts).map { _ in try (base.zeros().map { try MaskedOffset($0) }, base.zeros()) }
    deltas = base.names.indices.map { index in planes.map { $0.0[index] } }
    momenta = base.names.indices.map { index in planes.map { $0.1[index] } }
  }

  public func merge(_ mixing: [Double], into task: TaskWeights) throws {
    try base.check(task, mixing: mixing, experts: expertCount)
    for (index, merged) in task.tensors.enumerated() {
      var onto = base.tensors[index]
      for (expert, delta) in deltas[index].enumerated() {
        try delta.merge([mixing[expert]], onto: onto, into: merged, scale: scale)
        onto = merged
      }
    }
  }

  public func backward(_ tasks: [TaskGradient]) throws -> [[Double]] {
    try base.check(tasks, experts: expertCount)
    var toMixing = tasks.map { _ in [Double](repeating: 0, count: expertCount) }
    for index in deltas.indices {
      for (expert, delta) in deltas[index].enumerated() {
        let inner = try delta.backward(step(tasks, index, expert)).mixing
        for task in tasks.indices { toMixing[task][expert] += inner[task][0] }
      }
      guard toMixing.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
        throw MetaWeightsError.notFinite(tensor: base.names[index])
      }
    }
    self.tasks = tasks
    return toMixing
  }

  public func step(factor: Double) throws {
    guard !tasks.isEmpty else { throw MetaWeightsError.noGradient }
    for index in deltas.indices {
      for (expert, delta) in deltas[index].enumerated() {
        try delta.step(
          step(tasks, index, expert), momentum: momenta[index][expert], by: settings.step(factor: factor))
      }
    }
    tasks = []
  }

  private func step(_ tasks: [TaskGradient], _ index: Int, _ expert: Int) -> MaskedOffset.Tasks {
    MaskedOffset.Tasks(
      gradients: tasks.map { $0.gradients[index] }, mixing: tasks.map { [$0.mixing[expert]] }, scale: scale)
  }

  public var state: [(name: String, tensor: Tensor)] {
    (0..<expertCount).flatMap { expert in
      base.named("offset.\(expert)", deltas.map { $0[expert].offset })
        + base.named("momentum.\(expert)", momenta.map { $0[expert] })
    }
  }

  public func stateChanged() { tasks = [] }

  public func measures() throws -> [(name: String, value: Double)] {
    try (0..<expertCount).map { expert in
      ("offset_norm.\(expert)", try BaseTensors.norm(of: deltas.map { $0[expert].offset }))
    }
  }
}
