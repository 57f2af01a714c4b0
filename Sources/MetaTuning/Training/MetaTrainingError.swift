import Foundation

/// Why a run of meta-tuning could not start or go on.
public enum MetaTrainingError: Error, Equatable, CustomStringConvertible {
  /// The loss became NaN or infinite; nothing was changed by the step.
  case lossNotFinite(step: Int, episode: Int, rateFactor: Double, checkpoint: URL?)
  /// A gradient holds NaN or infinity though the loss does not; nothing was changed by the step.
  case gradientNotFinite(step: Int, tensor: String, rateFactor: Double, checkpoint: URL?)
  case alreadyStarted
  /// An episode would draw an example that there is not, or that cannot be read.
  case unusable(pool: String, class: String, example: Int)
  case otherFeatures
  /// Fewer examples came than the episode has.
  case incomplete(episode: Int, examples: Int, expected: Int)

  public var description: String {
    switch self {
    case .lossNotFinite(let step, let episode, let factor, let checkpoint):
      "The loss became NaN or infinite at step \(step), in episode \(episode)." + Self.advice(factor, checkpoint)
    case .gradientNotFinite(let step, let tensor, let factor, let checkpoint):
      "The gradient at '\(tensor)' became NaN or infinite at step \(step)." + Self.advice(factor, checkpoint)
    case .alreadyStarted:
      "This run was started before; its model has changed since. Make another `MetaTraining` of a fresh model."
    case .unusable(let pool, let name, let example):
      """
      Example \(example) of the class '\(name)' in '\(pool)' is not among the examples, or cannot be read. Make the episodes' \
      classes of usable examples only.
      """
    case .otherFeatures:
      """
      The frozen features are of another backbone, of other examples or in another precision than the run. Make `FrozenFeatures` \
      of both, in the configuration's precision.
      """
    case .incomplete(let episode, let examples, let expected):
      "Episode \(episode) has \(expected) examples and \(examples) came. Skip no unreadable file once episodes are drawn."
    }
  }

  private static func advice(_ rateFactor: Double, _ checkpoint: URL?) -> String {
    let last = checkpoint.map { "The last good checkpoint is '\($0.path)'." } ?? "No checkpoint had been written."
    return " Rates were at \(rateFactor) of theirs. \(last) Lower delta_rate, warm up longer, or train in float32."
  }
}
