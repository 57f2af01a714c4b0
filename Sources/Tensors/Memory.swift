import CTorch

/// Memory of tensors on the CPU, in bytes.
///
/// Large blocks are kept when a tensor goes and handed to the next one of the size: a training step then takes no page
/// faults. The allocator is in force from the first tensor on; `GRAFT_ALLOCATOR=system` leaves libtorch's own.
public struct Memory: Sendable {
  /// Held by tensors now.
  public let live: Int
  /// The most ever held by tensors since `resetPeak`.
  public let peak: Int
  /// Waiting to be handed out again.
  public let held: Int
  /// Minor page faults of this process.
  public let pageFaults: Int
  /// The largest resident size of this process, everything counted.
  public let peakResident: Int

  public static var now: Memory {
    var memory = CTMemory()
    ct_memory(&memory)
    return Memory(
      live: Int(memory.live), peak: Int(memory.peak), held: Int(memory.held), pageFaults: Int(memory.faults),
      peakResident: Int(memory.resident))
  }

  /// Starts a new peak from what is live now.
  public static func resetPeak() { ct_memory_reset_peak() }

  /// Returns what waits to the system.
  public static func releaseHeld() { ct_memory_release_held() }
}

/// The threads that one operation is spread over.
public enum Threads {
  public static var count: Int {
    get { Int(ct_threads()) }
    set { ct_set_threads(Int32(clamping: Swift.max(1, newValue))) }
  }
}

/// Runs `body` with the operations of this thread on this thread alone. A chain of small ones is then faster than shared
/// out, by far where other programs keep the cores busy, and gives the same bits whatever `Threads.count` is.
public func withOneThread<Result>(_ body: () throws -> Result) rethrows -> Result {
  let before = ct_limit_threads(1)
  defer { ct_restore_threads(before) }
  return try body()
}

/// The version of libtorch this was built against.
public let torchVersion = String(cString: ct_version())
