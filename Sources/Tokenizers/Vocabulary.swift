/// Tokens and their ids, 0 to `count` - 1 without gaps.
///
/// Tokens are told apart by their scalars: a Swift dictionary would take composed and decomposed letters for the same.
struct Vocabulary: Sendable {
  private(set) var tokens: [String] = []
  private(set) var trie = TokenTrie()

  init() {}

  /// - Throws: `TokenizerError` for an id that is taken twice or not at all.
  init(_ entries: [(token: String, id: Int)], field: String, file: String) throws(TokenizerError) {
    var tokens = [String?](repeating: nil, count: entries.count)
    for (token, id) in entries where tokens.indices.contains(id) {
      guard tokens[id] == nil else { throw .duplicate("the id \(id)", field: field, file: file) }
      tokens[id] = token
    }
    for (id, token) in tokens.enumerated() {
      guard let token else { throw .gap(id: id, count: entries.count, file: file) }
      try append(token, field: field, file: file)
    }
  }

  var count: Int { tokens.count }

  mutating func append(_ token: String, field: String, file: String) throws(TokenizerError) {
    guard trie.insert(token.scalarValues, id: Int32(tokens.count)) == nil else {
      throw .duplicate("the token '\(token)'", field: field, file: file)
    }
    tokens.append(token)
  }

  func id(of token: String) -> Int32? { trie.id(of: token.unicodeScalars.lazy.map(\.value)) }

  func token(of id: Int32) -> String? { tokens.indices.contains(Int(id)) ? tokens[Int(id)] : nil }
}
