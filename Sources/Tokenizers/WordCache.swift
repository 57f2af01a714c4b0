/// The tokens of words that were met before. Words and tokens lie in two arenas; a full cache starts anew.
struct WordCache {
  static let maximumScalars = 48
  private static let capacity = 1 << 15

  private struct Entry {
    var hash: UInt64
    var word: Range<Int32>
    var tokens: Range<Int32>
  }

  private var slots: [Int32] = []
  private var entries: [Entry] = []
  private var words: [UInt32] = []
  private(set) var ids: [Int32] = []
  private(set) var lengths: [UInt8] = []
  /// The places in `ids` and `lengths` of the word that was looked up last; nil where it was not there.
  private(set) var found: Range<Int>?
  private var hash: UInt64 = 0

  mutating func look(up word: UnsafeBufferPointer<AlignedScalar>) {
    hash = UInt64(word.count)
    for item in word { hash = (hash ^ UInt64(item.scalar)) &* 0x9E37_79B9_7F4A_7C15 ^ hash >> 29 }
    found = nil
    guard !slots.isEmpty else { return }
    let entry = slots[slot(of: word)]
    if entry >= 0 {
      let tokens = entries[Int(entry)].tokens
      found = Int(tokens.lowerBound)..<Int(tokens.upperBound)
    }
  }

  /// Keeps the word that was looked up last.
  mutating func insert(_ word: UnsafeBufferPointer<AlignedScalar>, _ symbols: [BytePairEncoding.Symbol]) {
    if slots.isEmpty || entries.count >= Self.capacity {
      slots = [Int32](repeating: -1, count: 2 * Self.capacity)
      entries.removeAll(keepingCapacity: true)
      words.removeAll(keepingCapacity: true)
      ids.removeAll(keepingCapacity: true)
      lengths.removeAll(keepingCapacity: true)
    }
    let (firstWord, firstToken) = (Int32(words.count), Int32(ids.count))
    for item in word { words.append(item.scalar) }
    for symbol in symbols where symbol.length > 0 {
      ids.append(symbol.id)
      lengths.append(UInt8(symbol.length))
    }
    slots[slot(of: word)] = Int32(entries.count)
    entries.append(
      Entry(hash: hash, word: firstWord..<Int32(words.count), tokens: firstToken..<Int32(ids.count)))
  }

  /// The slot that has the word, or the free one where it would go.
  private func slot(of word: UnsafeBufferPointer<AlignedScalar>) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash >> 20) & mask
    while slots[slot] >= 0 {
      let entry = entries[Int(slots[slot])]
      if entry.hash == hash, entry.word.count == word.count {
        let start = Int(entry.word.lowerBound)
        if word.indices.allSatisfy({ words[start + $0] == word[$0].scalar }) { break }
      }
      slot = (slot + 1) & mask
    }
    return slot
  }
}
