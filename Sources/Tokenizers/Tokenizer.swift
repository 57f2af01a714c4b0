import Formats
import Foundation

/// Turns text into the ids of a model's vocabulary, and back: WordPiece (BERT, DistilBERT, MiniLM) and byte-level byte
/// pair encoding (RoBERTa, GPT-2).
///
/// Ids and offsets are those of the `tokenizers` package for the same files, for every text; what a file asks for and is
/// not known here is refused when it is read. Truncation and padding that a tokenizer.json sets are for the program that
/// wrote it: they are shown and not applied.
public struct Tokenizer: Sendable {
  /// The tokens of the model and the added ones together; their ids are 0 up to this.
  public var vocabularySize: Int { file.vocabulary.count }
  /// The token that fills up the shorter texts of a batch; nil where the model has none, as GPT-2.
  public let paddingID: Int32?
  /// What stands for a word or character that the vocabulary does not have: the model's, else what tokenizer_config.json
  /// calls `unk_token`; nil where neither names one. Written into a text it is encoded as itself.
  public let unknownToken: String?
  /// SHA-256 of everything that decides about ids. Two tokenizers with the same one encode alike.
  public var fingerprint: String { file.fingerprint }
  /// The length and strategy that tokenizer.json asks for; `encode` goes by its own arguments.
  public var suggestedTruncation: (length: Int, strategy: Truncation)? { file.truncation }

  private let file: TokenizerFile
  /// Finds the added tokens that are looked for before and after normalization.
  private let rawTokens: AddedTokenFinder
  private let normalizedTokens: AddedTokenFinder
  private let specialIDs: Set<Int32>
  /// Added tokens that normalization changes: the text that `decode` gives for them.
  private let normalizedContents: [Int32: String]
  /// The white space at either end of each token; empty where no offset is trimmed.
  private let whiteSpace: [(leading: Int32, trailing: Int32)]
  private let steps: [PostProcessor]
  private let pool = WorkspacePool()

  /// Reads tokenizer.json or, in a folder without it, vocab.txt (WordPiece), or vocab.json with merges.txt (byte-level
  /// byte pairs), these with what tokenizer_config.json says.
  /// - Throws: `TokenizerError`, `FileError` or `JSONFileError`.
  public init(from folder: URL) throws {
    func existing(_ name: String) -> URL? {
      let url = folder.appendingPathComponent(name)
      return FileManager.default.fileExists(atPath: url.path) ? url : nil
    }
    let configuration = try existing("tokenizer_config.json").map { try JSONValue(contentsOf: $0) } ?? .object([:])
    if let url = existing("tokenizer.json") {
      try self.init(
        TokenizerFile(JSONValue(contentsOf: url), file: url.path), name: url.path, configuration: configuration)
      return
    }
    if let url = existing("added_tokens.json") {
      throw TokenizerError.unsupported(
        "added_tokens.json", field: "the file", file: url.path,
        supported: ["tokenizer.json, which holds added tokens too"])
    }
    if let url = existing("vocab.txt") {
      let json = try VocabularyFiles.wordPiece(url, configuration: configuration)
      try self.init(TokenizerFile(json, file: url.path), name: url.path, configuration: configuration)
    } else if let vocabulary = existing("vocab.json"), let merges = existing("merges.txt") {
      let json = try VocabularyFiles.bytePairs(vocabulary, merges: merges, configuration: configuration)
      try self.init(TokenizerFile(json, file: vocabulary.path), name: vocabulary.path, configuration: configuration)
    } else {
      throw TokenizerError.noTokenizer(folder: folder.path)
    }
  }

  /// Reads the contents of a tokenizer.json.
  /// - Parameter name: What errors call the file.
  public init(parsing json: JSONValue, name: String = "tokenizer.json") throws {
    try self.init(TokenizerFile(json, file: name), name: name, configuration: .object([:]))
  }

  private init(_ file: TokenizerFile, name: String, configuration: JSONValue) throws {
    self.file = file
    steps = file.postProcessor.steps
    let vocabulary = file.vocabulary
    let paddingToken = try VocabularyFiles.specialToken("pad_token", configuration).flatMap { vocabulary.id(of: $0) }
    paddingID = file.paddingID ?? paddingToken ?? vocabulary.id(of: "[PAD]") ?? vocabulary.id(of: "<pad>")
    let named = try VocabularyFiles.specialToken("unk_token", configuration)
    let unknown = file.model.unknown.flatMap { vocabulary.token(of: $0) } ?? named
    unknownToken = unknown.flatMap { name in file.addedTokens.contains { $0.content == name } ? name : nil }
    // Where two tokens are one pattern, the special one counts, then the first.
    let tokens = file.addedTokens.filter(\.isSpecial) + file.addedTokens.filter { !$0.isSpecial }
    specialIDs = Set(tokens.filter(\.isSpecial).map(\.id))
    rawTokens = AddedTokenFinder(tokens.filter { !$0.isNormalized }.map { ($0.content.scalarValues, $0) })
    var scratch = NormalizerScratch()
    let patterns = try tokens.filter(\.isNormalized).map { token in
      var text: AlignedText = []
      try text.replace(with: token.content)
      file.normalizer?.normalize(&text, &scratch)
      guard !text.isEmpty else {
        throw TokenizerError.unsupported(
          "'\(token.content)', of which normalization leaves nothing,", field: "'added_tokens'", file: name,
          supported: ["tokens that stay", "\"normalized\": false"])
      }
      return (pattern: text.map(\.scalar), token: token)
    }
    normalizedTokens = AddedTokenFinder(patterns)
    normalizedContents = Dictionary(
      patterns.map { pattern, token in
        (token.id, String(String.UnicodeScalarView(pattern.compactMap(Unicode.Scalar.init))))
      }, uniquingKeysWith: { first, _ in first })
    let trims = steps.contains { if case .trimOffsets = $0 { true } else { false } }
    whiteSpace = trims ? vocabulary.tokens.map { $0.unicodeScalars.lazy.map(\.value).whiteSpace } : []
  }

  // MARK: - Vocabulary

  public func id(of token: String) -> Int32? { file.vocabulary.id(of: token) }

  public func token(of id: Int32) -> String? { file.vocabulary.token(of: id) }

  // MARK: - Encoding

  /// The tokens of a text, or of a pair of texts, with the special tokens that the model expects around them.
  ///
  /// - Parameters:
  ///   - maximumLength: In tokens, special ones included; nil for all of the text.
  ///   - truncation: What is cut where there are more.
  ///   - addsSpecialTokens: Whether `[CLS]`, `[SEP]` and the like are added.
  /// - Throws: `TokenizerError.lengthTooSmall`, `.cannotTruncate`, `.textTooLong`.
  public func encode(
    _ text: String, _ second: String? = nil, maximumLength: Int? = nil, truncation: Truncation = .longestFirst,
    addsSpecialTokens: Bool = true
  ) throws -> Encoding {
    let workspace = pool.take()
    defer { pool.put(workspace) }
    try findTokens(of: text, &workspace.tokens.0, workspace)
    if let second { try findTokens(of: second, &workspace.tokens.1, workspace) }

    let isPair = second != nil
    var lengths = (first: workspace.tokens.0.count, second: isPair ? workspace.tokens.1.count : nil)
    if let maximumLength {
      let special = addsSpecialTokens ? specialTokens(isPair: isPair) : 0
      guard maximumLength >= special else {
        throw TokenizerError.lengthTooSmall(maximumLength, specialTokens: special)
      }
      lengths = try truncation.lengths(of: lengths.first, lengths.second, limit: maximumLength - special)
    }
    return assemble(workspace, lengths, addsSpecialTokens: addsSpecialTokens)
  }

  /// - Parameter skipsSpecialTokens: Whether `[CLS]`, `[SEP]` and the like are left out.
  /// - Throws: `TokenizerError.unknownID`.
  public func decode(_ ids: [Int32], skipsSpecialTokens: Bool = true) throws -> String {
    var tokens: [String] = []
    for id in ids {
      guard let token = token(of: id) else { throw TokenizerError.unknownID(Int(id), count: vocabularySize) }
      if !skipsSpecialTokens || !specialIDs.contains(id) { tokens.append(normalizedContents[id] ?? token) }
    }
    return file.decoder.decode(tokens)
  }

  /// Special tokens that the template puts around a text or a pair.
  public func specialTokens(isPair: Bool) -> Int {
    steps.reduce(0) { count, step in
      guard case .template(let single, let pair) = step else { return count }
      return (isPair ? pair : single).reduce(count) {
        if case .special(let ids, _) = $1 { $0 + ids.count } else { $0 }
      }
    }
  }

  /// Added tokens, normalization, added tokens again, words, tokens: the order of `tokenizers`.
  private func findTokens(of text: String, _ tokens: inout TokenList, _ workspace: Workspace) throws {
    tokens.removeAll()
    try workspace.raw.replace(with: text)
    workspace.rawPieces.removeAll(keepingCapacity: true)
    rawTokens.split(workspace.raw, into: &workspace.rawPieces)

    workspace.text.removeAll(keepingCapacity: true)
    workspace.pieces.removeAll(keepingCapacity: true)
    for piece in workspace.rawPieces { normalize(piece, workspace) }
    file.preTokenizer?.split(&workspace.pieces, of: &workspace.text, &workspace.preTokenizer)

    for piece in workspace.pieces {
      if piece.isToken {
        if !whiteSpace.isEmpty {
          let space = workspace.text[piece.start..<piece.end].lazy.map(\.scalar).whiteSpace
          tokens.added.append((tokens.count, space.leading, space.trailing))
        }
        tokens.append(piece.token, piece.start, piece.end, of: workspace.text)
      } else {
        file.model.encode(piece, of: workspace.text, into: &tokens, &workspace.bytePairs)
      }
    }
  }

  /// Normalizes a piece of the raw text and appends it to the text that is split into words.
  private func normalize(_ piece: Piece, _ workspace: Workspace) {
    if piece.isToken {
      let start = workspace.text.count
      workspace.text += workspace.raw[piece.start..<piece.end]
      workspace.pieces.append(Piece(start, workspace.text.count, token: piece.token))
      return
    }
    workspace.part.removeAll(keepingCapacity: true)
    workspace.part += workspace.raw[piece.start..<piece.end]
    file.normalizer?.normalize(&workspace.part, &workspace.normalizer)
    let (start, first) = (workspace.text.count, workspace.pieces.count)
    normalizedTokens.split(workspace.part, into: &workspace.pieces)
    for index in first..<workspace.pieces.count {
      workspace.pieces[index].start += start
      workspace.pieces[index].end += start
    }
    workspace.text += workspace.part
  }

  // MARK: - Template

  private func assemble(
    _ workspace: Workspace, _ lengths: (first: Int, second: Int?), addsSpecialTokens: Bool
  ) -> Encoding {
    for step in steps {
      guard case .trimOffsets(let addsPrefixSpace) = step else { continue }
      trimOffsets(&workspace.tokens.0, lengths.first, addsPrefixSpace: addsPrefixSpace)
      if let second = lengths.second { trimOffsets(&workspace.tokens.1, second, addsPrefixSpace: addsPrefixSpace) }
    }
    let template = self.template(isPair: lengths.second != nil)
    var encoding = Encoding()
    let special = addsSpecialTokens ? specialTokens(isPair: lengths.second != nil) : 0
    encoding.reserve(lengths.first + (lengths.second ?? 0) + special)
    // In the order of the texts, whatever the order of the template.
    encoding.sequenceRanges = lengths.second == nil ? [0..<0] : [0..<0, 0..<0]
    for piece in template {
      switch piece {
      case .special(let ids, let type):
        if addsSpecialTokens { for id in ids { encoding.append(id, type: type, isSpecial: true, 0..<0) } }
      case .sequence(let index, let type):
        let start = encoding.count
        let tokens = index == 0 ? workspace.tokens.0 : workspace.tokens.1
        for place in 0..<(index == 0 ? lengths.first : lengths.second ?? 0) {
          let (first, last) = (Int(tokens.starts[place]), Int(tokens.ends[place]))
          encoding.append(tokens.ids[place], type: type, isSpecial: false, first..<max(first, last))
        }
        encoding.sequenceRanges[index] = start..<encoding.count
      }
    }
    return encoding
  }

  private func template(isPair: Bool) -> [PostProcessor.TemplatePiece] {
    for case .template(let single, let pair) in steps { return isPair ? pair : single }
    return isPair ? [.sequence(0, type: 0), .sequence(1, type: 1)] : [.sequence(0, type: 0)]
  }

  private func trimOffsets(_ tokens: inout TokenList, _ count: Int, addsPrefixSpace: Bool) {
    var added = tokens.added.makeIterator()
    var next = added.next()
    for index in 0..<count {
      var (leading, trailing) = whiteSpace[Int(tokens.ids[index])]
      if let found = next, found.index == index {
        (leading, trailing) = (found.leading, found.trailing)
        next = added.next()
      }
      // The space that was put in front of the text takes no place in it.
      if addsPrefixSpace, leading == 1, index == 0 || tokens.starts[index] == 0 { leading = 0 }
      let (start, end) = (tokens.starts[index], tokens.ends[index])
      tokens.starts[index] = max(start, min(start + leading, end))
      if end >= trailing { tokens.ends[index] = max(end - trailing, tokens.starts[index]) }
    }
  }
}

extension Encoding {
  fileprivate mutating func reserve(_ count: Int) {
    ids.reserveCapacity(count)
    types.reserveCapacity(count)
    specialTokensMask.reserveCapacity(count)
    offsets.reserveCapacity(count)
  }

  @inline(__always)
  fileprivate mutating func append(_ id: Int32, type: Int32, isSpecial: Bool, _ range: Range<Int>) {
    ids.append(id)
    types.append(type)
    specialTokensMask.append(isSpecial)
    offsets.append(range)
  }
}

extension BidirectionalCollection<UInt32> {
  /// How many scalars at either end are white space, or the space of the byte alphabet.
  fileprivate var whiteSpace: (leading: Int32, trailing: Int32) {
    func isSpace(_ scalar: UInt32) -> Bool {
      scalar == ByteAlphabet.space || ScalarClass.of(scalar).contains(.whiteSpace)
    }
    return (Int32(prefix(while: isSpace).count), Int32(reversed().prefix(while: isSpace).count))
  }
}
