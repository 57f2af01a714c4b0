import Adapters
import Datasets
import Mixing
import NeuralNetworks
import Tensors
import Training

/// The test examples of every domain as batches in memory, made once for all mixtures: short ones together, so that
/// little is spent on padding.
///
/// What a text encoder computes before its first adapted map, embeddings and their LayerNorm, is under a hundredth of
/// a pass, and an adapter may be anywhere after: so inputs are kept, and no activations.
struct TestBatches: Sendable {
  /// By domain.
  let batches: [[Batch]]

  init(of domains: [StudyDomain], size: Int) async throws {
    var batches: [[Batch]] = []
    for domain in domains { batches.append(try await Self.batches(domain.examples, at: domain.test, size: size)) }
    self.batches = batches
  }

  /// The examples at `indices`, sorted by length.
  static func batches(_ examples: any Examples, at indices: [Int], size: Int) async throws -> [Batch] {
    let lengths = examples.lengths
    let sorted = lengths.map { lengths in indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) } } ?? indices
    var batches: [Batch] = []
    let plan = SequentialBatches(sorted, batchSize: size)
    for try await batch in examples.batches(of: plan, steps: 0..<Int.max, for: .evaluation) { batches.append(batch) }
    // A cancelled stream of batches ends without a word.
    try Task.checkCancellation()
    return batches
  }
}

/// Counts what mixtures get right: their numbers go into one adapter, one domain's classifier on it.
@Compute
struct MixtureEvaluator {
  let backbone: any Backbone
  let members: StudyMembers
  let tests: TestBatches
  let precision: TrainingConfiguration.Precision

  /// Test examples classified right, for each of the domains.
  func correct(_ vector: AdapterVector, on domains: [Int]) throws -> [Int] {
    try vector.load(into: members.carrier)
    return try domains.map { domain in
      let model = model(for: domain)
      return try tests.batches[domain].reduce(0) { count, batch in
        try Task.checkCancellation()
        let predicted = try logits(of: model, batch.inputs).argmax(-1).integers()
        return count + zip(predicted, try batch.labels.integers()).count { $0 == $1 }
      }
    }
  }

  /// The mixture that was loaded last, with a domain's classifier.
  func model(for domain: Int) -> AdaptedModel {
    AdaptedModel(backbone: backbone, adapter: members.carrier, head: members.heads[domain])
  }

  /// `[batch, classes]`, float32, on the CPU.
  func logits(of model: AdaptedModel, _ inputs: Tensor) throws -> Tensor {
    try withoutGradients {
      try precision.applied(on: backbone.device) { try model.logits(inputs.to(backbone.device)) }.to(.float32).to(.cpu)
    }
  }
}
