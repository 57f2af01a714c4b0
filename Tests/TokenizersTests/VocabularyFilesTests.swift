import Formats
import Foundation
import Testing
import Tokenizers

@Suite struct VocabularyFilesTests {
  private let text = "Zoë's [MASK] résumé doesn't 北京\u{0} unfold…"

  private func vocabularyText() throws -> String {
    let vocabulary = try #require(Fixture.file("wordpiece")["model"]?["vocab"]?.object)
    return vocabulary.members.sorted { ($0.value.integer ?? 0) < ($1.value.integer ?? 0) }
      .map { $0.key + "\n" }.joined()
  }

  @Test func `vocab.txt alone encodes as the tokenizer.json of BERT does`() throws {
    let reference = try Fixture.tokenizer("wordpiece")
    let tokenizer = try Fixture.withFolder(["vocab.txt": vocabularyText()]) { try Tokenizer(from: $0) }
    #expect(try tokenizer.encode(text, "x") == reference.encode(text, "x"))
    #expect(tokenizer.paddingID == 0)
    #expect(tokenizer.unknownToken == "[UNK]")
    #expect(tokenizer.vocabularySize == reference.vocabularySize)
  }

  @Test func `tokenizer_config.json decides about case, accents and ideographs`() throws {
    let settings =
      #"{"do_lower_case": false, "strip_accents": true, "tokenize_chinese_chars": false, "model_max_length": 512}"#
    let reference = try Fixture.tokenizer(
      "wordpiece",
      replacing: [
        "normalizer": [
          "type": "BertNormalizer", "lowercase": false, "strip_accents": true, "handle_chinese_chars": false,
        ]
      ])
    let tokenizer = try Fixture.withFolder(["vocab.txt": vocabularyText(), "tokenizer_config.json": settings]) {
      try Tokenizer(from: $0)
    }
    #expect(try tokenizer.encode(text) == reference.encode(text))
    #expect(try tokenizer.encode(text) != Fixture.tokenizer("wordpiece").encode(text))
  }

  @Test func `vocab.json with merges.txt encodes as the tokenizer.json of RoBERTa does`() throws {
    let model = try #require(Fixture.file("bytepairs")["model"])
    var vocabulary = try #require(model["vocab"]?.object)
    vocabulary["<mask>"] = .integer(vocabulary.count)
    let merges = try #require(model["merges"]?.array).map {
      ($0.array?.compactMap(\.string) ?? []).joined(separator: " ")
    }
    let files = [
      "vocab.json": try JSONValue.object(vocabulary).text(),
      "merges.txt": "#version: 0.2\n" + merges.joined(separator: "\n") + "\n",
    ]
    let reference = try Fixture.tokenizer("bytepairs")
    let hostile = "  Zoë's <mask>  résumé\n\n doesn't 北京\u{0} unfold…  "
    try Fixture.withFolder(files) { folder in
      let tokenizer = try Tokenizer(from: folder)
      #expect(try tokenizer.encode(hostile, "x y") == reference.encode(hostile, "x y"))
      #expect(tokenizer.paddingID == 1)
      // Bytes need none, and nothing names one.
      #expect(tokenizer.unknownToken == nil)
      try Data(#"{"unk_token": "<unk>"}"#.utf8).write(to: folder.appendingPathComponent("tokenizer_config.json"))
      let named = try Tokenizer(from: folder)
      #expect(named.unknownToken == "<unk>")
      #expect(try named.encode("<unk>").ids == reference.encode("<unk>").ids)
      try Data(#"{"add_prefix_space": true}"#.utf8).write(to: folder.appendingPathComponent("tokenizer_config.json"))
      let prefixed = try Tokenizer(from: folder).encode("the")
      #expect(prefixed.ids[1] == reference.id(of: "Ġthe"))
      #expect(prefixed.offsets[1] == 0..<3)
    }
  }

  @Test func `GPT-2's files have no template and no padding`() throws {
    let files = [
      "vocab.json": #"{"a": 0, "b": 1, "ab": 2, "Ġ": 3, "<|endoftext|>": 4}"#, "merges.txt": "#version: 0.2\na b\n",
    ]
    let tokenizer = try Fixture.withFolder(files) { try Tokenizer(from: $0) }
    #expect(try tokenizer.encode("ab ba<|endoftext|>").ids == [2, 3, 1, 0, 4])
    #expect(tokenizer.paddingID == nil)
  }

  @Test func `folders and files that are no tokenizer are refused, with what is missing`() throws {
    func refusal(_ files: [String: String]) throws -> String? {
      try Fixture.withFolder(files) { folder in
        #expect(throws: TokenizerError.self) { try Tokenizer(from: folder) }?.description
      }
    }
    #expect(try refusal([:])?.contains("neither tokenizer.json, nor vocab.txt") == true)
    #expect(try refusal(["vocab.json": "{}"])?.contains("neither") == true)
    #expect(try refusal(["vocab.txt": "[UNK]\na\na\n"])?.contains("the token 'a' is there twice") == true)
    #expect(try refusal(["vocab.txt": "a\nb\n"])?.contains("'[UNK]' is not in the vocabulary") == true)
    #expect(try refusal(["vocab.txt": vocabularyText(), "added_tokens.json": "{}"])?.contains("added_tokens") == true)
    #expect(try refusal(["vocab.json": "{}", "merges.txt": ""])?.contains("'<|endoftext|>'") == true)
    let config = #"{"cls_token": 7}"#
    #expect(
      try refusal(["vocab.txt": vocabularyText(), "tokenizer_config.json": config])?.contains("'cls_token'") == true)
  }

  @Test func `a vocabulary that is not UTF-8 is refused with its line`() throws {
    try Fixture.withFolder([:]) { folder in
      let url = folder.appendingPathComponent("vocab.txt")
      try Data([0x61, 0x0A, 0xFF, 0x0A]).write(to: url)
      #expect(throws: TokenizerError.notUTF8(file: url.path, line: 2)) { try Tokenizer(from: folder) }
    }
  }
}
