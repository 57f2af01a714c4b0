import Foundation

/// Independent pieces of work, a few at a time, their results handed over in order.
enum OrderedWork {
  /// Runs `work` for `0 ..< count` and calls `collect` with each result, in order, from the caller's own task.
  ///
  /// At most `width` pieces run at once, and none starts more than four times `width` ahead of the last one collected, so
  /// one slow piece does not let results pile up behind it.
  static func run<Value: Sendable>(
    count: Int, width: Int = ProcessInfo.processInfo.activeProcessorCount,
    work: @escaping @Sendable (Int) async throws -> Value,
    isolation: isolated (any Actor)? = #isolation,
    collect: (Int, Value) throws -> Void
  ) async throws {
    let width = max(1, width)
    let window = 4 * width
    try await withThrowingTaskGroup(of: (Int, Value).self) { group in
      var started = 0
      var running = 0
      var collected = 0
      var waiting: [Int: Value] = [:]
      func startMore() {
        while running < width, started < count, started < collected + window {
          let index = started
          group.addTask {
            try Task.checkCancellation()
            return (index, try await work(index))
          }
          started += 1
          running += 1
        }
      }
      startMore()
      while let (index, value) = try await group.next() {
        running -= 1
        waiting[index] = value
        while let ready = waiting.removeValue(forKey: collected) {
          try collect(collected, ready)
          collected += 1
        }
        startMore()
      }
    }
  }
}
