import Formats
import Foundation
import Reports

/// Pieces of work that several processes may share in one output folder: each is done once, by whoever takes it first.
///
/// A piece is taken by locking its folder, and done once its folder is marked so. A process that is killed leaves its lock
/// behind unlocked; the next one goes on with what the piece has recorded.
struct SharedWork<Run: SharedRun>: Sendable {
  let output: URL
  /// In the order in which they are begun.
  let runs: [Run]

  func folder(of run: Run) -> RunFolder {
    RunFolder(at: output.appendingPathComponent(run.folderName, isDirectory: true))
  }

  private enum Outcome {
    case done, elsewhere
    case failed(any Error)
  }

  /// Does what is not done, and waits for what other processes are at.
  ///
  /// - Parameters:
  ///   - send: is given the events but for the last.
  ///   - work: leaves its run's folder marked as done.
  /// - Returns: the runs that were given up, with why. What needs their results is left out.
  func perform<Report>(
    _ send: @escaping @Sendable (StudyProgress<Run, Report>) -> Void,
    _ work: @Sendable (Run, @escaping @Sendable (_ done: Int, _ count: Int) -> Void) async throws -> Void
  ) async throws -> [StudyFailure<Run>] {
    try RunFolder(at: output).create()
    var done = Set(runs.filter { folder(of: $0).state == .done })
    send(.planned(runs: runs.count, done: done.count))
    var failures: [StudyFailure<Run>] = []
    while true {
      let failed = Set(failures.map(\.run))
      var others = 0
      var hasWorked = false
      for run in runs where !done.contains(run) && !failed.contains(run) {
        let needed = runs.filter { run.needs($0) && !done.contains($0) }
        if !needed.isEmpty {
          others += needed.contains(where: failed.contains) ? 0 : 1
          continue
        }
        switch try await take(run, send, work) {
        case .done: done.insert(run)
        case .failed(let error): failures.append(StudyFailure(run: run, message: "\(error)"))
        case .elsewhere:
          others += 1
          continue
        }
        // What has become possible comes first.
        hasWorked = true
        break
      }
      if hasWorked { continue }
      guard others > 0 else { return failures }
      send(.waiting(runs: others))
      try await Task.sleep(for: .seconds(2))
      done.formUnion(runs.filter { folder(of: $0).state == .done })
    }
  }

  /// Does a run unless it is done or another process is at it.
  private func take<Report>(
    _ run: Run, _ send: @escaping @Sendable (StudyProgress<Run, Report>) -> Void,
    _ work: @Sendable (Run, @escaping @Sendable (_ done: Int, _ count: Int) -> Void) async throws -> Void
  ) async throws -> Outcome {
    try Task.checkCancellation()
    let folder = folder(of: run)
    guard folder.state != .done else { return .done }
    try folder.create()
    let lock: FileLock
    do { lock = try FileLock(folder: folder.url) } catch is FileLockError { return .elsewhere }
    defer { lock.release() }
    // It may have been finished between the look and the lock.
    guard folder.state != .done else { return .done }
    send(.started(run))
    do {
      try await work(run) { done, count in send(.progress(run, done: done, of: count)) }
      send(.finished(run))
      return .done
    } catch let error as CancellationError {
      throw error
    } catch {
      send(.failed(run, error))
      return .failed(error)
    }
  }
}
