import Formats

/// Joins, again and again, the pair of neighbours that comes first in the list of merges.
///
/// Sennrich et al. 2016, arXiv:1508.07909, algorithm 1; of equal pairs the leftmost. Short words are searched for the
/// best pair; long ones keep their pairs in a heap, so that a word of n characters takes O(n log n) steps.
struct BytePairEncoding: Sendable {
  private var merges = MergeTable()
  private var characters: [Int32]
  private let trie: TokenTrie
  let unknown: Int32?
  private let fusesUnknown: Bool
  /// A word that is a token is that token, whatever the merges say.
  private let ignoresMerges: Bool

  func encode(_ piece: Piece, of text: AlignedText, into tokens: inout TokenList, _ scratch: inout BPEScratch) {
    let length = piece.end - piece.start
    if ignoresMerges, let id = trie.id(of: text[piece.start..<piece.end].lazy.map(\.scalar)) {
      return tokens.append(id, piece.start, piece.end, of: text)
    }
    text.withUnsafeBufferPointer { scalars in
      let word = UnsafeBufferPointer(rebasing: scalars[piece.start..<piece.end])
      let isCached = length <= WordCache.maximumScalars
      if isCached {
        scratch.cache.look(up: word)
        if let found = scratch.cache.found {
          var start = piece.start
          for index in found {
            let end = start + Int(scratch.cache.lengths[index])
            tokens.append(scratch.cache.ids[index], start, end, of: text)
            start = end
          }
          return
        }
      }
      let isWhole = divide(word, into: &scratch)
      if scratch.symbols.count > Self.searchedLength {
        mergeWithHeap(&scratch)
      } else {
        mergeBySearch(&scratch.symbols)
      }
      guard isWhole else { return append(scratch.symbols, of: word, from: piece.start, text, to: &tokens) }
      var start = piece.start
      for symbol in scratch.symbols where symbol.length > 0 {
        let end = start + Int(symbol.length)
        tokens.append(symbol.id, start, end, of: text)
        start = end
      }
      if isCached { scratch.cache.insert(word, scratch.symbols) }
    }
  }

  private static let searchedLength = 24

  /// The characters of a word as tokens. False where some have none and there is no unknown token.
  private func divide(_ word: UnsafeBufferPointer<AlignedScalar>, into scratch: inout BPEScratch) -> Bool {
    scratch.symbols.removeAll(keepingCapacity: true)
    var isWhole = true
    var endsInUnknown = false
    for item in word {
      if let id = id(ofCharacter: item.scalar) {
        scratch.symbols.append(Symbol(id: id, length: 1))
        endsInUnknown = false
      } else if let unknown {
        if endsInUnknown && fusesUnknown {
          scratch.symbols[scratch.symbols.count - 1].length += 1
        } else {
          scratch.symbols.append(Symbol(id: unknown, length: 1))
        }
        endsInUnknown = true
      } else {
        isWhole = false
      }
    }
    return isWhole
  }

  @inline(__always)
  private func id(ofCharacter scalar: UInt32) -> Int32? {
    if Int(scalar) < characters.count {
      let id = characters[Int(scalar)]
      return id >= 0 ? id : nil
    }
    return trie.id(of: CollectionOfOne(scalar))
  }

  private func mergeBySearch(_ symbols: inout [Symbol]) {
    guard symbols.count > 1 else { return }
    for index in symbols.indices.dropLast() {
      symbols[index].pair = merges[symbols[index].id, symbols[index + 1].id]
    }
    symbols[symbols.count - 1].pair = nil
    while true {
      var best = -1
      var rank = Int32.max
      for index in symbols.indices {
        if let pair = symbols[index].pair, pair.rank < rank { (best, rank) = (index, pair.rank) }
      }
      guard best >= 0, let pair = symbols[best].pair else { return }
      symbols[best].id = pair.id
      symbols[best].length += symbols[best + 1].length
      symbols.remove(at: best + 1)
      symbols[best].pair = best + 1 < symbols.count ? merges[pair.id, symbols[best + 1].id] : nil
      if best > 0 { symbols[best - 1].pair = merges[symbols[best - 1].id, pair.id] }
    }
  }

  private func mergeWithHeap(_ scratch: inout BPEScratch) {
    let count = scratch.symbols.count
    scratch.heap.removeAll()
    for index in 0..<count {
      scratch.symbols[index].previous = Int32(index - 1)
      scratch.symbols[index].next = index + 1 < count ? Int32(index + 1) : -1
    }
    func push(_ left: Int32, _ right: Int32, _ scratch: inout BPEScratch) {
      guard left >= 0, right >= 0,
        let pair = merges[scratch.symbols[Int(left)].id, scratch.symbols[Int(right)].id]
      else { return }
      scratch.heap.push(MergeHeap.Entry(rank: pair.rank, place: left, id: pair.id))
    }
    for index in 0..<Int32(count - 1) { push(index, index + 1, &scratch) }
    while let top = scratch.heap.pop() {
      let symbol = scratch.symbols[Int(top.place)]
      // An entry is out of date once either side was merged into something else.
      guard symbol.length > 0, symbol.next >= 0,
        merges[symbol.id, scratch.symbols[Int(symbol.next)].id]?.id == top.id
      else { continue }
      let right = scratch.symbols[Int(symbol.next)]
      scratch.symbols[Int(symbol.next)].length = 0
      scratch.symbols[Int(top.place)].id = top.id
      scratch.symbols[Int(top.place)].length += right.length
      scratch.symbols[Int(top.place)].next = right.next
      if right.next >= 0 { scratch.symbols[Int(right.next)].previous = top.place }
      push(symbol.previous, top.place, &scratch)
      push(top.place, right.next, &scratch)
    }
  }

  /// Where characters were left out, `tokenizers` goes on counting bytes as if they had never been there.
  private func append(
    _ symbols: [Symbol], of word: UnsafeBufferPointer<AlignedScalar>, from start: Int, _ text: AlignedText,
    to tokens: inout TokenList
  ) {
    let owners = word.indices.flatMap { repeatElement($0, count: UTF8.width(word[$0].scalar)) }
    let kept = word.indices.filter { id(ofCharacter: word[$0].scalar) != nil }
    var byte = 0
    var next = 0
    for symbol in symbols where symbol.length > 0 {
      let width = kept[next..<next + Int(symbol.length)].reduce(0) { $0 + UTF8.width(word[$1].scalar) }
      next += Int(symbol.length)
      tokens.append(symbol.id, start + owners[byte], start + owners[byte + width - 1] + 1, of: text)
      byte += width
    }
  }
}

extension BytePairEncoding {
  struct Symbol {
    var id: Int32
    /// In scalars of the word; 0 once it was merged into the one before.
    var length: Int32
    /// What it becomes with the next one; for the search.
    var pair: MergeTable.Merge?
    /// The neighbours; for the heap.
    var previous: Int32 = -1
    var next: Int32 = -1

    init(id: Int32, length: Int32) { (self.id, self.length) = (id, length) }
  }

  init(_ fields: FieldReader, _ vocabulary: Vocabulary, merges pairs: [(String, String)]) throws {
    if let dropout = fields.value("dropout"), dropout.double != 0 {
      throw fields.unsupported("dropout, which makes ids random,", at: "dropout", supported: ["null", "0"])
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let affix = try fields.optionalString(key), !affix.isEmpty {
        throw fields.unsupported(affix, at: key, supported: ["null", "the empty string"])
      }
    }
    if try fields.bool("byte_fallback", or: false) {
      throw fields.unsupported("true", at: "byte_fallback", supported: ["false"])
    }
    fusesUnknown = try fields.bool("fuse_unk", or: false)
    ignoresMerges = try fields.bool("ignore_merges", or: false)
    func id(_ token: String, _ key: String) throws -> Int32 {
      guard let id = vocabulary.id(of: token) else {
        throw TokenizerError.unknownToken(token, field: fields.place(of: key), file: fields.file)
      }
      return id
    }
    unknown = try fields.optionalString("unk_token").map { try id($0, "unk_token") }
    trie = vocabulary.trie
    characters = (0..<0x250).map { [trie = vocabulary.trie] in trie.id(of: CollectionOfOne($0)) ?? -1 }
    merges.reserve(pairs.count)
    for (rank, (left, right)) in pairs.enumerated() {
      let key = "merges[\(rank)]"
      // Of a pair that is there twice the later rank counts.
      merges[try id(left, key), try id(right, key)] = MergeTable.Merge(
        rank: Int32(rank), id: try id(left + right, key))
    }
  }
}

extension UTF8 {
  fileprivate static func width(_ scalar: UInt32) -> Int {
    scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4
  }
}

/// What `BytePairEncoding` keeps from one word to the next.
struct BPEScratch {
  var symbols: [BytePairEncoding.Symbol] = []
  var heap = MergeHeap()
  var cache = WordCache()
}
