import Foundation

/// Why a run could not start, go on or resume.
public enum TrainingError: Error, Equatable, CustomStringConvertible {
  /// The loss or a gradient became NaN or infinite.
  case notFinite(NotFinite)
  case nothingTrains
  case alreadyStarted
  case classes(head: [String], examples: [String])
  case emptySource(String)
  case noValidation(String)
  case unknownTarget(Int, domains: Int)
  /// A checkpoint was made with other settings.
  case changed(checkpoint: String, differences: [String])

  public struct NotFinite: Equatable, Sendable {
    public enum Quantity: String, Sendable { case loss, gradient }

    public var quantity: Quantity
    /// The step that was to be taken, counted from 1.
    public var step: Int
    /// The first site whose output was not finite, running the batch again; nil where all outputs were.
    public var site: String?
    /// The first parameter whose gradient was not finite.
    public var parameter: String?
    public var learningRate: Double
    /// The last complete checkpoint.
    public var checkpoint: URL?
  }

  public var description: String {
    switch self {
    case .notFinite(let what):
      [
        "The \(what.quantity.rawValue) became NaN or infinite at step \(what.step), learning rate \(what.learningRate).",
        what.site.map { "The first layer whose output is not finite is '\($0)'." },
        what.parameter.map { "The first gradient that is not finite is that of '\($0)'." },
        what.checkpoint.map { "The last good checkpoint is '\($0.path)'." } ?? "No checkpoint had been written.",
        "Lower the learning rate, warm up longer, clip gradients, or train in float32.",
      ].compactMap(\.self).joined(separator: " ")
    case .nothingTrains: "The model has no trainable parameter. Give it an adapter or a classifier that trains."
    case .alreadyStarted:
      "This run was started before; its model has changed since. Make another `Training` of a fresh model."
    case .classes(let head, let examples):
      "The classifier was made for [\(head.joined(separator: ", "))] and the data has "
        + "[\(examples.joined(separator: ", "))]. Make a classifier for these classes."
    case .emptySource(let domain):
      "The domain '\(domain)' has nothing left to train on. Leave it out, or hold out less."
    case .noValidation(let domain):
      "No example of '\(domain)' is held out, so there is nothing to choose the model by. Hold out more."
    case .unknownTarget(let target, let domains):
      "Domain \(target) cannot be the target: there are \(domains), counted from 0."
    case .changed(let checkpoint, let differences):
      """
      The run in '\(checkpoint)' was started with other settings, so it cannot be resumed:
      \(differences.map { "  \($0)" }.joined(separator: "\n"))
      Use the old settings, or another folder for a new run.
      """
    }
  }
}
