import Adapters
import Foundation
import NeuralNetworks
import Tensors

/// What a run reports as it goes.
public enum TrainingEvent: Sendable {
  /// Before the first step.
  case started(Plan)
  /// After `started`, where a run goes on from a checkpoint: the steps it has, and its evaluations so far.
  case resumed(step: Int, evaluations: [Scores])
  /// After every optimizer step.
  case step(StepReport)
  case evaluated(Scores)
  /// A checkpoint is complete on the disk.
  case checkpoint(URL)
  /// Once, last.
  case finished(TrainingResult)
}

/// One optimizer step.
public struct StepReport: Sendable, Equatable {
  /// Steps taken, this one included.
  public let step: Int
  /// What was minimized: cross-entropy plus auxiliary losses.
  public let loss: Double
  /// Mean over the batch, in nats.
  public let crossEntropy: Double
  /// Already weighted.
  public let auxiliary: Double
  public let learningRate: Double
  /// Of all gradients together, before clipping.
  public let gradientNorm: Double
  /// From one step's end to the next, waiting for data included.
  public let imagesPerSecond: Double
  /// The most that tensors on the CPU held during the step, in bytes.
  public let peakMemory: Int
}

/// What a finished run leaves.
public struct TrainingResult: Sendable {
  /// With the weights of the last step.
  public let model: AdaptedModel
  /// In the order of their steps.
  public let evaluations: [Scores]
  /// The evaluation with the highest validation accuracy on the sources, the first of equals, and its weights; the last
  /// one where the fold does not select.
  public let selected: Selection?
  /// The last checkpoint, where there was a folder for them.
  public let checkpoint: URL?

  public struct Selection: Sendable {
    public let scores: Scores
    /// The parameters by name.
    public let parameters: [String: Tensor]
    /// The logits of the target's images, its "in" part first, `[count, classes]`: what an ensemble averages.
    public let targetLogits: Tensor?
  }

  /// Puts the weights of the selected evaluation into the model.
  @Compute
  public func restoreSelected() throws {
    guard let selected else { return }
    for parameter in model.parameters {
      if let value = selected.parameters[parameter.name] { try parameter.load(value) }
    }
  }
}
