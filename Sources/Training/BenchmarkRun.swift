import Reports

/// One run of a benchmark: a method, a target, a trial, a learning rate.
public struct BenchmarkRun: Sendable, Hashable {
  public let method: String
  /// Index of the domain left out.
  public let target: Int
  public let targetName: String
  /// Counted from 0.
  public let trial: Int
  public let learningRate: Double
  /// What results and folder are named by.
  public let arguments: RunArguments
  /// The name of its folder: a digest of the arguments.
  public let folderName: String

  public static func == (left: BenchmarkRun, right: BenchmarkRun) -> Bool { left.folderName == right.folderName }
  public func hash(into hasher: inout Hasher) { hasher.combine(folderName) }
}

extension BenchmarkRun: CustomStringConvertible {
  /// `LoRA, target sketch, trial 0, learning rate 0.001`
  public var description: String {
    "\(method), target \(targetName), trial \(trial), learning rate \(learningRate)"
  }
}

/// What a benchmark reports as it goes.
public enum BenchmarkEvent: Sendable {
  /// Before the first run: all runs, and how many of them were finished before.
  case planned([BenchmarkRun], done: Int)
  /// A run begins, the `number`th of those still to be done, counted from 1.
  case started(BenchmarkRun, number: Int, of: Int)
  case training(BenchmarkRun, TrainingEvent)
  /// With the evaluation selected on the sources.
  case finished(BenchmarkRun, Scores?)
  /// The run was given up; the others go on.
  case failed(BenchmarkRun, any Error)
  /// Once, last.
  case completed(BenchmarkReport)
}
