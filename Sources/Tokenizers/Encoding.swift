/// A text, or a pair of texts, as tokens. All lists have one entry a token.
public struct Encoding: Equatable, Sendable {
  public internal(set) var ids: [Int32] = []
  /// The segment a token belongs to, as BERT's token types: 0 or 1.
  public internal(set) var types: [Int32] = []
  /// Whether a token was added by the template, as `[CLS]` and `[SEP]` are, rather than found in the text.
  public internal(set) var specialTokensMask: [Bool] = []
  /// Where a token comes from in its own text, counted in Unicode scalars; `0..<0` for what the template added.
  public internal(set) var offsets: [Range<Int>] = []
  /// The tokens of the first text and, for a pair, of the second, without the special ones between and around.
  public internal(set) var sequenceRanges: [Range<Int>] = []

  public var count: Int { ids.count }

  /// 0 or 1 for a token of the first or second text, nil for a special token.
  public func sequence(of index: Int) -> Int? { sequenceRanges.firstIndex { $0.contains(index) } }
}
