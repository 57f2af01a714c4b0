import Formats
import Foundation
import Testing

@testable import Tokenizers

@Suite struct TokenizerFileTests {
  private func refusal(_ parts: JSONObject, of name: String = "wordpiece") throws -> TokenizerError? {
    let file = try Fixture.replaced(name, parts)
    return #expect(throws: TokenizerError.self) { try Tokenizer(parsing: .object(file)) }
  }

  private func refusal(model settings: JSONObject, of name: String = "wordpiece") throws -> TokenizerError? {
    var model = try #require(Fixture.file(name)["model"]?.object)
    for (key, value) in settings.members { model[key] = value }
    return try refusal(["model": .object(model)], of: name)
  }

  @Test func `a part that is not known is refused by its name`() throws {
    let unknown: [(JSONObject, String)] = [
      (["normalizer": ["type": "Precompiled"]], "'normalizer.type': 'Precompiled' is not supported"),
      (["normalizer": ["type": "Sequence", "normalizers": [["type": "Prepend"]]]], "'normalizer.normalizers[0].type'"),
      (["pre_tokenizer": ["type": "Metaspace"]], "'Metaspace' is not supported"),
      (["pre_tokenizer": ["type": "Punctuation", "behavior": "Gone"]], "'pre_tokenizer.behavior': 'Gone'"),
      (["post_processor": ["type": "Other"]], "TemplateProcessing, BertProcessing"),
      (["decoder": ["type": "CTC"]], "'decoder.type': 'CTC'"),
      (["version": "2.0"], "'version': '2.0' is not supported"),
      (["model": ["type": "Unigram", "vocab": [:]]], "'Unigram' is not supported"),
    ]
    for (parts, words) in unknown {
      let error = try refusal(parts)
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
  }

  @Test func `a field that is not known is refused, with the known ones`() throws {
    let error = try refusal(["normalizer": ["type": "Strip", "strip_lef": true]])
    #expect(
      error
        == .unknownField(
          "'normalizer.strip_lef'", file: "tokenizer.json", known: ["'type'", "'strip_left'", "'strip_right'"]))
    #expect(try refusal(["tokens": []])?.description.contains("unknown field 'tokens'") == true)
    #expect(try refusal(model: ["vocabulary": [:]])?.description.contains("'model.vocabulary'") == true)
  }

  @Test func `settings of a model that would change ids are refused`() throws {
    let settings: [JSONObject] = [
      ["dropout": 0.1], ["byte_fallback": true], ["continuing_subword_prefix": "##"], ["end_of_word_suffix": "</w>"],
    ]
    for setting in settings {
      let error = try refusal(model: setting, of: "bytepairs")
      #expect(error?.description.contains("'model.\(setting.keys[0])'") == true)
      #expect(error?.description.contains("not supported") == true)
    }
  }

  @Test func `wrong types are errors that say what was found`() throws {
    let wrong: [(JSONObject, String)] = [
      (["model": 7], "model: found a number where an object"),
      (["added_tokens": [3]], "added_tokens[0]: found a number"),
      (["normalizer": ["type": "Lowercase", "x": 1]], "unknown field"), (["normalizer": ["type": 5]], "found 5"),
      (["normalizer": ["type": "BertNormalizer", "lowercase": "yes"]], "found 'yes' where true or false"),
      (["pre_tokenizer": "BertPreTokenizer"], "an object"),
      (["truncation": ["max_length": -1, "strategy": "OnlyFirst"]], "-1"),
      (["truncation": ["max_length": 1e30, "strategy": "OnlyFirst"]], "1e+30"),
      (["padding": ["pad_id": 99_999, "pad_token": "x"]], "99999 where an id below"),
    ]
    for (parts, words) in wrong {
      let error = try refusal(parts)
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
    #expect(throws: TokenizerError.self) { try Tokenizer(parsing: []) }
    #expect(throws: TokenizerError.missing(field: "'model'", file: "tokenizer.json")) { try Tokenizer(parsing: [:]) }
  }

  @Test func `ids of a vocabulary have neither gaps nor duplicates nor other values`() throws {
    func refusal(_ vocabulary: JSONValue) throws -> TokenizerError? {
      #expect(throws: TokenizerError.self) {
        try Tokenizer(parsing: ["model": ["type": "WordPiece", "vocab": vocabulary]])
      }
    }
    #expect(try refusal(["[UNK]": 0, "a": 2]) == .gap(id: 1, count: 2, file: "tokenizer.json"))
    #expect(
      try refusal(["[UNK]": 0, "a": 1, "b": 1])
        == .duplicate("the id 1", field: "'model.vocab'", file: "tokenizer.json"))
    #expect(try refusal(["[UNK]": 0, "a": -1])?.description.contains("found -1") == true)
    #expect(try refusal(["[UNK]": 0, "a": 1.5])?.description.contains("found 1.5") == true)
    #expect(try refusal(["[UNK]": 0, "a": 9_000_000_000])?.description.contains("9000000000") == true)
    #expect(try refusal(["a": 0]) == .unknownToken("[UNK]", field: "'model.unk_token'", file: "tokenizer.json"))
    #expect(try refusal([:])?.description.contains("'[UNK]'") == true)
  }

  @Test func `merges join two tokens to a third`() throws {
    let wrong: [(JSONValue, String)] = [
      (["a b c"], "'model.merges[0]'"), (["ab"], "two tokens"), ([["a", "b", "c"]], "two tokens"), ([7], "found 7"),
      (["Ġ zzz"], "the token 'zzz' is not in the vocabulary"), (["Ġ !"], "the token 'Ġ!' is not in the vocabulary"),
    ]
    for (merges, words) in wrong {
      let error = try refusal(model: ["merges": merges], of: "bytepairs")
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
    #expect(try refusal(model: ["unk_token": "<none>"], of: "bytepairs")?.description.contains("'<none>'") == true)
  }

  @Test func `merges as pairs and as lines are the same`() throws {
    var model = try #require(Fixture.file("bytepairs")["model"]?.object)
    let merges = try #require(model["merges"]?.array)
    model["merges"] = .array(merges.map { .string(($0.array?.compactMap(\.string) ?? []).joined(separator: " ")) })
    #expect(model["merges"] != .array(merges))
    let tokenizer = try Fixture.tokenizer("bytepairs", replacing: ["model": .object(model)])
    let reference = try Fixture.tokenizer("bytepairs")
    #expect(try tokenizer.encode("the harbour forgets") == reference.encode("the harbour forgets"))
    #expect(tokenizer.fingerprint == reference.fingerprint)
  }

  @Test func `templates name tokens and sequences that are there`() throws {
    let template = try #require(Fixture.file("wordpiece")["post_processor"]?.object)
    func refusal(_ key: String, _ value: JSONValue) throws -> String? {
      var changed = template
      changed[key] = value
      return try self.refusal(["post_processor": .object(changed)])?.description
    }
    let a: JSONValue = ["Sequence": ["id": "A", "type_id": 0]]
    #expect(try refusal("special_tokens", [:])?.contains("the token '[CLS]' is not in the vocabulary") == true)
    #expect(
      try refusal("special_tokens", ["[CLS]": ["id": "[CLS]", "ids": [5], "tokens": ["[CLS]"]]])?
        .contains("'[CLS]' with the id '5'") == true)
    #expect(try refusal("single", [])?.contains("'Sequence' A in 'post_processor.single'") == true)
    #expect(try refusal("single", [a, a])?.contains("A, once") == true)
    #expect(try refusal("pair", [a])?.contains("'Sequence' B") == true)
    #expect(try refusal("single", [["Other": [:]]])?.contains("SpecialToken") == true)
    let bounds: JSONValue = ["type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 4]]
    #expect(try self.refusal(["post_processor": bounds])?.description.contains("'[CLS]' with the id '4'") == true)
  }

  @Test func `added tokens have the id they have in the vocabulary, or the next one`() throws {
    let count = try Fixture.tokenizer("wordpiece").vocabularySize
    #expect(
      try refusal(["added_tokens": [["id": 9, "content": "[CLS]"]]])?.description.contains(
        "found 9 where the id 2 that '[CLS]' has already") == true)
    #expect(
      try refusal(["added_tokens": [["id": .integer(count + 1), "content": "new"]]])?.description.contains(
        "\(count), the next free id") == true)
    #expect(try refusal(["added_tokens": [["id": 0, "content": ""]]])?.description.contains("not empty") == true)
    let sep: JSONValue = ["id": 3, "content": "[SEP]"]
    #expect(
      try refusal(["added_tokens": [sep, sep]])
        == .duplicate("the token '[SEP]'", field: "'added_tokens'", file: "tokenizer.json"))
    #expect(
      try refusal(["added_tokens": [["id": .integer(count), "content": "\u{0}", "normalized": true]]])?.description
        .contains("of which normalization leaves nothing") == true)
    let added = try Fixture.tokenizer(
      "wordpiece", replacing: ["added_tokens": [["id": .integer(count), "content": "new", "normalized": true]]])
    #expect(try added.encode("a new thing").ids.contains(Int32(count)))
    #expect(added.vocabularySize == count + 1)
  }

  @Test func `a file that is cut short or damaged is an error, never a trap`() throws {
    let text = try String(contentsOf: Fixture.url("bytepairs/tokenizer.json"), encoding: .utf8)
    for length in stride(from: 0, to: text.utf8.count - 2, by: 997) {
      try Fixture.withFolder(["tokenizer.json": String(decoding: text.utf8.prefix(length), as: UTF8.self)]) { folder in
        _ = #expect(throws: JSONFileError.self) { try Tokenizer(from: folder) }
      }
    }
    // Bytes changed at random: most are refused, some read; what is read encodes.
    var state: UInt64 = 4
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    var outcomes = (read: 0, refused: 0)
    let other = try String(contentsOf: Fixture.url("wordpiece/tokenizer.json"), encoding: .utf8)
    for round in 0..<300 {
      var bytes = Array((round % 2 == 0 ? text : other).utf8)
      for _ in 0...random(3) { bytes[random(bytes.count)] = UInt8(random(0x5F) + 0x20) }
      do {
        let tokenizer = try Tokenizer(parsing: JSONValue(parsing: Data(bytes)))
        _ = try tokenizer.encode("The <mask> harbour, 中文 \u{301} 12!", "x", maximumLength: 9)
        outcomes.read += 1
      } catch is JSONError {
        outcomes.refused += 1
      } catch is TokenizerError {
        outcomes.refused += 1
      }
    }
    #expect(outcomes.read > 0 && outcomes.refused > 0)
  }
}
