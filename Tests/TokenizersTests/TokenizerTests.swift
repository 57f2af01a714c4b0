import Formats
import Foundation
import Testing
import Tokenizers

@Suite struct TokenizerTests {
  /// Hostile texts and sentences, by two tokenizers and variants of their settings.
  @Test func `ids, offsets and decoded texts are those of the tokenizers package`() throws {
    for reference in try Fixture.references("encodings") {
      let parts = try #require(reference["replaced"]?.object)
      let base = try #require(reference["base"]?.string)
      let tokenizer = try Fixture.tokenizer(base, replacing: parts)
      for expected in try #require(reference["cases"]?.array) {
        let text = try #require(expected["text"]?.string)
        let comment: Comment = "\(base) with \(parts.keys), text \(text.debugDescription)"
        let encoding = try tokenizer.encode(text)
        #expect(encoding.ids.map(Int.init) == expected["ids"]?.integers, comment)
        #expect(bounds(encoding) == expected["offsets"]?.integers, comment)
        let decoded = try tokenizer.decode(encoding.ids)
        #expect(decoded.utf8.elementsEqual(expected["decoded"]?.string?.utf8 ?? "-".utf8), comment)
      }
    }
  }

  @Test func `pairs have the package's types, masks and sequences, and are cut where it cuts them`() throws {
    var cut = 0
    for reference in try Fixture.references("encodings") {
      let tokenizer = try Fixture.tokenizer(
        #require(reference["base"]?.string), replacing: #require(reference["replaced"]?.object))
      for expected in try #require(reference["pairs"]?.array) {
        let (first, second) = (try #require(expected["text"]?.string), try #require(expected["second"]?.string))
        let truncation = try #require(Truncation(rawValue: expected["strategy"]?.string ?? ""))
        let length = try #require(expected["length"]?.integer)
        let comment: Comment = "'\(first)' and '\(second)' to \(length), \(truncation)"
        guard expected["ids"] != nil else {
          cut += 1
          #expect(throws: TokenizerError.self, comment) {
            try tokenizer.encode(first, second, maximumLength: length, truncation: truncation)
          }
          continue
        }
        let encoding = try tokenizer.encode(first, second, maximumLength: length, truncation: truncation)
        #expect(encoding.ids.map(Int.init) == expected["ids"]?.integers, comment)
        #expect(bounds(encoding) == expected["offsets"]?.integers, comment)
        #expect(encoding.types.map(Int.init) == expected["types"]?.integers, comment)
        #expect(encoding.specialTokensMask.map { $0 ? 1 : 0 } == expected["special"]?.integers, comment)
        let sequences = encoding.ids.indices.map { encoding.sequence(of: $0) ?? -1 }
        #expect(sequences == expected["sequences"]?.integers, comment)
      }
    }
    #expect(cut > 0)
  }

  private func bounds(_ encoding: Encoding) -> [Int] {
    encoding.offsets.flatMap { [$0.lowerBound, $0.upperBound] }
  }

  @Test func `a text without special tokens has none, and its length counts none`() throws {
    let tokenizer = try Fixture.tokenizer("wordpiece")
    let encoding = try tokenizer.encode("the rivers", maximumLength: 3, addsSpecialTokens: false)
    #expect(encoding.ids.compactMap(tokenizer.token) == ["the", "riv", "##ers"])
    #expect(encoding.sequenceRanges == [0..<3])
    #expect(tokenizer.specialTokens(isPair: true) == 3)
  }

  @Test func `no room for the special tokens is an error that says how much they need`() throws {
    let tokenizer = try Fixture.tokenizer("wordpiece")
    #expect(try tokenizer.encode("the", maximumLength: 2).ids == [2, 3])
    let error = #expect(throws: TokenizerError.self) { try tokenizer.encode("the", maximumLength: 1) }
    #expect(error == .lengthTooSmall(1, specialTokens: 2))
    #expect(error?.description.contains("Ask for 2 or more") == true)
  }

  @Test func `tokens have ids and ids tokens, and what has none is nil or an error`() throws {
    let tokenizer = try Fixture.tokenizer("wordpiece")
    #expect(tokenizer.id(of: "[SEP]") == 3)
    #expect(tokenizer.token(of: 3) == "[SEP]")
    #expect(tokenizer.paddingID == 0)
    #expect(tokenizer.id(of: "nothing") == nil)
    #expect(tokenizer.token(of: -1) == nil)
    let size = tokenizer.vocabularySize
    #expect(tokenizer.token(of: Int32(size)) == nil)
    #expect(tokenizer.token(of: Int32(size - 1)) != nil)
    #expect(throws: TokenizerError.unknownID(size, count: size)) { try tokenizer.decode([Int32(size)]) }
    #expect(try tokenizer.decode([2, 3], skipsSpecialTokens: false) == "[CLS] [SEP]")
  }

  @Test func `letters composed and decomposed are two tokens`() throws {
    let vocabulary: JSONValue = ["[UNK]": 0, "\u{E9}": 1, "e\u{301}": 2]
    let tokenizer = try Tokenizer(parsing: ["model": ["type": "WordPiece", "vocab": vocabulary]])
    #expect(tokenizer.id(of: "\u{E9}") == 1)
    #expect(tokenizer.id(of: "e\u{301}") == 2)
    #expect(try tokenizer.encode("e\u{301}").ids == [2])
  }

  @Test func `the fingerprint changes with whatever changes ids, and only with that`() throws {
    let fingerprint = try Fixture.tokenizer("bytepairs").fingerprint
    #expect(fingerprint.count == 64)
    let same: [JSONObject] = [
      [:], ["padding": nil], ["decoder": nil],
      ["truncation": ["max_length": 9, "strategy": "OnlyFirst", "stride": 0, "direction": "Right"]],
    ]
    for parts in same { #expect(try Fixture.tokenizer("bytepairs", replacing: parts).fingerprint == fingerprint) }
    var model = try #require(Fixture.file("bytepairs")["model"]?.object)
    let merges = try #require(model["merges"]?.array)
    model["merges"] = .array([merges[1], merges[0]] + merges[2...])
    let other: [JSONObject] = [["normalizer": ["type": "NFC"]], ["post_processor": nil], ["model": .object(model)]]
    for parts in other { #expect(try Fixture.tokenizer("bytepairs", replacing: parts).fingerprint != fingerprint) }
  }

  @Test func `settings of length and padding are shown and not applied`() throws {
    let tokenizer = try Fixture.tokenizer(
      "wordpiece",
      replacing: [
        "truncation": ["max_length": 3, "strategy": "OnlyFirst", "stride": 0],
        "padding": [
          "strategy": ["Fixed": 64], "direction": "Right", "pad_to_multiple_of": nil, "pad_id": 4, "pad_type_id": 0,
          "pad_token": "[MASK]",
        ],
      ])
    #expect(tokenizer.suggestedTruncation?.length == 3)
    #expect(tokenizer.suggestedTruncation?.strategy == .onlyFirst)
    #expect(tokenizer.paddingID == 4)
    #expect(try tokenizer.encode("the the the the").count == 6)
  }

  @Test func `a word of a megabyte takes no longer than its length`() throws {
    let words = ["x", "the", "中", "é", "harbour"].map { String(repeating: $0, count: 1_000_000 / $0.utf8.count) }
    for (name, parts) in [("bytepairs", [:]), ("wordpiece", ["pre_tokenizer": nil, "normalizer": nil])]
      as [(String, JSONObject)]
    {
      let tokenizer = try Fixture.tokenizer(name, replacing: parts)
      for word in words {
        let start = ContinuousClock.now
        let encoding = try tokenizer.encode(word)
        #expect(ContinuousClock.now - start < .seconds(60))
        #expect(encoding.offsets[encoding.count - 2].upperBound == word.unicodeScalars.count)
      }
    }
  }

  @Test func `many tasks encode with one tokenizer`() async throws {
    let tokenizer = try Fixture.tokenizer("bytepairs")
    let texts = (0..<64).map { "the harbour \($0) forgets café №\($0 * 7)" }
    let alone = try texts.map { try tokenizer.encode($0) }
    let together = try await withThrowingTaskGroup(of: (Int, Encoding).self) { group in
      for (index, text) in texts.enumerated() { group.addTask { (index, try tokenizer.encode(text)) } }
      return try await group.reduce(into: [Int: Encoding]()) { $0[$1.0] = $1.1 }
    }
    #expect(texts.indices.allSatisfy { together[$0] == alone[$0] })
  }
}
