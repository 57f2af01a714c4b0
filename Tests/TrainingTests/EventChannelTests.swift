import Testing

@testable import Training

@Suite struct EventChannelTests {
  private struct Stop: Error {}

  @Test func `events come in order, then the end`() async throws {
    var iterator = EventIterator<Int> { send in (1...100).forEach(send) }
    var seen: [Int] = []
    while let event = try await iterator.next() { seen.append(event) }
    #expect(seen == Array(1...100))
    #expect(try await iterator.next() == nil)
  }

  @Test func `an error comes after the events before it, once`() async throws {
    var iterator = EventIterator<Int> { send in
      send(1)
      send(2)
      throw Stop()
    }
    #expect(try await iterator.next() == 1)
    #expect(try await iterator.next() == 2)
    do {
      _ = try await iterator.next()
      Issue.record("the error was lost")
    } catch is Stop {}
    #expect(try await iterator.next() == nil)
  }

  @Test func `cancelling the reader cancels the work, whose last events still arrive`() async throws {
    let reader = Task {
      var iterator = EventIterator<String> { send in
        send("started")
        do {
          try await Task.sleep(for: .seconds(60))
        } catch {
          send("checkpoint")
          throw error
        }
      }
      var seen: [String] = []
      do {
        while let event = try await iterator.next() {
          seen.append(event)
          if event == "started" { withUnsafeCurrentTask { $0?.cancel() } }
        }
      } catch is CancellationError {
        seen.append("cancelled")
      }
      return seen
    }
    #expect(try await reader.value == ["started", "checkpoint", "cancelled"])
  }

  @Test func `letting go of the iterator cancels the work`() async throws {
    let cancelled = AsyncStream<Void>.makeStream()
    do {
      var iterator = EventIterator<Int> { send in
        send(1)
        try? await Task.sleep(for: .seconds(60))
        if Task.isCancelled { cancelled.continuation.yield() }
        cancelled.continuation.finish()
      }
      #expect(try await iterator.next() == 1)
    }
    var count = 0
    for await _ in cancelled.stream { count += 1 }
    #expect(count == 1)
  }
}
