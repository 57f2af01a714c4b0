import Formats

/// What is put around and between the texts.
enum PostProcessor: Equatable, Sendable {
  case template(single: [TemplatePiece], pair: [TemplatePiece])
  /// Takes white space out of the offsets, as far as a token has it at its ends.
  case trimOffsets(addsPrefixSpace: Bool)
  case none
  case sequence([PostProcessor])
  /// All types 0, whatever the template says.
  case roberta(single: [TemplatePiece], pair: [TemplatePiece], trimsOffsets: Bool, addsPrefixSpace: Bool)

  enum TemplatePiece: Equatable, Sendable {
    case special([Int32], type: Int32)
    /// The first text, 0, or the second, 1.
    case sequence(Int, type: Int32)
  }

  /// The trimming of offsets and the template, in the order in which they are carried out.
  var steps: [PostProcessor] {
    switch self {
    case .sequence(let parts): parts.flatMap(\.steps)
    case .roberta(let single, let pair, let trimsOffsets, let addsPrefixSpace):
      (trimsOffsets ? [.trimOffsets(addsPrefixSpace: addsPrefixSpace)] : []) + [.template(single: single, pair: pair)]
    case .none: []
    case .template, .trimOffsets: [self]
    }
  }
}

extension PostProcessor {
  init(_ fields: FieldReader, _ vocabulary: Vocabulary) throws {
    switch try fields.string("type") {
    case "TemplateProcessing": self = try Self.template(fields, vocabulary)
    case "BertProcessing":
      let (cls, sep) = try Self.bounds(fields, vocabulary)
      self = .template(
        single: [.special([cls], type: 0), .sequence(0, type: 0), .special([sep], type: 0)],
        pair: [
          .special([cls], type: 0), .sequence(0, type: 0), .special([sep], type: 0), .sequence(1, type: 1),
          .special([sep], type: 1),
        ])
    case "RobertaProcessing":
      let (cls, sep) = try Self.bounds(fields, vocabulary)
      let single: [TemplatePiece] = [.special([cls], type: 0), .sequence(0, type: 0), .special([sep], type: 0)]
      self = .roberta(
        single: single,
        pair: single + [.special([sep], type: 0), .sequence(1, type: 0), .special([sep], type: 0)],
        trimsOffsets: try fields.bool("trim_offsets", or: true),
        addsPrefixSpace: try fields.bool("add_prefix_space", or: true))
    case "ByteLevel":
      let addsPrefixSpace = try fields.bool("add_prefix_space", or: true)
      self = try fields.bool("trim_offsets", or: true) ? .trimOffsets(addsPrefixSpace: addsPrefixSpace) : .none
      _ = try fields.optionalBool("use_regex")
    case "Sequence":
      self = .sequence(try fields.objects("processors").map { try PostProcessor($0, vocabulary) })
    case let type:
      throw fields.unsupported(
        type, at: "type",
        supported: ["TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel", "Sequence"])
    }
    try fields.finish()
  }

  /// `["[CLS]", 101]` and `["[SEP]", 102]`.
  private static func bounds(_ fields: FieldReader, _ vocabulary: Vocabulary) throws -> (cls: Int32, sep: Int32) {
    func id(_ key: String) throws -> Int32 {
      let value = try fields.required(key)
      guard value.array?.count == 2, let token = value[0]?.string, let id = value[1]?.integer else {
        throw fields.unexpected(value, "a token and its id", at: key)
      }
      return try check(token, id, fields, key, vocabulary)
    }
    return (try id("cls"), try id("sep"))
  }

  private static func check(
    _ token: String, _ id: Int, _ fields: FieldReader, _ key: String, _ vocabulary: Vocabulary
  ) throws -> Int32 {
    guard let known = vocabulary.id(of: token), Int(known) == id else {
      throw TokenizerError.unknownToken("\(token)' with the id '\(id)", field: fields.place(of: key), file: fields.file)
    }
    return known
  }

  private static func template(_ fields: FieldReader, _ vocabulary: Vocabulary) throws -> PostProcessor {
    var special: [(name: String, ids: [Int32])] = []
    let tokens = try fields.object("special_tokens")
    for name in try fields.required("special_tokens").object?.keys ?? [] {
      let token = try tokens.object(name)
      let ids = try token.array("ids")
      let contents = try token.array("tokens")
      guard try token.string("id").scalarValues == name.scalarValues, ids.count == contents.count else {
        throw fields.unexpected(
          .string(name), "the same id as the key, and as many ids as tokens", at: "special_tokens")
      }
      try token.finish()
      special.append(
        (
          name,
          try zip(ids, contents).map { id, content in
            guard let id = id.integer, let content = content.string else {
              throw fields.unexpected(.string(name), "tokens and their ids", at: "special_tokens")
            }
            return try check(content, id, fields, "special_tokens", vocabulary)
          }
        ))
    }
    func pieces(_ key: String, sequences: Int) throws -> [TemplatePiece] {
      var used: [Int] = []
      let pieces = try fields.objects(key).map { piece -> TemplatePiece in
        if let sequence = try piece.optionalObject("Sequence") {
          let name = try sequence.string("id")
          guard let index = ["A", "B"].firstIndex(of: name), index < sequences, !used.contains(index) else {
            throw sequence.unsupported(name, at: "id", supported: sequences == 1 ? ["A, once"] : ["A and B, each once"])
          }
          used.append(index)
          let type = try sequence.integer("type_id")
          try sequence.finish()
          try piece.finish()
          return .sequence(index, type: Int32(type))
        }
        let token = try piece.object("SpecialToken")
        let name = try token.string("id")
        guard let known = special.first(where: { $0.name.scalarValues == name.scalarValues }) else {
          throw TokenizerError.unknownToken(name, field: token.place(of: "id"), file: fields.file)
        }
        let type = try token.integer("type_id")
        try token.finish()
        try piece.finish()
        return .special(known.ids, type: Int32(type))
      }
      guard used.count == sequences else {
        throw TokenizerError.missing(
          field: "'Sequence' \(used.contains(0) ? "B" : "A") in \(fields.place(of: key))", file: fields.file)
      }
      return pieces
    }
    return .template(single: try pieces("single", sequences: 1), pair: try pieces("pair", sequences: 2))
  }
}
