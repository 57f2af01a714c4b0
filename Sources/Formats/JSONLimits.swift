/// What a JSON text may cost to read. Every limit is checked before the memory it bounds is taken.
public struct JSONLimits: Equatable, Sendable {
  /// The size of the whole text.
  public var bytes = 100_000_000
  /// Arrays and objects inside each other.
  public var depth = 128
  /// Strings, numbers, literals, arrays and objects together. A large tokenizer holds about two million.
  public var values = 4_000_000
  /// One string, key or value, as written.
  public var stringBytes = 16_000_000
  /// Python's `json` writes `NaN`, `Infinity` and `-Infinity`, which JSON does not have.
  public var allowsNonFiniteNumbers = false

  public init() {}

  /// The characters of one number. The exact decimal form of any double that fits an `Int` or a file is shorter.
  static let numberBytes = 1_100
}
