/// Why a tokenizer cannot be read, or a text not be encoded.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
  /// The folder has none of the files that describe a tokenizer.
  case noTokenizer(folder: String)
  /// A field that must be there is not.
  case missing(field: String, file: String)
  /// A field holds something else than it should: `found` where `expected` should be.
  case unexpected(found: String, expected: String, field: String, file: String)
  /// A part of the format that is not carried out here; skipping it would give other ids.
  case unsupported(String, field: String, file: String, supported: [String])
  case unknownField(String, file: String, known: [String])
  /// Two tokens with one id, or one token with two.
  case duplicate(String, field: String, file: String)
  /// The ids of a vocabulary of `count` tokens must be 0 to `count` - 1; this one belongs to no token.
  case gap(id: Int, count: Int, file: String)
  /// A merge, a template or a setting names a token that the vocabulary lacks.
  case unknownToken(String, field: String, file: String)
  case notUTF8(file: String, line: Int)
  /// The special tokens alone are longer than the length asked for.
  case lengthTooSmall(Int, specialTokens: Int)
  /// The strategy cuts one sequence only, which is absent or has too few tokens to cut.
  case cannotTruncate(Truncation, tokens: Int, limit: Int)
  case textTooLong(bytes: Int)
  /// An id of no token, in `decode`.
  case unknownID(Int, count: Int)

  public var description: String {
    switch self {
    case .noTokenizer(let folder):
      """
      '\(folder)' has no tokenizer: neither tokenizer.json, nor vocab.txt, nor vocab.json with merges.txt. Copy the \
      files that belong to the model there.
      """
    case .missing(let field, let file):
      "'\(file)' has no \(field), which is needed. Copy the file again from the model it belongs to."
    case .unexpected(let found, let expected, let field, let file):
      "'\(file)', \(field): found \(found) where \(expected) should be. The file is damaged, or of another format."
    case .unsupported(let what, let field, let file, let supported):
      """
      '\(file)', \(field): \(what) is not supported, and without it the ids would differ. Supported here: \
      \(supported.joined(separator: ", ")).
      """
    case .unknownField(let field, let file, let known):
      "'\(file)' has the unknown field \(field). Known there: \(known.joined(separator: ", "))."
    case .duplicate(let what, let field, let file):
      "'\(file)', \(field): \(what) is there twice. Each token has one id, and each id one token."
    case .gap(let id, let count, let file):
      "'\(file)': no token has the id \(id), though there are \(count) tokens. Their ids must be 0 to \(count - 1)."
    case .unknownToken(let token, let field, let file):
      "'\(file)', \(field): the token '\(token)' is not in the vocabulary."
    case .notUTF8(let file, let line):
      "'\(file)', line \(line): the text is not valid UTF-8."
    case .lengthTooSmall(let length, let specialTokens):
      """
      A maximum length of \(length) leaves no room for the \(specialTokens) special tokens. Ask for \(specialTokens) or \
      more.
      """
    case .cannotTruncate(let truncation, let tokens, let limit):
      """
      Truncation '\(truncation.rawValue)' cannot bring the text to \(limit) tokens: the sequence that it cuts has \
      \(tokens). Use '\(Truncation.longestFirst.rawValue)', or a larger maximum length.
      """
    case .textTooLong(let bytes):
      "A text of \(bytes) bytes is too long to encode at once; cut it into texts below 2 GB."
    case .unknownID(let id, let count):
      "No token has the id \(id): the vocabulary has \(count) tokens, from 0 on."
    }
  }
}
