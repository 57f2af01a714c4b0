import Reports

/// One run of a comparison on many tasks.
public struct TaskRun: Sendable, Hashable {
  public enum Phase: String, Sendable, Hashable {
    /// On the training images, scored on the validation images.
    case search
    /// On both, scored on the test images.
    case final
  }

  public let method: String
  public let task: String
  public let phase: Phase
  /// Counted from 0.
  public let trial: Int
  public let learningRate: Double
  /// What results and folder are named by.
  public let arguments: RunArguments
  /// The name of its folder: a digest of the arguments.
  public let folderName: String

  public static func == (left: TaskRun, right: TaskRun) -> Bool { left.folderName == right.folderName }
  public func hash(into hasher: inout Hasher) { hasher.combine(folderName) }
}

extension TaskRun: CustomStringConvertible {
  /// `LoRA, task pets, search, learning rate 0.001`
  public var description: String {
    "\(method), task \(task), \(phase == .search ? "search" : "trial \(trial)"), learning rate \(learningRate)"
  }
}

/// What a comparison on many tasks reports as it goes.
public enum TaskBenchmarkEvent: Sendable {
  /// Before the first run: how many runs there are for the methods at work, and how many were finished before.
  case planned(runs: Int, done: Int)
  /// A run begins.
  case started(TaskRun)
  case training(TaskRun, TrainingEvent)
  /// With the accuracy that counts: on the validation images in a search, else on the test images.
  case finished(TaskRun, accuracy: Double)
  /// The run was given up; the others go on.
  case failed(TaskRun, any Error)
  /// The rate that a method trains with on a task, and the accuracy that it was chosen by.
  case chosen(method: String, task: String, learningRate: Double, accuracy: Double)
  /// Another process is at this run.
  case elsewhere(TaskRun)
  /// Once, last.
  case completed(TaskBenchmarkReport)
}
