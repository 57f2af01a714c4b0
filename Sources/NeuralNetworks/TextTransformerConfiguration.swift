/// The shape of a text encoder: what its weights alone do not say, and what they do.
public struct TextTransformerConfiguration: Hashable, Sendable {
  public var family: Family
  /// Rows of the table of tokens.
  public var vocabulary: Int
  /// Rows of the table of positions.
  public var positions: Int
  /// Rows of the table of token types; 0 for DistilBERT, which has none.
  public var types: Int
  public var width: Int
  public var depth: Int
  public var heads: Int
  /// Width of the MLP's middle.
  public var hidden: Int
  public var layerNormEpsilon: Double
  public var activation: Activation
  /// The token that fills short texts up; in RoBERTa the positions are counted from behind it.
  public var paddingToken: Int
  /// How the tokens become one feature vector.
  public var pooling: Pooling

  public typealias Activation = VisionTransformerConfiguration.Activation

  public enum Family: String, Sendable, CaseIterable {
    /// BERT, and MiniLM and others of its shape.
    case bert = "BERT"
    /// RoBERTa, XLM-RoBERTa and CamemBERT.
    case roberta = "RoBERTa"
    case distilBERT = "DistilBERT"
  }

  public enum Pooling: String, Sendable, CaseIterable {
    /// The first token's state after the last block.
    case classToken
    /// The mean of the states of all tokens that are no padding.
    case mean
    /// `tanh(W·c + b)` of the first token's state `c`: what BERT was pretrained to classify by.
    case pooler
  }

  /// BERT-base: what papers count parameters on.
  public static let bertBase = TextTransformerConfiguration(
    family: .bert, vocabulary: 30_522, positions: 512, types: 2, width: 768, depth: 12, heads: 12, hidden: 3072,
    layerNormEpsilon: 1e-12, activation: .gelu, paddingToken: 0, pooling: .pooler)

  /// How many tokens a text may have. RoBERTa's first positions stand for the tokens up to padding and are never used.
  public var maximumLength: Int { positions - firstPosition }

  /// The row of the table of positions for the first token.
  var firstPosition: Int { family == .roberta ? paddingToken + 1 : 0 }
}
