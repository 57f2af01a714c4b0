import NeuralNetworks
import Tensors
import Training

extension Backbone {
  /// `[examples, featureWidth]` of the network as it is, on the CPU, batch after batch.
  @Compute
  func frozenFeatures(_ batches: [Batch]) throws -> Tensor {
    try withoutGradients {
      try .concatenated(
        batches.map { batch in
          try Task.checkCancellation()
          return try features(batch.inputs.to(device)).to(.float32).to(.cpu)
        })
    }
  }
}
