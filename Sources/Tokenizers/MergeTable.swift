/// The merges of byte pair encoding by their pair: open addressing, at most half full.
struct MergeTable: Sendable {
  struct Merge: Sendable {
    /// The place in the list of merges; the lowest goes first.
    var rank: Int32
    var id: Int32
  }

  private var keys = [UInt64](repeating: .max, count: 2)
  private var values = [Merge](repeating: Merge(rank: 0, id: 0), count: 2)
  private var count = 0

  /// Makes room for so many merges; called once, on the empty table.
  mutating func reserve(_ capacity: Int) {
    var size = 2
    while size < 2 * capacity + 2 { size *= 2 }
    keys = [UInt64](repeating: .max, count: size)
    values = [Merge](repeating: Merge(rank: 0, id: 0), count: size)
  }

  subscript(left: Int32, right: Int32) -> Merge? {
    @inline(__always)
    get {
      let key = Self.key(left, right)
      let slot = slot(of: key)
      return keys[slot] == key ? values[slot] : nil
    }
    set {
      guard let newValue else { return }
      let key = Self.key(left, right)
      let slot = slot(of: key)
      keys[slot] = key
      values[slot] = newValue
    }
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private func slot(of key: UInt64) -> Int {
    let mask = keys.count - 1
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while keys[slot] != key, keys[slot] != .max { slot = (slot + 1) & mask }
    return slot
  }
}

/// A binary heap of merges to do, the lowest rank first, of equal ranks the leftmost.
struct MergeHeap {
  struct Entry {
    var rank: Int32
    var place: Int32
    var id: Int32

    func precedes(_ other: Entry) -> Bool { (rank, place) < (other.rank, other.place) }
  }

  private var entries: [Entry] = []

  mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  mutating func push(_ entry: Entry) {
    var index = entries.count
    entries.append(entry)
    while index > 0 {
      let parent = (index - 1) / 2
      guard entry.precedes(entries[parent]) else { break }
      entries.swapAt(index, parent)
      index = parent
    }
  }

  mutating func pop() -> Entry? {
    guard let top = entries.first, let last = entries.popLast() else { return nil }
    guard !entries.isEmpty else { return top }
    entries[0] = last
    var index = 0
    while true {
      var child = 2 * index + 1
      guard child < entries.count else { return top }
      if child + 1 < entries.count, entries[child + 1].precedes(entries[child]) { child += 1 }
      guard entries[child].precedes(entries[index]) else { return top }
      entries.swapAt(index, child)
      index = child
    }
  }
}
