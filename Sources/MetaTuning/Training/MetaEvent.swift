import Foundation
import Tensors
import Training

/// What a run of meta-tuning reports as it goes.
public enum MetaEvent: Sendable {
  /// Before the first step. A checkpoint has `completed` of the steps, and what an earlier reader noted after them is done again.
  case started(steps: Int, tasksPerStep: Int, completed: Int)
  /// After `started`, where a run goes on from a checkpoint: the steps it has, and its validations so far.
  case resumed(step: Int, validations: [MetaValidation])
  /// After every optimizer step.
  case step(MetaStep)
  case validated(MetaValidation)
  /// A checkpoint is complete on the disk.
  case checkpoint(URL)
  /// Once, last.
  case finished(MetaResult)
}

/// One optimizer step; means over its tasks.
public struct MetaStep: Sendable, Equatable {
  /// Steps taken, this one included.
  public let step: Int
  /// Cross-entropy of the queries and distillation, weighted; without the penalty on the routing logits and the constraint.
  public let loss: Double
  /// In nats.
  public let crossEntropy: Double
  /// Not weighted; 0 without distillation.
  public let distillation: Double
  /// Of the queries, under the weights that the step started from.
  public let accuracy: Double
  /// α of each task.
  public let mixing: [[Double]]
  /// The fraction of each expert's mask that is exactly 0, after the step; empty without masks.
  public let hardSparsity: [Double]
  /// λ of each expert, after the step; empty without masks.
  public let multipliers: [Double]
  /// What every learning rate was multiplied with.
  public let rateFactor: Double
  /// Of the first task.
  public let temperature: Double
  /// From one step's end to the next, waiting for data included.
  public let seconds: Double
  /// The most that tensors on the CPU held during the step, in bytes.
  public let peakMemory: Int
}

/// How a model does on episodes that are the same each time and for every method.
public struct MetaValidation: Sendable, Hashable, Codable {
  public let step: Int
  /// By validation set, in order.
  public let sets: [Score]

  public struct Score: Sendable, Hashable, Codable {
    public let name: String
    /// Mean over the episodes.
    public let accuracy: Double
    /// Half of the 95 % interval, `1.96 · s / √n`; nil for one episode.
    public let interval: Double?
  }

  /// The mean of the sets' accuracies.
  public var accuracy: Double { sets.reduce(0) { $0 + $1.accuracy } / Double(max(1, sets.count)) }
}

/// What a finished run leaves.
public struct MetaResult: Sendable {
  /// In the state of the last step.
  public let model: MetaModel
  /// In the order of their steps.
  public let validations: [MetaValidation]
  /// The validation of the highest mean accuracy, the first of equals, and the model's state at it; nil where there was none, or
  /// `keepsBest` is off.
  public let best: Best?
  /// The last checkpoint, where there was a folder for them.
  public let checkpoint: URL?

  public struct Best: Sendable {
    public let validation: MetaValidation
    public let state: MetaModel.Snapshot
  }

  /// Puts the state of the best validation into the model.
  @Compute
  public func restoreBest() throws {
    if let best { try model.restore(best.state) }
  }
}
