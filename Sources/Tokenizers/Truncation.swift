/// What is cut, from its end, where a text or a pair is longer than the length asked for.
public enum Truncation: String, CaseIterable, Sendable {
  /// The longer of the two; both to half of the room where both are longer than that.
  case longestFirst = "LongestFirst"
  case onlyFirst = "OnlyFirst"
  case onlySecond = "OnlySecond"

  /// How many tokens of each text remain in `limit`, special tokens not counted.
  /// - Throws: `TokenizerError.cannotTruncate` where the sequence to cut is not there, or would be left empty.
  func lengths(of first: Int, _ second: Int?, limit: Int) throws(TokenizerError) -> (first: Int, second: Int?) {
    let excess = first + (second ?? 0) - limit
    if excess <= 0 { return (first, second) }
    if limit == 0 { return (0, second.map { _ in 0 }) }
    switch self {
    case .longestFirst:
      guard let second else { return (limit, nil) }
      let shorter = min(first, second)
      // With both above half the room, the longer one gets the odd token.
      let kept = shorter <= limit - shorter ? (shorter, limit - shorter) : (limit / 2, limit / 2 + limit % 2)
      return first > second ? (kept.1, kept.0) : kept
    case .onlyFirst:
      guard first > excess else { throw .cannotTruncate(self, tokens: first, limit: limit) }
      return (first - excess, second)
    case .onlySecond:
      guard let second, second > excess else { throw .cannotTruncate(self, tokens: second ?? 0, limit: limit) }
      return (first, second - excess)
    }
  }
}
