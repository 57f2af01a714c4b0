import Adapters
import Datasets
import NeuralNetworks
import Tensors

/// Runs a model over examples by index, without gradients: logits and accuracies.
public struct Evaluator: Sendable {
  public let examples: any Examples
  /// Examples in one forward pass.
  public var batchSize: Int
  public var precision: TrainingConfiguration.Precision

  public init(
    _ examples: any Examples, batchSize: Int = 64, precision: TrainingConfiguration.Precision = .float32
  ) {
    self.examples = examples
    self.batchSize = batchSize
    self.precision = precision
  }

  /// The logits of the examples at `indices`, in their order: `[count, classes]`, float32, on the CPU.
  ///
  /// - Parameter prepare: called with each batch and its pass before the pass is used, to listen to routers for example.
  @Compute
  public func logits(
    of model: AdaptedModel, at indices: [Int], prepare: ((Batch, ForwardPass) -> Void)? = nil
  ) async throws -> Tensor {
    guard let head = model.head else { throw ModelError.noHead }
    guard !indices.isEmpty else { return try .zeros([0, head.classes.count]) }
    let device = model.backbone.device
    var rows: [Tensor] = []
    let order = LengthOrder(indices, of: examples)
    let plan = SequentialBatches(order.indices, batchSize: batchSize)
    for try await batch in examples.batches(of: plan, steps: 0..<Int.max, for: .evaluation) {
      try Task.checkCancellation()
      let pass = ForwardPass()
      prepare?(batch, pass)
      rows.append(
        try withoutGradients {
          try precision.applied(on: device) { try model.logits(batch.inputs.to(device), pass: pass) }
            .to(.float32).to(.cpu)
        })
    }
    // A cancelled stream of batches ends without a word.
    try Task.checkCancellation()
    return try order.restored(.concatenated(rows))
  }

  /// The fraction of the examples at `indices` whose largest logit is their label's; not-a-number for none.
  @Compute
  public func accuracy(of model: AdaptedModel, at indices: [Int]) async throws -> Double {
    try accuracy(of: await logits(of: model, at: indices), at: indices)
  }

  /// The same, of logits computed before.
  public func accuracy(of logits: Tensor, at indices: [Int]) throws -> Double {
    guard !indices.isEmpty else { return .nan }
    let predicted = try logits.argmax(-1).integers()
    let right = zip(predicted, indices).count { $0 == examples.labels[$1] }
    return Double(right) / Double(indices.count)
  }

  /// One evaluation of the protocol: the parts that `fold` names, each example seen once.
  ///
  /// - Parameter scoresTraining: whether to measure the accuracy on the sources' "in" part.
  /// - Returns: the scores, and the target's logits, "in" part first, in the fold's order.
  @Compute
  public func scores(
    of model: AdaptedModel, fold: Fold, step: Int, scoresTraining: Bool, trainingLoss: Double? = nil
  ) async throws -> (scores: Scores, target: Tensor?) {
    var all: [Tensor] = []
    for domain in fold.parts.indices {
      all.append(try await logits(of: model, at: Self.measured(fold, domain, scoresTraining)))
    }
    return try scores(of: all, fold: fold, step: step, scoresTraining: scoresTraining, trainingLoss: trainingLoss)
  }

  /// The examples of a domain that an evaluation of the protocol looks at, the "in" part first.
  package static func measured(_ fold: Fold, _ domain: Int, _ scoresTraining: Bool) -> [Int] {
    let parts = fold.parts[domain]
    return domain == fold.target || scoresTraining ? parts.in + parts.out : parts.out
  }

  /// The scores of logits computed before.
  ///
  /// - Parameter logits: of each domain's measured examples.
  package func scores(
    of logits: [Tensor], fold: Fold, step: Int, scoresTraining: Bool, trainingLoss: Double? = nil
  ) throws -> (scores: Scores, target: Tensor?) {
    var domains: [Scores.Domain] = []
    var targetLogits: Tensor?
    for (domain, parts) in fold.parts.enumerated() {
      let isTarget = domain == fold.target
      let measured = Self.measured(fold, domain, scoresTraining)
      let logits = logits[domain]
      let start = measured.count - parts.out.count
      let inLogits = try logits.narrowed(0, 0..<start)
      let outLogits = try logits.narrowed(0, start..<measured.count)
      domains.append(
        Scores.Domain(
          name: examples.domains[domain], inAccuracy: start > 0 ? try accuracy(of: inLogits, at: parts.in) : nil,
          outAccuracy: try accuracy(of: outLogits, at: parts.out), inCount: parts.in.count,
          outCount: parts.out.count))
      if isTarget { targetLogits = logits }
    }
    return (Scores(step: step, domains: domains, trainingLoss: trainingLoss, target: fold.target), targetLogits)
  }
}
