import Formats
import Foundation

/// Tokenizers from before tokenizer.json: a vocabulary, and what the model's kind says about everything else. They are
/// brought into the form of a tokenizer.json, as `transformers` does it.
enum VocabularyFiles {
  /// BERT: vocab.txt, a token a line, and of tokenizer_config.json the settings of its cleaning.
  static func wordPiece(_ url: URL, configuration: JSONValue) throws -> JSONValue {
    let file = url.path
    var lines = try lines(of: url)
    if lines.last == "" { lines.removeLast() }
    var vocabulary = JSONObject()
    for (id, token) in lines.enumerated() {
      guard vocabulary[token] == nil else {
        throw TokenizerError.duplicate("the token '\(token)'", field: "line \(id + 1)", file: file)
      }
      vocabulary[token] = .integer(id)
    }
    let names = try ["unk_token", "sep_token", "pad_token", "cls_token", "mask_token"].map { key in
      try specialToken(key, configuration) ?? "[\(key.dropLast(6).uppercased())]"
    }
    var added: [JSONValue] = []
    for name in names {
      guard let id = vocabulary[name] else {
        throw TokenizerError.unknownToken(name, field: "the special tokens", file: file)
      }
      added.append(addedToken(name, id: id))
    }
    let (sep, cls) = (names[1], names[3])
    func special(_ token: String, _ type: Int) -> JSONValue {
      ["SpecialToken": ["id": .string(token), "type_id": .integer(type)]]
    }
    func sequence(_ name: String, _ type: Int) -> JSONValue {
      ["Sequence": ["id": .string(name), "type_id": .integer(type)]]
    }
    var specialTokens = JSONObject()
    for name in [cls, sep] {
      specialTokens[name] = ["id": .string(name), "ids": [vocabulary[name] ?? nil], "tokens": [.string(name)]]
    }
    let single = [special(cls, 0), sequence("A", 0), special(sep, 0)]
    return [
      "added_tokens": .array(added),
      "normalizer": [
        "type": "BertNormalizer", "clean_text": true,
        "handle_chinese_chars": configuration["tokenize_chinese_chars"] ?? true,
        "strip_accents": configuration["strip_accents"] ?? nil,
        "lowercase": configuration["do_lower_case"] ?? true,
      ],
      "pre_tokenizer": ["type": "BertPreTokenizer"],
      "post_processor": [
        "type": "TemplateProcessing", "single": .array(single),
        "pair": .array(single + [sequence("B", 1), special(sep, 1)]), "special_tokens": .object(specialTokens),
      ],
      "decoder": ["type": "WordPiece", "prefix": "##", "cleanup": true],
      "model": [
        "type": "WordPiece", "unk_token": .string(names[0]), "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": .object(vocabulary),
      ],
    ]
  }

  /// GPT-2, and RoBERTa where the vocabulary has its `<s>`: vocab.json and merges.txt.
  static func bytePairs(_ vocabularyURL: URL, merges url: URL, configuration: JSONValue) throws -> JSONValue {
    let vocabulary = try JSONValue(contentsOf: vocabularyURL)
    let merges = try lines(of: url).filter { !$0.isEmpty && !$0.hasPrefix("#version") }.map(JSONValue.string)
    let prefixSpace = configuration["add_prefix_space"] ?? false
    var model: JSONObject = [
      "type": "BPE", "dropout": nil, "unk_token": nil, "fuse_unk": false, "vocab": vocabulary,
      "merges": .array(merges),
    ]
    func added(_ names: [(key: String, standard: String)]) throws -> [(name: String, id: JSONValue)] {
      try names.map { key, standard in
        let name = try specialToken(key, configuration) ?? standard
        guard let id = vocabulary[name] else {
          throw TokenizerError.unknownToken(name, field: "the special tokens", file: vocabularyURL.path)
        }
        return (name, id)
      }
    }
    var file: JSONObject = [
      "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": prefixSpace, "trim_offsets": true],
      "decoder": ["type": "ByteLevel"],
    ]
    if vocabulary["<s>"] != nil {
      let special = try added([
        ("cls_token", "<s>"), ("pad_token", "<pad>"), ("sep_token", "</s>"), ("unk_token", "<unk>"),
        ("mask_token", "<mask>"),
      ])
      file["added_tokens"] = .array(
        special.map { name, id in addedToken(name, id: id, stripsLeft: name == special[4].name) })
      file["post_processor"] = [
        "type": "RobertaProcessing", "sep": [.string(special[2].name), special[2].id],
        "cls": [.string(special[0].name), special[0].id], "trim_offsets": true, "add_prefix_space": prefixSpace,
      ]
    } else {
      let special = try added([("unk_token", "<|endoftext|>")])
      file["added_tokens"] = .array(special.map { addedToken($0.name, id: $0.id) })
      file["post_processor"] = ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false]
    }
    model["continuing_subword_prefix"] = ""
    model["end_of_word_suffix"] = ""
    file["model"] = .object(model)
    return .object(file)
  }

  /// A special token as tokenizer_config.json has it: a string, or an object with its "content".
  static func specialToken(_ key: String, _ configuration: JSONValue) throws -> String? {
    guard let value = configuration[key], !value.isNull else { return nil }
    guard let name = value.string ?? value["content"]?.string else {
      throw TokenizerError.unexpected(
        found: value.kind, expected: "a token", field: "'\(key)'", file: "tokenizer_config.json")
    }
    return name
  }

  private static func addedToken(_ content: String, id: JSONValue, stripsLeft: Bool = false) -> JSONValue {
    [
      "id": id, "content": .string(content), "single_word": false, "lstrip": .bool(stripsLeft), "rstrip": false,
      "normalized": false, "special": true,
    ]
  }

  private static func lines(of url: URL) throws -> [String] {
    let file = try MappedFile(contentsOf: url)
    return try withExtendedLifetime(file) {
      try file.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated().map {
        var line = $1
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard let text = String(validating: line, as: UTF8.self) else {
          throw TokenizerError.notUTF8(file: url.path, line: $0 + 1)
        }
        return text
      }
    }
  }
}
