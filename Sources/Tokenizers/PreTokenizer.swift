/// How a text is split into the words that the model encodes one by one.
enum PreTokenizer: Equatable, Sendable {
  case bert
  case byteLevel(ByteLevel)
  case whitespace
  case whitespaceSplit
  case punctuation(SplitBehavior)
  case digits(individually: Bool)
  case sequence([PreTokenizer])

  /// GPT-2's: words with the space before them, then every byte of UTF-8 as a printable character.
  struct ByteLevel: Equatable, Sendable {
    var addsPrefixSpace: Bool
    var splits: Bool
  }

  /// Splits the pieces that are not tokens yet. Pieces are ranges of the text, which may be rewritten.
  func split(_ pieces: inout [Piece], of text: inout AlignedText, _ scratch: inout PreTokenizerScratch) {
    switch self {
    case .bert:
      pieces.split(into: &scratch.pieces) { piece, pieces in
        var start = piece.start
        for index in piece.start..<piece.end {
          let classes = ScalarClass.of(text[index].scalar)
          guard !classes.isDisjoint(with: [.whiteSpace, .punctuation]) else { continue }
          if start < index { pieces.append(Piece(start, index)) }
          if !classes.contains(.whiteSpace) { pieces.append(Piece(index, index + 1)) }
          start = index + 1
        }
        if start < piece.end { pieces.append(Piece(start, piece.end)) }
      }
    case .byteLevel(let settings):
      if settings.addsPrefixSpace { addPrefixSpaces(&pieces, of: &text, &scratch) }
      if settings.splits {
        pieces.split(into: &scratch.pieces) { GPT2Words.split($0, of: text, into: &$1) }
      }
      spellBytes(&pieces, of: &text, &scratch)
    case .whitespace:
      pieces.split(into: &scratch.pieces) { piece, pieces in
        // \w+|[^\w\s]+
        func kind(_ index: Int) -> ScalarClass {
          ScalarClass.of(text[index].scalar).intersection([.word, .whiteSpace])
        }
        var start = piece.start
        while start < piece.end {
          var end = start + 1
          let classes = kind(start)
          while end < piece.end, kind(end) == classes { end += 1 }
          if !classes.contains(.whiteSpace) { pieces.append(Piece(start, end)) }
          start = end
        }
      }
    case .whitespaceSplit: split(&pieces, of: text, .removed, &scratch) { $0.contains(.whiteSpace) }
    case .punctuation(let behavior): split(&pieces, of: text, behavior, &scratch) { $0.contains(.punctuation) }
    case .digits(let individually):
      split(&pieces, of: text, individually ? .isolated : .contiguous, &scratch) { $0.contains(.digit) }
    case .sequence(let parts):
      for part in parts { part.split(&pieces, of: &text, &scratch) }
    }
  }

  private func split(
    _ pieces: inout [Piece], of text: AlignedText, _ behavior: SplitBehavior, _ scratch: inout PreTokenizerScratch,
    where isDelimiter: (ScalarClass) -> Bool
  ) {
    pieces.split(into: &scratch.pieces) { piece, pieces in
      behavior.split(piece, into: &pieces) { isDelimiter(ScalarClass.of(text[$0].scalar)) }
    }
  }

  private func addPrefixSpaces(
    _ pieces: inout [Piece], of text: inout AlignedText, _ scratch: inout PreTokenizerScratch
  ) {
    rewrite(&pieces, of: &text, &scratch) { piece, text, rewritten in
      // The space lies where the first scalar lies.
      if text[piece.start].scalar != 0x20 { rewritten.append(AlignedScalar(0x20, from: text[piece.start])) }
      rewritten += text[piece.start..<piece.end]
    }
  }

  private func spellBytes(_ pieces: inout [Piece], of text: inout AlignedText, _ scratch: inout PreTokenizerScratch) {
    rewrite(&pieces, of: &text, &scratch) { piece, text, rewritten in
      for item in text[piece.start..<piece.end] {
        if item.scalar < 0x80 {
          rewritten.append(AlignedScalar(ByteAlphabet.scalars[Int(item.scalar)], from: item))
        } else {
          encodeScalar(item.scalar) { rewritten.append(AlignedScalar(ByteAlphabet.scalars[Int($0)], from: item)) }
        }
      }
    }
  }

  private func rewrite(
    _ pieces: inout [Piece], of text: inout AlignedText, _ scratch: inout PreTokenizerScratch,
    _ body: (Piece, AlignedText, inout AlignedText) -> Void
  ) {
    scratch.text.removeAll(keepingCapacity: true)
    for index in pieces.indices {
      let piece = pieces[index]
      let start = scratch.text.count
      if piece.isToken {
        scratch.text += text[piece.start..<piece.end]
      } else {
        body(piece, text, &scratch.text)
      }
      pieces[index].start = start
      pieces[index].end = scratch.text.count
    }
    swap(&text, &scratch.text)
  }
}

/// A range of the normalized text: a word, or a token that was recognized as a whole.
struct Piece: Equatable {
  var start: Int
  var end: Int
  /// The id of an added token, -1 for a word.
  var token: Int32 = -1

  init(_ start: Int, _ end: Int, token: Int32 = -1) {
    (self.start, self.end, self.token) = (start, end, token)
  }

  var isToken: Bool { token >= 0 }
}

struct PreTokenizerScratch {
  var pieces: [Piece] = []
  var text: AlignedText = []
}

extension [Piece] {
  /// Replaces each word by what `body` makes of it; tokens stay.
  mutating func split(into spare: inout [Piece], _ body: (Piece, inout [Piece]) -> Void) {
    spare.removeAll(keepingCapacity: true)
    for piece in self {
      if piece.isToken { spare.append(piece) } else { body(piece, &spare) }
    }
    swap(&self, &spare)
  }
}

/// What becomes of a delimiter: its name in the file.
enum SplitBehavior: String, CaseIterable, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"

  func split(_ piece: Piece, into pieces: inout [Piece], where isDelimiter: (Int) -> Bool) {
    var start = piece.start
    func cut(at end: Int) {
      if start < end { pieces.append(Piece(start, end)) }
      start = end
    }
    var previous = false
    for index in piece.start..<piece.end {
      let current = isDelimiter(index)
      switch self {
      case .removed:
        if current {
          cut(at: index)
          start = index + 1
        }
      case .isolated: if current || previous { cut(at: index) }
      case .contiguous: if current != previous { cut(at: index) }
      // A second delimiter in a row has no neighbour left to join.
      case .mergedWithPrevious: if previous { cut(at: index) }
      case .mergedWithNext: if current { cut(at: index) }
      }
      previous = current
    }
    cut(at: piece.end)
  }
}

/// The splitting expression of GPT-2, `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
enum GPT2Words {
  static func split(_ piece: Piece, of text: AlignedText, into pieces: inout [Piece]) {
    text.withUnsafeBufferPointer { text in
      var start = piece.start
      while start < piece.end {
        let end = self.end(of: start, before: piece.end, in: text)
        pieces.append(Piece(start, end))
        start = end
      }
    }
  }

  private static let kinds: ScalarClass = [.letter, .number, .whiteSpace]

  private static func end(of start: Int, before limit: Int, in text: UnsafeBufferPointer<AlignedScalar>) -> Int {
    func kind(_ index: Int) -> ScalarClass { ScalarClass.of(text[index].scalar).intersection(kinds) }
    func endOfRun(from start: Int) -> Int {
      let first = kind(start)
      var end = start + 1
      while end < limit, kind(end) == first { end += 1 }
      return end
    }
    if text[start].scalar == 0x27, let length = contraction(after: start, before: limit, in: text) {
      return start + 1 + length
    }
    if text[start].scalar == 0x20, start + 1 < limit, kind(start + 1) != .whiteSpace {
      return endOfRun(from: start + 1)
    }
    let end = endOfRun(from: start)
    guard kind(start) == .whiteSpace else { return end }
    // White space before a word leaves its last character to the word, unless it has but one.
    return end == limit || end == start + 1 ? end : end - 1
  }

  /// The letters after an apostrophe that go with it.
  private static func contraction(
    after start: Int, before limit: Int, in text: UnsafeBufferPointer<AlignedScalar>
  ) -> Int? {
    func letter(_ distance: Int) -> UInt32 { start + distance < limit ? text[start + distance].scalar : 0 }
    switch (letter(1), letter(2)) {
    case (0x73, _), (0x74, _), (0x6D, _), (0x64, _): return 1  // s t m d
    case (0x72, 0x65), (0x76, 0x65), (0x6C, 0x6C): return 2  // re ve ll
    default: return nil
    }
  }
}

extension PreTokenizer {
  init(_ fields: FieldReader) throws {
    switch try fields.string("type") {
    case "BertPreTokenizer": self = .bert
    case "ByteLevel":
      self = .byteLevel(
        ByteLevel(
          addsPrefixSpace: try fields.bool("add_prefix_space", or: true),
          splits: try fields.bool("use_regex", or: true)))
      // Concerns the offsets that a post-processor of this type gives; here it has no effect.
      _ = try fields.optionalBool("trim_offsets")
    case "Whitespace": self = .whitespace
    case "WhitespaceSplit": self = .whitespaceSplit
    case "Punctuation":
      let name = try fields.optionalString("behavior") ?? SplitBehavior.isolated.rawValue
      guard let behavior = SplitBehavior(rawValue: name) else {
        throw fields.unsupported(name, at: "behavior", supported: SplitBehavior.allCases.map(\.rawValue))
      }
      self = .punctuation(behavior)
    case "Digits": self = .digits(individually: try fields.bool("individual_digits", or: false))
    case "Sequence": self = .sequence(try fields.objects("pretokenizers").map { try PreTokenizer($0) })
    case let type:
      throw fields.unsupported(
        type, at: "type",
        supported: [
          "BertPreTokenizer", "ByteLevel", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "Sequence",
        ])
    }
    try fields.finish()
  }
}
