import Formats
import Testing
import Tokenizers

@Suite struct BytePairEncodingTests {
  private func tokenizer(_ merges: [String], _ settings: JSONObject = [:], extra: [String] = []) throws -> Tokenizer {
    var vocabulary: JSONObject = [:]
    let characters = ["a", "b", "c", "d"]
    for token in characters + merges.map({ $0.replacing(" ", with: "") }) + extra where vocabulary[token] == nil {
      vocabulary[token] = .integer(vocabulary.count)
    }
    var model: JSONObject = [
      "type": "BPE", "vocab": .object(vocabulary), "merges": .array(merges.map(JSONValue.string)),
    ]
    for (key, value) in settings.members { model[key] = value }
    return try Tokenizer(parsing: ["model": .object(model)])
  }

  private func tokens(_ text: String, _ tokenizer: Tokenizer) throws -> [String] {
    try tokenizer.encode(text).ids.compactMap(tokenizer.token)
  }

  @Test func `the first merge of the list goes first, of equal ones the leftmost`() throws {
    let tokenizer = try tokenizer(["b c", "a b", "a a", "aa a"])
    #expect(try tokens("abc", tokenizer) == ["a", "bc"])
    #expect(try tokens("abab", tokenizer) == ["ab", "ab"])
    #expect(try tokens("aaaaa", tokenizer) == ["aa", "aaa"])
  }

  /// The heap serves words that the search would be slow on; both must do the same merges.
  @Test func `long words merge as short ones do`() throws {
    let tokenizer = try tokenizer(["a b", "c d", "ab c", "abc d", "d a", "ab ab", "a a"])
    for piece in ["abcd", "ab", "cda", "aab", "dcab"] {
      let short = try tokens(String(repeating: piece, count: 24 / piece.count), tokenizer)
      let long = try tokens(String(repeating: piece, count: 60), tokenizer)
      #expect(long.joined() == String(repeating: piece, count: 60))
      // Away from the ends, a repeated word has repeated tokens.
      #expect(Array(short.prefix(3)) == Array(long.prefix(3)))
      #expect(Array(short.suffix(2)) == Array(long.suffix(2)))
    }
    let pairs = try tokens(String(repeating: "a", count: 61), self.tokenizer(["a a"]))
    #expect(pairs == Array(repeating: "aa", count: 30) + ["a"])
  }

  @Test func `a character without a token is the unknown one, each or all together`() throws {
    let settings: JSONObject = ["unk_token": "?"]
    #expect(try tokens("axyb", tokenizer([], settings, extra: ["?"])) == ["a", "?", "?", "b"])
    let fused = try tokenizer([], ["unk_token": "?", "fuse_unk": true], extra: ["?"])
    #expect(try tokens("axyb", fused) == ["a", "?", "b"])
    #expect(try fused.encode("axyb").offsets == [0..<1, 1..<3, 3..<4])
    #expect(try tokens("axyb", tokenizer([])) == ["a", "b"])
  }

  @Test func `a whole word that is a token needs no merges where the file says so`() throws {
    #expect(try tokens("abc", tokenizer(["a b"], extra: ["abc"])) == ["ab", "c"])
    #expect(try tokens("abc", tokenizer(["a b"], ["ignore_merges": true], extra: ["abc"])) == ["abc"])
  }

  @Test func `words from the cache have the tokens they had`() throws {
    let tokenizer = try Fixture.tokenizer("bytepairs")
    // More words than the cache holds; those that come twice at the end are taken from what it began anew.
    let parts = ["a", "the", "learns", "x", "expert", "in", "night", "es", "router", "z"]
    let texts = (0..<40_000).map { "\($0 % 35_000)".compactMap(\.wholeNumberValue).map { parts[$0] }.joined() }
    let cached = try (texts + texts.suffix(3)).map { try tokenizer.encode($0) }
    let fresh = try texts.suffix(3).map { try Fixture.tokenizer("bytepairs").encode($0) }
    #expect(Array(cached.suffix(3)) == fresh)
  }
}
