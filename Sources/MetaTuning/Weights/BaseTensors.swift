import NeuralNetworks
import Tensors
import Training

/// θ_pre: the tensors of a frozen backbone, which offsets of the same shapes are added to.
struct BaseTensors: Sendable {
  let names: [String]
  let tensors: [Tensor]
  /// N, the weights of all tensors.
  let count: Int

  /// - Throws: `MetaWeightsError.dtype` unless all are float32 or float64.
  init(of backbone: any Backbone) throws {
    for (name, tensor) in backbone.tensors where tensor.dtype != .float32 && tensor.dtype != .float64 {
      throw MetaWeightsError.dtype("\(tensor.dtype)", tensor: name)
    }
    names = backbone.tensors.map(\.name)
    tensors = try backbone.tensors.map { try $0.tensor.detached().contiguous() }
    count = tensors.reduce(0) { $0 + $1.count }
  }

  /// A tensor of zeros beside each.
  func zeros() throws -> [Tensor] { try tensors.map { try $0.zerosLike() } }

  func named(_ what: String, _ values: [Tensor]) -> [(name: String, tensor: Tensor)] {
    zip(names, values).map { ("\(what).\($0)", $1) }
  }

  @Compute
  func check(_ task: TaskWeights, mixing: [Double], experts: Int) throws {
    guard mixing.count == experts else { throw MetaWeightsError.mixing(mixing.count, experts: experts) }
    guard task.tensors.count == tensors.count else {
      throw MetaWeightsError.tensors(task.tensors.count, expected: tensors.count)
    }
  }

  func check(_ tasks: [TaskGradient], experts: Int) throws {
    guard !tasks.isEmpty else { throw MetaWeightsError.noTasks }
    for task in tasks {
      guard task.mixing.count == experts else { throw MetaWeightsError.mixing(task.mixing.count, experts: experts) }
      guard task.gradients.count == tensors.count else {
        throw MetaWeightsError.tensors(task.gradients.count, expected: tensors.count)
      }
    }
  }

  /// `√Σ ‖tensor‖²`
  static func norm(of tensors: [Tensor]) throws -> Double {
    try tensors.reduce(0) { try $0 + $1.norm().squared().item() }.squareRoot()
  }
}
