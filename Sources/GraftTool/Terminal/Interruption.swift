import Dispatch
import Foundation
import Synchronization

/// Ctrl-C and SIGTERM: the first asks the work to stop where it can be resumed, the second ends the program at once.
enum Interruption {
  /// The work was stopped by a signal.
  struct Stopped: Error {
    let signal: Int32

    var name: String { signal == SIGINT ? "Ctrl-C" : "SIGTERM" }
    /// As shells report it: 130 for SIGINT, 143 for SIGTERM.
    var exitCode: Int32 { 128 + signal }
  }

  /// Runs `work` in a task that signals cancel.
  ///
  /// - Throws: `Stopped` if a signal came and the work did not end well; else what `work` throws.
  static func stoppable(_ work: @escaping @Sendable () async throws -> Void) async throws {
    let task = Task(operation: work)
    let received = Received()
    let sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        guard received.isFirst(number) else { _exit(128 + number) }
        Console.complain("stopping after this step; once more stops at once, without a checkpoint", as: .note)
        task.cancel()
      }
      source.resume()
      return source
    }
    defer { for source in sources { source.cancel() } }
    do {
      try await task.value
    } catch {
      guard let signal = received.signal, error is CancellationError else { throw error }
      throw Stopped(signal: signal)
    }
  }

  private final class Received: Sendable {
    private let first = Mutex<Int32?>(nil)
    var signal: Int32? { first.withLock { $0 } }

    func isFirst(_ number: Int32) -> Bool {
      first.withLock { first in
        guard first == nil else { return false }
        first = number
        return true
      }
    }
  }
}
