import Foundation
import Tensors
import Testing

/// Other suites run meanwhile, with tensors of a few kilobytes: the blocks here are far larger than what they hold, and
/// of sizes that nobody else asks for.
@Suite(.serialized) struct MemoryTests {
  let megabyte = 1 << 20
  /// What all other suites together stay under.
  let noise = 8 << 20

  private func address(_ tensor: Tensor) throws -> Int {
    try tensor.withBytes { Int(bitPattern: $0.baseAddress) }
  }

  @Test func `live memory rises and returns, and the peak stays`() throws {
    Memory.resetPeak()
    let before = Memory.now
    try {
      let tensor = try Tensor.zeros([48 * megabyte], dtype: .uint8)
      let during = Memory.now
      #expect(during.live - before.live >= tensor.count - noise)
      #expect(during.live - before.live <= tensor.count * 9 / 8 + noise)
    }()
    let after = Memory.now
    #expect(abs(after.live - before.live) < noise)
    #expect(after.peak - before.live >= 48 * megabyte - noise)
    #expect(after.peak - before.live <= 54 * megabyte + noise)
    #expect(after.peakResident >= 48 * megabyte)
    Memory.resetPeak()
    #expect(Memory.now.peak - before.live < noise)
  }

  @Test func `a freed block serves the next tensor of its size`() throws {
    let size = 37 * megabyte
    let first = try address(Tensor.zeros([size], dtype: .uint8))
    let second = try address(Tensor.ones([size], dtype: .uint8))
    #expect(first == second)
    // Within its class: 37 MiB lie in a block of 40.
    #expect(try address(Tensor.ones([size + megabyte], dtype: .uint8)) == first)
    #expect(first.isMultiple(of: 64))
  }

  @Test func `what waits goes back on request`() throws {
    let size = 41 * megabyte
    _ = try Tensor.zeros([size], dtype: .uint8)
    #expect(Memory.now.held >= size)
    Memory.releaseHeld()
    #expect(Memory.now.held < noise)
  }

  @Test func `repeated big allocations take no page faults`() throws {
    // Above 32 MiB the C library always maps anew: its blocks fault on each of these 8448 pages, every time.
    let size = 33 * megabyte
    _ = try Tensor.ones([size], dtype: .uint8)
    let before = Memory.now
    for _ in 0..<40 { _ = try Tensor.ones([size], dtype: .uint8) }
    #expect(Memory.now.pageFaults - before.pageFaults < 40 * 8_448 / 4)
  }

  @Test(arguments: [1, 63, 64, 1 << 10, (1 << 20) - 64, 1 << 20, (1 << 20) + 1, (4 << 20) - 64, 5 << 20])
  func `blocks of every class hold what is written, side by side`(size: Int) throws {
    let tensors = try (0..<3).map { try Tensor.full(Double($0 + 1), [size], dtype: .uint8) }
    #expect(try tensors.map { try $0.min().item() } == [1, 2, 3])
    #expect(try tensors.map { try $0.max().item() } == [1, 2, 3])
    #expect(try tensors.allSatisfy { try address($0).isMultiple(of: 64) })
  }

  @Test func `more memory than there is is an error that can be told apart`() throws {
    // 256 TiB, and so much that the sums of sizes could go around.
    for shape in [[1 << 45], [3 << 58]] {
      let error = try thrown { _ = try Tensor.zeros(shape, dtype: .float64) }
      #expect(error.kind == .outOfMemory)
      #expect(error.description.hasSuffix("Use a smaller batch, a lower resolution or bfloat16."))
    }
  }

  @Test func `threads may free what others allocated`() async throws {
    let before = Memory.now.live
    try await withThrowingTaskGroup(of: Tensor.self) { group in
      for index in 0..<64 { group.addTask { try Tensor.full(Double(index), [2 * (1 << 20) / 4]) } }
      for try await tensor in group { #expect(try tensor.min().item() == tensor.max().item()) }
    }
    #expect(abs(Memory.now.live - before) < noise)
  }

  @Test func `operations spread over as many threads as asked`() {
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    #expect(Threads.count == 1)
    Threads.count = 0
    #expect(Threads.count == 1)
  }

  @Test func `one thread for a while is the calling thread's own affair`() throws {
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 3
    let other = withOneThread {
      #expect(Threads.count == 1)
      // Another thread of this process, in the meantime.
      let found = Counter()
      let thread = Thread { for _ in 0..<Threads.count { found.increment() } }
      thread.start()
      while !thread.isFinished { Thread.sleep(forTimeInterval: 0.001) }
      return found.count
    }
    #expect(other == 3 && Threads.count == 3)
    struct Failure: Error {}
    #expect(throws: Failure.self) { try withOneThread { throw Failure() } }
    #expect(Threads.count == 3)
  }

  @Test func `the version of libtorch is known`() {
    #expect(torchVersion.split(separator: ".").first == "2")
  }
}
