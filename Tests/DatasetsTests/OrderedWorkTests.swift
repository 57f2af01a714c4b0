import Foundation
import Synchronization
import Testing

@testable import Datasets

@Suite struct OrderedWorkTests {
  @Test func `results come in order however long each takes, a few at a time`() async throws {
    let running = Mutex((now: 0, most: 0))
    var results: [Int] = []
    try await OrderedWork.run(
      count: 40, width: 3,
      work: { index in
        running.withLock {
          $0.now += 1
          $0.most = max($0.most, $0.now)
        }
        try await Task.sleep(for: .milliseconds(index % 4 == 0 ? 8 : 1))
        running.withLock { $0.now -= 1 }
        return index * index
      },
      collect: { index, value in
        #expect(value == index * index)
        results.append(index)
      })
    #expect(results == Array(0..<40))
    #expect(running.withLock { $0.most } <= 3)
  }

  @Test func `a slow piece holds back what is started`() async throws {
    let started = Mutex(0)
    let seenBySlow = Mutex(0)
    try await OrderedWork.run(
      count: 100, width: 2,
      work: { index in
        started.withLock { $0 += 1 }
        guard index == 0 else { return }
        let deadline = ContinuousClock.now + .seconds(10)
        while started.withLock({ $0 }) < 8, .now < deadline { try await Task.sleep(for: .milliseconds(1)) }
        try await Task.sleep(for: .milliseconds(30))  // time in which more could start
        seenBySlow.withLock { $0 = started.withLock { $0 } }
      }, collect: { _, _ in })
    #expect(seenBySlow.withLock { $0 } == 8, "four times the width")
  }

  @Test func `an error ends the work`() async throws {
    struct Failure: Error {}
    await #expect(throws: Failure.self) {
      try await OrderedWork.run(count: 50, work: { if $0 == 7 { throw Failure() } }, collect: { _, _ in })
    }
  }

  @Test func `no work is no work`() async throws {
    try await OrderedWork.run(count: 0, work: { _ in }, collect: { _, _ in Issue.record("nothing to collect") })
  }
}
