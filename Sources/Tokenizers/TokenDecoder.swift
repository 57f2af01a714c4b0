import Formats
import Foundation

/// How tokens become text again.
enum TokenDecoder: Equatable, Sendable {
  case wordPiece(prefix: String, cleansUp: Bool)
  case byteLevel
  /// Where the file names none: the tokens, with spaces between.
  case spaces

  func decode(_ tokens: [String]) -> String {
    switch self {
    case .wordPiece(let prefix, let cleansUp):
      return tokens.enumerated().map { index, token in
        var text = token
        if index > 0 {
          let prefixLength = prefix.unicodeScalars.count
          let continues = token.unicodeScalars.starts(with: prefix.unicodeScalars)
          text = continues ? String(token.unicodeScalars.dropFirst(prefixLength)) : " " + token
        }
        return cleansUp ? Self.cleanUp(text) : text
      }.joined()
    case .byteLevel:
      var bytes: [UInt8] = []
      for token in tokens {
        let spelt = token.unicodeScalars.compactMap(ByteAlphabet.byte)
        // An added token need not be spelt in the alphabet.
        bytes += spelt.count == token.unicodeScalars.count ? spelt : Array(token.utf8)
      }
      return String(decoding: bytes, as: UTF8.self)
    case .spaces:
      return tokens.joined(separator: " ")
    }
  }

  /// The spaces that BERT's tokenizer leaves around punctuation and contractions, token by token.
  private static func cleanUp(_ text: String) -> String {
    // Most tokens have nothing that could be replaced: a space, and one of these or another space behind it.
    guard text.utf8.dropFirst().contains(where: { " .?!,'".utf8.contains($0) }) else { return text }
    let replacements = [
      (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
      (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ]
    return replacements.reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1, options: .literal) }
  }
}

extension TokenDecoder {
  init(_ fields: FieldReader) throws {
    switch try fields.string("type") {
    case "WordPiece":
      self = .wordPiece(
        prefix: try fields.optionalString("prefix") ?? "##", cleansUp: try fields.bool("cleanup", or: true))
    case "ByteLevel":
      for key in ["add_prefix_space", "trim_offsets", "use_regex"] { _ = try fields.optionalBool(key) }
      self = .byteLevel
    case let type: throw fields.unsupported(type, at: "type", supported: ["WordPiece", "ByteLevel"])
    }
    try fields.finish()
  }
}
