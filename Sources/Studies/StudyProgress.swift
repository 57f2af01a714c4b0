import Reports

/// What a study reports as it goes: of runs that several processes may share, and of a report in the end.
public enum StudyProgress<Run: Hashable & Sendable, Report: Sendable>: Sendable {
  /// Before the first run: how many there are, and how many were done before.
  case planned(runs: Int, done: Int)
  case started(Run)
  /// So much of a part of the run's work is done: optimizer steps, mixtures, episodes.
  case progress(Run, done: Int, of: Int)
  case finished(Run)
  /// The run was given up, and what needs its result with it; the others go on.
  case failed(Run, any Error)
  /// The rest is being done by other processes: what is done is looked at again every few seconds.
  case waiting(runs: Int)
  /// Once, last.
  case completed(Report)
}

/// A run that was given up, and why.
public struct StudyFailure<Run: Hashable & Sendable>: Sendable {
  public let run: Run
  public let message: String
}

/// A run of a study, done by one process in a folder of its own.
public protocol SharedRun: Hashable, Sendable, CustomStringConvertible {
  var folderName: String { get }
  /// Whether another run's result is needed for this one.
  func needs(_ other: Self) -> Bool
}
