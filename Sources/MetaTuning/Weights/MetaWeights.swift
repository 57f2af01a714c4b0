import Tensors
import Training

/// What meta-tuning trains: offsets of a frozen network's weights, and how one task's weights come out of them.
///
/// `θ_i = θ_pre + Σ_m α_{i,m} e_m` for experts `e_m`, or `θ_i = θ_pre + δ` where there are none to mix. Chen et al. 2024,
/// "Unleashing the Power of Meta-tuning for Few-shot Generalization Through Sparse Interpolated Experts", arXiv:2403.08477.
@Compute
public protocol MetaWeights: AnyObject {
  /// How many experts a task mixes; 0 where there is nothing to mix.
  var expertCount: Int { get }

  /// `c`, by which `merge` scales what was trained: 1 while training; less goes back towards the pretrained network.
  var scale: Double { get set }

  /// Writes a task's weights, `θ_i`, in place.
  ///
  /// - Parameter mixing: α, one weight for each expert; empty where there are none.
  func merge(_ mixing: [Double], into task: TaskWeights) throws

  /// Takes the gradients of one optimizer step's tasks, of which the loss is the mean, and keeps what `step` needs of them.
  ///
  /// - Returns: `∂L/∂α` of each task's own loss (not divided by their number), one number for each expert.
  func backward(_ tasks: [TaskGradient]) throws -> [[Double]]

  /// Moves what trains by the gradients of the last `backward`.
  ///
  /// - Parameter factor: of every learning rate, from the schedule.
  func step(factor: Double) throws

  /// Everything that training changes, by name, in a fixed order: what a checkpoint holds. The tensors share memory.
  var state: [(name: String, tensor: Tensor)] { get }

  /// Called after the tensors of `state` were given other values from outside.
  func stateChanged() throws

  /// What is worth a line of a log, by its name, as in `hard_sparsity.0`.
  func measures() throws -> [(name: String, value: Double)]
}

/// One task's contribution to a step.
public struct TaskGradient: Sendable {
  /// α, with which the task's weights were merged.
  public var mixing: [Double]
  /// `∂L/∂θ_i`, one tensor for each of the backbone's, in their order.
  public var gradients: [Tensor]

  public init(mixing: [Double], gradients: [Tensor]) {
    self.mixing = mixing
    self.gradients = gradients
  }
}
