/// What encodes one word.
enum TokenModel: Sendable {
  case wordPiece(WordPiece)
  case bytePairs(BytePairEncoding)

  /// Stands for what has no token.
  var unknown: Int32? {
    switch self {
    case .wordPiece(let model): model.unknown
    case .bytePairs(let model): model.unknown
    }
  }

  func encode(_ piece: Piece, of text: AlignedText, into tokens: inout TokenList, _ scratch: inout BPEScratch) {
    switch self {
    case .wordPiece(let model): model.encode(piece, of: text, into: &tokens)
    case .bytePairs(let model): model.encode(piece, of: text, into: &tokens, &scratch)
    }
  }
}

/// The tokens of one text as they are found.
struct TokenList {
  var ids: [Int32] = []
  var starts: [Int32] = []
  var ends: [Int32] = []
  /// Added tokens, with the white space at either end of what they matched.
  var added: [(index: Int, leading: Int32, trailing: Int32)] = []

  var count: Int { ids.count }

  /// A token over the scalars of a text from `start` up to `end`, which is beyond `start`.
  @inline(__always)
  mutating func append(_ id: Int32, _ start: Int, _ end: Int, of text: AlignedText) {
    ids.append(id)
    starts.append(text[start].start)
    ends.append(text[end - 1].end)
  }

  mutating func removeAll() {
    ids.removeAll(keepingCapacity: true)
    starts.removeAll(keepingCapacity: true)
    ends.removeAll(keepingCapacity: true)
    added.removeAll(keepingCapacity: true)
  }
}
