import Foundation

/// The one thread that models are trained and evaluated on.
///
/// libtorch spreads each operation over all cores itself, and keeps what it knows of gradients and autocast for each
/// thread: so heavy work stays on one thread of its own, and the threads of Swift's pool remain free to decode images
/// meanwhile. What is isolated to `Compute` can be held by any task and used by this one thread only.
@globalActor
public actor Compute {
  public static let shared = Compute()

  private nonisolated let thread = ComputeThread()

  public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  /// Runs `work`, which is known to be on the thread already: in a closure that a model calls back.
  ///
  /// Anywhere else this is a mistake of ours, and traps.
  static func assumeIsolated<Value: Sendable>(_ work: @Compute () throws -> Value) rethrows -> Value {
    shared.preconditionIsolated()
    return try withoutActuallyEscaping(work) { try unsafeBitCast($0, to: (() throws -> Value).self)() }
  }

  /// Runs `work` on the thread, whoever calls.
  public static func run<Value: Sendable>(_ work: @Compute @Sendable () throws -> Value) async rethrows -> Value {
    try await work()
  }
}

/// A serial executor on a thread that lives as long as the process.
///
/// `@unchecked Sendable`: `jobs` is touched under `condition` only.
private final class ComputeThread: SerialExecutor, @unchecked Sendable {
  private let condition = NSCondition()
  private var jobs: [UnownedJob] = []

  init() {
    let thread = Thread { [self] in
      while true { next().runSynchronously(on: asUnownedSerialExecutor()) }
    }
    thread.name = "graft.compute"
    // A backward pass through a deep graph of Swift closures needs more than the 512 kB of a secondary thread on macOS.
    thread.stackSize = 16 << 20
    thread.start()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    condition.lock()
    jobs.append(UnownedJob(job))
    condition.signal()
    condition.unlock()
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  private func next() -> UnownedJob {
    condition.lock()
    defer { condition.unlock() }
    while jobs.isEmpty { condition.wait() }
    return jobs.removeFirst()
  }
}
