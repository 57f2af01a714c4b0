import Adapters
import Datasets
import NeuralNetworks
import Tensors

/// The features of a frozen backbone, computed once and kept in memory for every run that shares backbone and examples.
///
/// A classifier alone on a frozen backbone sees the same features in every evaluation, every fold and every trial. Kept are
/// `views + 1` float32 vectors an example, up to `limit` bytes in all; above that, the features are computed each time.
@Compute
public final class FeatureStore {
  /// Bytes.
  public nonisolated let limit: Int
  private var kept: [Key: TensorExamples] = [:]

  private struct Key: Hashable {
    var backbone: String
    var examples: String
    var views: Int
    var seed: UInt64
    var precision: TrainingConfiguration.Precision
  }

  public nonisolated init(limit: Int = 1 << 30) { self.limit = limit }

  /// The examples as features; nil where they would exceed the limit.
  ///
  /// - Parameters:
  ///   - views: augmented copies to draw from in training; with 0, training sees the features of the images as they are
  ///     evaluated.
  ///   - seed: of the augmentation.
  func features(
    of examples: any Examples, by backbone: any Backbone, views: Int, seed: UInt64, batchSize: Int,
    precision: TrainingConfiguration.Precision
  ) async throws -> TensorExamples? {
    let key = Key(
      backbone: backbone.fingerprint, examples: examples.fingerprint, views: views, seed: views == 0 ? 0 : seed,
      precision: precision)
    if let found = kept[key] { return found }
    let bytes = examples.labels.count.multipliedReportingOverflow(by: backbone.featureWidth * 4 * (views + 1))
    let held = kept.values.reduce(0) { $0 + $1.inputs.count * 4 * ($1.views.count + 1) }
    guard !bytes.overflow, bytes.partialValue <= limit - held else { return nil }
    let plain = try await compute(examples, backbone, .evaluation, batchSize, precision)
    var varied: [Tensor] = []
    for view in 0..<views {
      var stream = Xoshiro256(seed: seed, stream: 0x7669_6577, UInt64(view))
      varied.append(try await compute(examples, backbone, .training(seed: stream.next()), batchSize, precision))
    }
    let features = try TensorExamples(
      inputs: plain, labels: examples.labels, classes: examples.classes, domains: examples.domains,
      counts: examples.ranges.map(\.count), views: varied, usable: examples.labels.indices.map(examples.isUsable),
      fingerprint: examples.fingerprint)
    kept[key] = features
    return features
  }

  /// `[examples, featureWidth]`, zeros for an example that cannot be used.
  private func compute(
    _ examples: any Examples, _ backbone: any Backbone, _ purpose: Purpose, _ batchSize: Int,
    _ precision: TrainingConfiguration.Precision
  ) async throws -> Tensor {
    let features = try Tensor.zeros(
      [examples.labels.count, backbone.featureWidth], device: backbone.device)
    let usable = examples.labels.indices.filter(examples.isUsable)
    let plan = SequentialBatches(LengthOrder(usable, of: examples).indices, batchSize: batchSize)
    for try await batch in examples.batches(of: plan, steps: 0..<Int.max, for: purpose) {
      try Task.checkCancellation()
      let index = try Tensor(batch.indices.map(Int64.init)).to(backbone.device)
      try withoutGradients {
        let rows = try precision.applied(on: backbone.device) {
          try backbone.features(batch.inputs.to(backbone.device)).to(.float32)
        }
        try features.copyInPlace(rows, at: index)
      }
    }
    // A cancelled stream of batches ends without a word.
    try Task.checkCancellation()
    return features
  }
}

extension TrainingConfiguration.Precision {
  /// Runs `body` with matrix products in this precision.
  package func applied<Result>(on device: Device, _ body: () throws -> Result) throws -> Result {
    switch self {
    case .float32: try body()
    case .bfloat16: try withAutocast(.bfloat16, on: device, body)
    }
  }
}
