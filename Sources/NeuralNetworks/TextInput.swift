import Tensors

/// A batch of texts as a text encoder reads it, checked.
///
/// An index outside its table is an error in libtorch that a GPU reports late and by ending the process, so every number is
/// looked at first; a batch is a few thousand of them.
struct TextInput {
  let batch: Int
  let length: Int
  /// Rows of the table of positions, `[batch, length]`; nil where they are the same for every text and one after the other.
  let positions: Tensor?
  /// `[batch, length]`; nil where all are 0.
  let types: Tensor?
  private let ids: Tensor
  /// For each text in turn and each of its tokens, whether it is one; nil where nothing is padding.
  private let isToken: [Bool]?

  /// - Throws: `TextInputError`.
  init(_ input: Tensor, for configuration: TextTransformerConfiguration) throws {
    let shape = input.shape
    guard shape.count == 3, shape[1] == 3, shape[0] > 0, shape[2] > 0, input.dtype == .int64 else {
      throw TextInputError.shape(shape, input.dtype)
    }
    let (batch, length) = (shape[0], shape[2])
    guard length <= configuration.maximumLength else {
      throw TextInputError.length(length, maximum: configuration.maximumLength)
    }
    let numbers: [Int64] = try input.to(.cpu).array()
    let types = max(configuration.types, 1)
    var (hasTypes, hasPadding, hasPaddingIDs) = (false, false, false)
    for text in 0..<batch {
      let start = text * 3 * length
      var tokens = 0
      for place in 0..<length {
        let (id, type) = (Int(numbers[start + place]), Int(numbers[start + length + place]))
        guard id >= 0, id < configuration.vocabulary else {
          throw TextInputError.token(id, text: text, place: place, vocabulary: configuration.vocabulary)
        }
        guard type >= 0, type < types else {
          throw TextInputError.type(type, text: text, place: place, types: configuration.types)
        }
        switch numbers[start + 2 * length + place] {
        case 1: tokens += 1
        case 0: hasPadding = true
        case let other: throw TextInputError.mask(Int(other), text: text, place: place)
        }
        hasTypes = hasTypes || type != 0
        hasPaddingIDs = hasPaddingIDs || id == configuration.paddingToken
      }
      guard tokens > 0 else { throw TextInputError.empty(text: text) }
    }
    self.batch = batch
    self.length = length
    ids = try input.select(1, 0)
    self.types = hasTypes ? try input.select(1, 1) : nil
    isToken =
      hasPadding
      ? (0..<batch).flatMap { text in (0..<length).map { numbers[(text * 3 + 2) * length + $0] == 1 } } : nil
    positions =
      hasPaddingIDs && configuration.family == .roberta
      ? try Self.positions(numbers, batch, length, padding: Int64(configuration.paddingToken)) : nil
  }

  /// RoBERTa's: padding stands where the padding token's number is, the other tokens are counted on from there.
  private static func positions(_ numbers: [Int64], _ batch: Int, _ length: Int, padding: Int64) throws -> Tensor {
    var positions: [Int64] = []
    positions.reserveCapacity(batch * length)
    for text in 0..<batch {
      var last = padding
      for place in 0..<length {
        let isPadding = numbers[text * 3 * length + place] == padding
        if !isPadding { last += 1 }
        positions.append(isPadding ? padding : last)
      }
    }
    return try Tensor(positions, shape: [batch, length])
  }

  func ids(on device: Device) throws -> Tensor { try ids.to(device) }

  /// What is added to the attention scores of each key, `[batch, 1, 1, tokens]`: −∞ for padding. nil where nothing is padding.
  ///
  /// - Parameters:
  ///   - tokens: how long the sequences are; what is more than the text stands behind its first `prefix` tokens.
  func keyMask(tokens: Int, prefix: Int, on device: Device) throws -> Tensor? {
    guard let isToken else { return nil }
    let more = tokens - length
    var scores: [Float] = []
    scores.reserveCapacity(batch * tokens)
    for text in 0..<batch {
      let row = isToken[text * length..<(text + 1) * length].map { $0 ? 0 : -Float.infinity }
      scores += row.prefix(prefix)
      scores += repeatElement(0, count: more)
      scores += row.dropFirst(prefix)
    }
    return try Tensor(scores, shape: [batch, 1, 1, tokens]).to(device)
  }

  /// Each token's share in the mean over its text, `[batch, 1, length]`; nil where nothing is padding.
  func shares(on device: Device) throws -> Tensor? {
    guard let isToken else { return nil }
    var shares: [Float] = []
    shares.reserveCapacity(batch * length)
    for text in 0..<batch {
      let row = isToken[text * length..<(text + 1) * length]
      let share = 1 / Float(row.count { $0 })
      shares += row.map { $0 ? share : 0 }
    }
    return try Tensor(shares, shape: [batch, 1, length]).to(device)
  }
}

extension TextTransformer {
  /// Texts of different lengths as one input, `[batch, 3, length]`, short ones filled up behind their end.
  ///
  /// - Parameters:
  ///   - ids: for each text its token ids, special tokens among them.
  ///   - types: of the same lengths; nil where all are 0.
  ///   - paddingToken: the id that fills up.
  ///   - length: of all texts; nil for that of the longest.
  /// - Throws: `TextInputError` for no texts or an empty one, and where lengths do not fit.
  public static func input(
    ids: [[Int]], types: [[Int]]? = nil, paddingToken: Int, length: Int? = nil
  ) throws -> Tensor {
    let longest = ids.map(\.count).max() ?? 0
    let length = length ?? longest
    guard longest > 0 else { throw TextInputError.shape([ids.count, 3, 0], .int64) }
    guard longest <= length else { throw TextInputError.length(longest, maximum: length) }
    if let empty = ids.firstIndex(where: \.isEmpty) { throw TextInputError.empty(text: empty) }
    if let types, types.map(\.count) != ids.map(\.count) {
      throw TextInputError.types(ids: ids.map(\.count), types: types.map(\.count))
    }
    var numbers: [Int64] = []
    numbers.reserveCapacity(ids.count * 3 * length)
    for (text, tokens) in ids.enumerated() {
      let more = length - tokens.count
      numbers += tokens.map(Int64.init)
      numbers += repeatElement(Int64(paddingToken), count: more)
      numbers += types.map { $0[text].map(Int64.init) } ?? Array(repeating: 0, count: tokens.count)
      numbers += repeatElement(0, count: more)
      numbers += repeatElement(1, count: tokens.count)
      numbers += repeatElement(0, count: more)
    }
    return try Tensor(numbers, shape: [ids.count, 3, length])
  }

  /// Texts of different lengths as one input of this network.
  public func input(_ ids: [[Int]], types: [[Int]]? = nil) throws -> Tensor {
    try Self.input(ids: ids, types: types, paddingToken: paddingToken).to(device)
  }
}

/// An input that a text encoder cannot read. Texts and places are counted from 0.
public enum TextInputError: Error, Equatable, CustomStringConvertible {
  case shape([Int], DType)
  case length(Int, maximum: Int)
  case token(Int, text: Int, place: Int, vocabulary: Int)
  case type(Int, text: Int, place: Int, types: Int)
  case mask(Int, text: Int, place: Int)
  case empty(text: Int)
  case types(ids: [Int], types: [Int])

  public var description: String {
    switch self {
    case .shape(let shape, let dtype):
      """
      A text encoder reads int64 of shape [batch, 3, length]: token ids, token types, attention mask. This is \(dtype) of \
      shape \(shape).
      """
    case .length(let length, let maximum):
      "A text of \(length) tokens is longer than \(maximum), the most that fit. Truncate it when it is made into tokens."
    case .token(let id, let text, let place, let vocabulary):
      """
      Token \(id) at place \(place) of text \(text) is not in the vocabulary, whose ids go from 0 to \(vocabulary - 1). Use \
      the tokenizer that belongs to the model.
      """
    case .type(let type, let text, let place, let types):
      types == 0
        ? "Token type \(type) at place \(place) of text \(text): this model has no token types, only 0 may stand there."
        : "Token type \(type) at place \(place) of text \(text) is none of the model's, 0 to \(types - 1)."
    case .mask(let value, let text, let place):
      "The attention mask has \(value) at place \(place) of text \(text); it is 1 for a token and 0 for padding."
    case .empty(let text): "Text \(text) has no tokens: its attention mask would be all 0."
    case .types(let ids, let types): "Texts of \(ids) tokens have \(types) token types. Give one for each token."
    }
  }
}
