import Formats
import Foundation
import Reports
import Synchronization
import Testing

@testable import Studies

@Suite struct SharedWorkTests {
  private let output = FileManager.default.temporaryDirectory.appendingPathComponent("work-\(UUID().uuidString)")

  private struct Refused: Error, Equatable {}

  private struct Piece: SharedRun {
    var number: Int
    var needed: Int?

    var folderName: String { "\(number)" }
    var description: String { "piece \(number)" }
    func needs(_ other: Piece) -> Bool { other.number == needed }
  }

  private typealias Event = StudyProgress<Piece, Never>

  private func work(_ runs: [Piece]) -> SharedWork<Piece> { SharedWork(output: output, runs: runs) }

  @Test func `each run is done once, what others need before them`() async throws {
    defer { try? FileManager.default.removeItem(at: output) }
    let order = Mutex<[Int]>([])
    let shared = work([Piece(number: 3, needed: 1), Piece(number: 2), Piece(number: 1)])
    let failures = try await shared.perform({ (_: Event) in }) { run, _ in
      order.withLock { $0.append(run.number) }
      try shared.folder(of: run).markDone()
    }
    #expect(failures.isEmpty)
    #expect(order.withLock { $0 } == [2, 1, 3])
    let planned = Mutex<[Int]>([])
    _ = try await shared.perform({ (event: Event) in
      if case .planned(_, let done) = event { planned.withLock { $0.append(done) } }
    }) { _, _ in
      Issue.record("Everything was done before.")
    }
    #expect(planned.withLock { $0 } == [3])
  }

  @Test func `a run that fails is told, what needs it is left, the rest is done`() async throws {
    defer { try? FileManager.default.removeItem(at: output) }
    let done = Mutex<[Int]>([])
    let shared = work([Piece(number: 1), Piece(number: 2, needed: 1), Piece(number: 3)])
    let failures = try await shared.perform({ (_: Event) in }) { run, _ in
      if run.number == 1 { throw Refused() }
      done.withLock { $0.append(run.number) }
      try shared.folder(of: run).markDone()
    }
    #expect(failures.map(\.run.number) == [1] && failures.first?.message == "\(Refused())")
    #expect(done.withLock { $0 } == [3])
  }

  @Test func `a run that another process holds is waited for and not done twice`() async throws {
    defer { try? FileManager.default.removeItem(at: output) }
    let shared = work([Piece(number: 1), Piece(number: 2)])
    try shared.folder(of: Piece(number: 1)).create()
    let lock = try FileLock(folder: shared.folder(of: Piece(number: 1)).url)
    let done = Mutex<[Int]>([])
    let failures = try await shared.perform(
      { (event: Event) in
        guard case .waiting(let runs) = event, runs == 1 else { return }
        // The other process finishes.
        try? shared.folder(of: Piece(number: 1)).markDone()
        lock.release()
      },
      { run, _ in
        done.withLock { $0.append(run.number) }
        try shared.folder(of: run).markDone()
      })
    #expect(failures.isEmpty && done.withLock { $0 } == [2])
  }
}
