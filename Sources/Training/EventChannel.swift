import Synchronization

/// Work on a task of its own that reports events to one reader.
///
/// Cancelling the reader's task cancels the work, and the reader still gets what the work reports on its way out, such as
/// a last checkpoint, before its error. Letting go of the iterator cancels the work too.
public struct EventIterator<Element: Sendable>: AsyncIteratorProtocol {
  private let worker: Worker

  private final class Worker: Sendable {
    let channel = EventChannel<Element>()
    let task: Task<Void, Never>

    init(_ body: @escaping @Sendable (_ send: @escaping @Sendable (Element) -> Void) async throws -> Void) {
      task = Task { [channel] in
        do {
          try await body { channel.send($0) }
          channel.finish(.success(()))
        } catch {
          channel.finish(.failure(error))
        }
      }
    }

    deinit { task.cancel() }
  }

  package init(_ body: @escaping @Sendable (_ send: @escaping @Sendable (Element) -> Void) async throws -> Void) {
    worker = Worker(body)
  }

  /// - Throws: what the work throws; `CancellationError` once it has stopped because it was cancelled.
  public mutating func next() async throws -> Element? {
    let worker = worker
    return try await withTaskCancellationHandler {
      try await worker.channel.next()
    } onCancel: {
      worker.task.cancel()
    }
  }
}

/// Events waiting for their one reader, in order.
private final class EventChannel<Element: Sendable>: Sendable {
  private struct State {
    var events: [Element] = []
    var end: Result<Void, any Error>?
    var reader: CheckedContinuation<Element?, any Error>?
  }

  private let state = Mutex(State())

  func send(_ event: Element) {
    let reader = state.withLock { state in
      defer { state.reader = nil }
      if state.reader == nil { state.events.append(event) }
      return state.reader
    }
    reader?.resume(returning: event)
  }

  func finish(_ end: Result<Void, any Error>) {
    let reader = state.withLock { state in
      defer { state.reader = nil }
      // Told to a waiting reader now, or to the next one who asks.
      state.end = state.reader == nil ? end : .success(())
      return state.reader
    }
    reader?.resume(with: end.map { nil })
  }

  func next() async throws -> Element? {
    try await withCheckedThrowingContinuation { continuation in
      let answer: Result<Element?, any Error>? = state.withLock { state in
        if !state.events.isEmpty { return .success(state.events.removeFirst()) }
        if let end = state.end {
          state.end = .success(())
          return end.map { nil }
        }
        state.reader = continuation
        return nil
      }
      if let answer { continuation.resume(with: answer) }
    }
  }
}
