/// Tokens by their scalars, walked one scalar at a time: no string is made for a candidate.
///
/// The edges are one hash table from (node, scalar) to node, open addressing, at most half full.
struct TokenTrie: Sendable {
  static let root: Int32 = 0

  private var keys: [UInt64]
  private var children: [Int32]
  /// The id of the token that ends at a node, -1 for none.
  private var ids: [Int32] = [-1]
  private var mask: Int

  init() { (keys, children, mask) = ([UInt64](repeating: .max, count: 16), [Int32](repeating: -1, count: 16), 15) }

  /// - Returns: The id that the scalars had before; nil if they are new.
  @discardableResult
  mutating func insert(_ scalars: some Sequence<UInt32>, id: Int32) -> Int32? {
    var node = Self.root
    for scalar in scalars {
      let key = Self.key(node, scalar)
      if let child = child(of: key) {
        node = child
        continue
      }
      if ids.count * 2 > keys.count { grow() }
      let new = Int32(ids.count)
      ids.append(-1)
      place(new, at: key)
      node = new
    }
    let old = ids[Int(node)]
    ids[Int(node)] = id
    return old >= 0 ? old : nil
  }

  func child(of node: Int32, by scalar: UInt32) -> Int32? { child(of: Self.key(node, scalar)) }

  func node(at scalars: some Sequence<UInt32>) -> Int32? {
    var node = Self.root
    for scalar in scalars {
      guard let child = child(of: node, by: scalar) else { return nil }
      node = child
    }
    return node
  }

  func id(at node: Int32) -> Int32? {
    let id = ids[Int(node)]
    return id >= 0 ? id : nil
  }

  func id(of scalars: some Sequence<UInt32>) -> Int32? { node(at: scalars).flatMap { id(at: $0) } }

  /// The longest token of a text from `start` on that continues from a node, and where it ends.
  @inline(__always)
  func longest(
    from node: Int32, in text: UnsafeBufferPointer<AlignedScalar>, _ start: Int, before limit: Int
  ) -> (id: Int32, end: Int)? {
    keys.withUnsafeBufferPointer { keys in
      var node = node
      var found: (id: Int32, end: Int)?
      var index = start
      while index < limit {
        let key = Self.key(node, text[index].scalar)
        var slot = Self.hash(key) & mask
        while keys[slot] != key {
          if keys[slot] == .max { return found }
          slot = (slot + 1) & mask
        }
        node = children[slot]
        index += 1
        let id = ids[Int(node)]
        if id >= 0 { found = (id, index) }
      }
      return found
    }
  }

  private static func key(_ node: Int32, _ scalar: UInt32) -> UInt64 {
    UInt64(UInt32(bitPattern: node)) << 32 | UInt64(scalar)
  }

  private static func hash(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32)
  }

  private func child(of key: UInt64) -> Int32? {
    var slot = Self.hash(key) & mask
    while keys[slot] != key {
      if keys[slot] == .max { return nil }
      slot = (slot + 1) & mask
    }
    return children[slot]
  }

  private mutating func place(_ child: Int32, at key: UInt64) {
    var slot = Self.hash(key) & mask
    while keys[slot] != .max { slot = (slot + 1) & mask }
    keys[slot] = key
    children[slot] = child
  }

  private mutating func grow() {
    let old = zip(keys, children)
    let size = keys.count * 2
    (keys, children, mask) = (
      [UInt64](repeating: .max, count: size), [Int32](repeating: -1, count: size), size - 1
    )
    for (key, child) in old where key != .max { place(child, at: key) }
  }
}
