/// A token that is recognized in the text as a whole, before anything else happens to it.
struct AddedToken: Equatable, Sendable {
  var content: String
  var id: Int32
  var isSpecial: Bool
  /// Not within a longer word.
  var isSingleWord: Bool
  /// Takes the white space before it along.
  var stripsLeft: Bool
  var stripsRight: Bool
  /// Is looked for in the normalized text, and normalized itself.
  var isNormalized: Bool
}

/// Finds added tokens in a text: the leftmost, of these the longest.
struct AddedTokenFinder: Sendable {
  private let tokens: [Int32: AddedToken]
  private let trie: TokenTrie
  private let firstScalars: Set<UInt32>

  /// - Parameter patterns: What is looked for, for each token.
  init(_ patterns: [(pattern: [UInt32], token: AddedToken)]) {
    var trie = TokenTrie()
    for (pattern, token) in patterns where trie.id(of: pattern) == nil { trie.insert(pattern, id: token.id) }
    self.trie = trie
    tokens = Dictionary(patterns.map { ($0.token.id, $0.token) }, uniquingKeysWith: { first, _ in first })
    firstScalars = Set(patterns.compactMap(\.pattern.first))
  }

  /// The text as tokens and what lies between them, appended; nothing where the text is empty.
  func split(_ text: AlignedText, into pieces: inout [Piece]) {
    var covered = 0
    guard !firstScalars.isEmpty else {
      if !text.isEmpty { pieces.append(Piece(0, text.count)) }
      return
    }
    text.withUnsafeBufferPointer { text in
      func has(_ classes: ScalarClass, at index: Int) -> Bool {
        text.indices.contains(index) && ScalarClass.of(text[index].scalar).contains(classes)
      }
      var index = 0
      while index < text.count {
        guard firstScalars.contains(text[index].scalar),
          let match = trie.longest(from: TokenTrie.root, in: text, index, before: text.count),
          let token = tokens[match.id]
        else {
          index += 1
          continue
        }
        var (start, end) = (index, match.end)
        index = match.end
        if token.isSingleWord, has(.word, at: start - 1) || has(.word, at: end) { continue }
        if token.stripsLeft {
          while start > covered, has(.whiteSpace, at: start - 1) { start -= 1 }
        }
        if token.stripsRight {
          while has(.whiteSpace, at: end) { end += 1 }
        }
        if covered < start { pieces.append(Piece(covered, start)) }
        pieces.append(Piece(start, end, token: token.id))
        covered = end
      }
    }
    if covered < text.count { pieces.append(Piece(covered, text.count)) }
  }
}
