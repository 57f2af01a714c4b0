import Foundation
import Studies

extension Console {
  /// Follows a study to its end.
  ///
  /// - Throws: `CancellationError` where it ends without a report.
  func follow<Run: SharedRun, Report>(
    _ study: some AsyncSequence<StudyProgress<Run, Report>, any Error> & Sendable
  ) async throws -> Report {
    var board = StudyBoard<Run>()
    for try await event in study {
      if case .completed(let report) = event { return report }
      board.show(event, on: self)
    }
    throw CancellationError()
  }
}

/// Where a study stands, for its labels.
private struct StudyBoard<Run: SharedRun> {
  private var number = 0
  private var count = 0
  private var started = ContinuousClock.now

  mutating func show<Report>(_ event: StudyProgress<Run, Report>, on console: Console) {
    switch event {
    case .planned(let runs, let done):
      (number, count) = (done, runs)
      if done > 0 { console.note("\(done) of \(runs) pieces of work are done already") }
    case .started(let run):
      number += 1
      started = .now
      console.progress.show(label(run), 0, of: 1)
    case .progress(let run, let done, let total): console.progress.show(label(run), done, of: total)
    case .finished(let run):
      let seconds = (ContinuousClock.now - started) / .seconds(1)
      console.note("\(label(run)): done in \(Quantity.duration(seconds))")
    case .failed(let run, let error): console.warn("\(label(run)) failed: \(error)")
    case .waiting(let runs):
      console.progress.show("another process is at the rest", max(0, count - runs), of: max(1, count))
    case .completed: break
    }
  }

  private func label(_ run: Run) -> String {
    // Another process's work is not counted: the number may fall behind.
    "[\(min(number, max(1, count)))/\(count)] \(run)"
  }
}

/// Some pieces of work were given up.
struct StudyRunsFailed: Error, CustomStringConvertible {
  private let failures: [(name: String, message: String)]

  init<Run: SharedRun>(_ failures: [StudyFailure<Run>]) {
    self.failures = failures.map { ($0.run.folderName, $0.message) }
  }

  var description: String {
    "\(failures.count) pieces of work failed:\n"
      + failures.map { "  \($0.name): \($0.message)" }.joined(separator: "\n")
      + "\nThe tables are without them. The same call tries them again."
  }
}
