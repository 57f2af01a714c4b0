/// How JSON is written. The same value in the same format is the same bytes, always.
public struct JSONFormat: Equatable, Sendable {
  public enum Layout: Equatable, Sendable {
    /// `{"a":1,"b":2}`
    case compact
    /// `{"a": 1, "b": 2}`, as Python's `json.dumps` writes by default.
    case spaced
    /// One member or element a line, indented by so many spaces a level; `json.dumps(indent:)`.
    case indented(Int)
  }

  public var layout: Layout
  /// Keys in the order of their code points, as Python's `sort_keys`; otherwise in the order of the object.
  public var sortsKeys: Bool
  /// `\u00e9` for `é`, as Python's `ensure_ascii`.
  public var escapesNonASCII: Bool
  /// Writes `NaN`, `Infinity` and `-Infinity`, which Python reads and JSON does not have. They are refused otherwise.
  public var allowsNonFiniteNumbers: Bool

  public init(
    _ layout: Layout = .compact, sortsKeys: Bool = false, escapesNonASCII: Bool = false,
    allowsNonFiniteNumbers: Bool = false
  ) {
    self.layout = layout
    self.sortsKeys = sortsKeys
    self.escapesNonASCII = escapesNonASCII
    self.allowsNonFiniteNumbers = allowsNonFiniteNumbers
  }

  public static let compact = JSONFormat(.compact)
  /// For people and for diffs: two spaces, sorted keys.
  public static let readable = JSONFormat(.indented(2), sortsKeys: true)
  /// Byte for byte `json.dumps(value, sort_keys=True)`.
  public static let python = JSONFormat(
    .spaced, sortsKeys: true, escapesNonASCII: true, allowsNonFiniteNumbers: true)
}

/// A number that JSON cannot hold, and where it stands in the value.
public struct JSONWritingError: Error, Equatable, CustomStringConvertible {
  /// The way to the number: `losses[3].value`.
  public var path: String
  public var number: String

  public var description: String {
    """
    \(path.isEmpty ? "The value" : "'\(path)'") is \(number), which JSON cannot hold. Write null there, or \
    allow Python's spelling with `allowsNonFiniteNumbers`.
    """
  }
}
