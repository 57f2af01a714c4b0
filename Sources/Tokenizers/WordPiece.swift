/// The longest token first, then the longest that continues it, to the end of the word; the unknown token for the whole
/// word where that fails.
///
/// Wu et al. 2016, arXiv:1609.08144, section 4.1, in the greedy form of BERT.
struct WordPiece: Sendable {
  let trie: TokenTrie
  let unknown: Int32
  /// The node of the trie behind the prefix of tokens that continue a word, `##`; nil where no token has it.
  let continuation: Int32?
  let maximumScalars: Int

  func encode(_ piece: Piece, of text: AlignedText, into tokens: inout TokenList) {
    let first = tokens.count
    guard piece.end - piece.start <= maximumScalars else {
      return tokens.append(unknown, piece.start, piece.end, of: text)
    }
    text.withUnsafeBufferPointer { scalars in
      var start = piece.start
      var node: Int32? = TokenTrie.root
      while start < piece.end {
        guard let from = node, let found = trie.longest(from: from, in: scalars, start, before: piece.end) else {
          tokens.ids.removeLast(tokens.count - first)
          tokens.starts.removeLast(tokens.starts.count - first)
          tokens.ends.removeLast(tokens.ends.count - first)
          return tokens.append(unknown, piece.start, piece.end, of: text)
        }
        tokens.append(found.id, start, found.end, of: text)
        start = found.end
        node = continuation
      }
    }
  }
}

extension WordPiece {
  init(_ fields: FieldReader, _ vocabulary: Vocabulary) throws {
    let prefix = try fields.optionalString("continuing_subword_prefix") ?? "##"
    let name = try fields.optionalString("unk_token") ?? "[UNK]"
    guard let unknown = vocabulary.id(of: name) else {
      throw TokenizerError.unknownToken(name, field: fields.place(of: "unk_token"), file: fields.file)
    }
    self.unknown = unknown
    maximumScalars =
      fields.value("max_input_chars_per_word") == nil ? 100 : try fields.integer("max_input_chars_per_word")
    trie = vocabulary.trie
    continuation = trie.node(at: prefix.scalarValues)
  }
}
