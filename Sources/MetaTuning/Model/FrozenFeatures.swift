import Datasets
import NeuralNetworks
import Tensors
import Training

/// The features of a frozen backbone for examples, each computed once, when it is first asked for, and kept.
///
/// Each example goes through the backbone by itself, so that its features are the same bits whatever episode asked first. Where
/// inputs of different lengths are filled up to their batch's longest, they are computed for the batch and not kept.
@Compute
public final class FrozenFeatures {
  public nonisolated let backbone: any Backbone
  public nonisolated let precision: TrainingConfiguration.Precision
  /// Bytes that are kept at most; what is above is computed each time.
  public nonisolated let limit: Int
  public nonisolated let examples: any Examples
  private var kept: [Int: Tensor] = [:]

  public nonisolated init(
    of examples: any Examples, by backbone: any Backbone, precision: TrainingConfiguration.Precision = .float32,
    limit: Int = 1 << 30
  ) {
    self.examples = examples
    self.backbone = backbone
    self.precision = precision
    self.limit = limit
  }

  /// `[rows, featureWidth]` of some rows of a batch, outside the graph.
  ///
  /// - Parameter varied: whether the batch was made for training by examples that vary: then nothing is kept.
  public func features(of batch: Batch, rows: Range<Int>, varied: Bool = false) throws -> Tensor {
    try withoutGradients {
      guard !(varied && examples.varies), examples.lengths == nil else {
        return try compute(batch.inputs.narrowed(0, rows))
      }
      return try .concatenated(
        rows.map { row in
          let index = batch.indices[row]
          if let found = kept[index] { return found }
          let features = try compute(batch.inputs.narrowed(0, row..<row + 1))
          if (kept.count + 1) * features.count * features.dtype.size <= limit { kept[index] = features }
          return features
        })
    }
  }

  private func compute(_ inputs: Tensor) throws -> Tensor {
    try backbone.features(inputs, precision: precision) { try backbone.features($0) }
  }
}

extension Backbone {
  /// Features in a precision, in float32 unless the network itself is in float64.
  func features(
    _ input: Tensor, precision: TrainingConfiguration.Precision, by network: (Tensor) throws -> Tensor
  ) throws -> Tensor {
    let features = try precision.applied(on: device) { try network(input.to(device)) }
    return features.dtype == .float64 ? features : try features.to(.float32)
  }
}
