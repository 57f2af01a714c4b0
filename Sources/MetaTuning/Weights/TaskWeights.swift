import Adapters
import NeuralNetworks
import Tensors
import Training

/// One task's network: a copy of every weight of a backbone, to be filled in place and differentiated.
///
/// The backbone itself stays as it is. A task's network has no router and no adapter in its layers: it is the backbone with
/// other numbers, so that features cost what the backbone's cost.
@Compute
public final class TaskWeights {
  public nonisolated let model: AdaptedModel
  /// θ, leaves of the graph, in the order of `Backbone.tensors`.
  public nonisolated let tensors: [Tensor]

  /// - Throws: `TorchError` where memory is short.
  public init(of backbone: any Backbone) throws {
    model = try backbone.adapted(by: .full)
    tensors = model.adapter.parameters.map(\.value)
  }

  /// `[batch, …]` to `[batch, featureWidth]`, differentiable with respect to `tensors`.
  public func features(_ input: Tensor) throws -> Tensor { try model.features(input) }

  /// What `backward` has added up since the last call, zeros where nothing was; the tensors have none afterwards.
  public func takeGradients() throws -> [Tensor] {
    try tensors.map { tensor in
      let gradient = try tensor.gradient() ?? tensor.detached().zerosLike()
      try tensor.setGradient(nil)
      return gradient
    }
  }
}
