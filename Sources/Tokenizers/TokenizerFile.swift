import Formats
import Foundation

/// The contents of a tokenizer.json, the file of the `tokenizers` package (version "1.0" of its format).
struct TokenizerFile: Sendable {
  let vocabulary: Vocabulary
  let model: TokenModel
  let normalizer: Normalizer?
  let preTokenizer: PreTokenizer?
  let postProcessor: PostProcessor
  let decoder: TokenDecoder
  let addedTokens: [AddedToken]
  let truncation: (length: Int, strategy: Truncation)?
  let paddingID: Int32?
  let fingerprint: String

  /// - Throws: `TokenizerError` that names the file and the field.
  init(_ json: JSONValue, file: String) throws {
    let fields = try FieldReader(json, path: "", file: file)
    if let version = try fields.optionalString("version"), version != "1.0" {
      throw fields.unsupported(version, at: "version", supported: ["1.0"])
    }
    let model = try fields.object("model")
    var vocabulary = try Self.vocabulary(model)
    let modelCount = vocabulary.count
    var addedTokens: [AddedToken] = []
    for token in try fields.value("added_tokens") == nil ? [] : fields.objects("added_tokens") {
      let added = try Self.addedToken(token, &vocabulary)
      guard !addedTokens.contains(where: { $0.id == added.id }) else {
        throw TokenizerError.duplicate("the token '\(added.content)'", field: "'added_tokens'", file: file)
      }
      addedTokens.append(added)
    }
    self.addedTokens = addedTokens
    self.vocabulary = vocabulary
    let merges: [(String, String)]
    (self.model, merges) = try Self.model(model, vocabulary, modelCount)
    normalizer = try fields.optionalObject("normalizer").map { try Normalizer($0) }
    preTokenizer = try fields.optionalObject("pre_tokenizer").map { try PreTokenizer($0) }
    postProcessor =
      try fields.optionalObject("post_processor").map { [vocabulary] in try PostProcessor($0, vocabulary) } ?? .none
    decoder = try fields.optionalObject("decoder").map { try TokenDecoder($0) } ?? .spaces
    truncation = try fields.optionalObject("truncation").map(Self.truncation)
    paddingID = try fields.optionalObject("padding").map { try Self.padding($0, count: vocabulary.count) }
    try fields.finish()
    fingerprint = try Self.fingerprint(json, vocabulary, merges)
  }

  private static func vocabulary(_ model: FieldReader) throws -> Vocabulary {
    let value = try model.required("vocab")
    guard let object = value.object else { throw model.unexpected(value, "an object of tokens and ids", at: "vocab") }
    let entries = try object.members.map { token, id in
      guard let id = id.integer, (0...Int(Int32.max)).contains(id) else {
        throw TokenizerError.unexpected(
          found: (try? id.text()) ?? id.kind, expected: "an id from 0 to \(Int32.max)",
          field: "'model.vocab', '\(token)'", file: model.file)
      }
      return (token: token, id: id)
    }
    return try Vocabulary(entries, field: model.place(of: "vocab"), file: model.file)
  }

  /// Reads an added token, and adds it to the vocabulary where the model does not have it.
  private static func addedToken(_ fields: FieldReader, _ vocabulary: inout Vocabulary) throws -> AddedToken {
    let content = try fields.string("content")
    let id = try fields.integer("id")
    guard !content.isEmpty else {
      throw fields.unexpected(.string(content), "a token that is not empty", at: "content")
    }
    if let known = vocabulary.id(of: content) {
      guard Int(known) == id else {
        throw fields.unexpected(.integer(id), "the id \(known) that '\(content)' has already", at: "id")
      }
    } else {
      guard id == vocabulary.count else {
        throw fields.unexpected(.integer(id), "\(vocabulary.count), the next free id,", at: "id")
      }
      try vocabulary.append(content, field: fields.place(of: "content"), file: fields.file)
    }
    let isSpecial = try fields.bool("special", or: false)
    let token = AddedToken(
      content: content, id: Int32(id), isSpecial: isSpecial,
      isSingleWord: try fields.bool("single_word", or: false), stripsLeft: try fields.bool("lstrip", or: false),
      stripsRight: try fields.bool("rstrip", or: false), isNormalized: try fields.bool("normalized", or: !isSpecial))
    try fields.finish()
    return token
  }

  private static func model(
    _ fields: FieldReader, _ vocabulary: Vocabulary, _ modelCount: Int
  ) throws -> (TokenModel, merges: [(String, String)]) {
    // Files written before 2020 lack the type; what else they have tells.
    let type = try fields.optionalString("type") ?? (fields.value("merges") == nil ? "WordPiece" : "BPE")
    // The model finds only its own tokens; added ones are found before it.
    let own = try Vocabulary(
      vocabulary.tokens.prefix(modelCount).enumerated().map { ($1, $0) }, field: "'model.vocab'", file: fields.file)
    switch type {
    case "WordPiece":
      let model = try WordPiece(fields, own)
      try fields.finish()
      return (.wordPiece(model), [])
    case "BPE":
      let merges = try merges(fields)
      let model = try BytePairEncoding(fields, own, merges: merges)
      try fields.finish()
      return (.bytePairs(model), merges)
    default:
      throw fields.unsupported(type, at: "type", supported: ["WordPiece", "BPE"])
    }
  }

  /// Merges as `"a b"` or, in newer files, as `["a", "b"]`.
  private static func merges(_ fields: FieldReader) throws -> [(String, String)] {
    try fields.array("merges").enumerated().map { place, merge in
      if let pair = merge.array, pair.count == 2, let left = pair[0].string, let right = pair[1].string {
        return (left, right)
      }
      let parts = merge.string?.split(separator: " ", omittingEmptySubsequences: false) ?? []
      guard parts.count == 2 else { throw fields.unexpected(merge, "two tokens", at: "merges[\(place)]") }
      return (String(parts[0]), String(parts[1]))
    }
  }

  private static func truncation(_ fields: FieldReader) throws -> (length: Int, strategy: Truncation) {
    let name = try fields.string("strategy")
    guard let strategy = Truncation(rawValue: name) else {
      throw fields.unsupported(name, at: "strategy", supported: Truncation.allCases.map(\.rawValue))
    }
    let length = try fields.integer("max_length")
    // Neither plays a part here: a text is cut at its end, once.
    for key in ["direction", "stride"] { _ = fields.value(key) }
    try fields.finish()
    return (length, strategy)
  }

  private static func padding(_ fields: FieldReader, count: Int) throws -> Int32 {
    let id = try fields.integer("pad_id")
    guard id < count else { throw fields.unexpected(.integer(id), "an id below \(count)", at: "pad_id") }
    _ = try fields.string("pad_token")
    // Batches are padded by who makes them, as long as they need it.
    for key in ["strategy", "direction", "pad_to_multiple_of", "pad_type_id"] { _ = fields.value(key) }
    try fields.finish()
    return Int32(id)
  }

  /// Of everything that decides about ids: not of truncation, padding and decoder.
  private static func fingerprint(
    _ json: JSONValue, _ vocabulary: Vocabulary, _ merges: [(String, String)]
  ) throws -> String {
    var settings = JSONObject()
    for key in ["added_tokens", "normalizer", "pre_tokenizer", "post_processor"] { settings[key] = json[key] }
    for (key, value) in json["model"]?.object?.members ?? [] where key != "vocab" && key != "merges" {
      settings["model." + key] = value
    }
    var data = try JSONValue.object(settings).data(JSONFormat(.compact, sortsKeys: true))
    for text in vocabulary.tokens + merges.flatMap({ [$0.0, $0.1] }) {
      withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { data.append(contentsOf: $0) }
      data.append(contentsOf: text.utf8)
    }
    return FileDigest.sha256(of: data)
  }
}
