/// Which column of a table, or which key of a JSON object, holds something.
public enum TextColumn: Sendable, Hashable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  CustomStringConvertible
{
  /// By its name in the first line, or by the key.
  case named(String)
  /// By its place in the table, counted from 1.
  case number(Int)

  public init(stringLiteral name: String) { self = .named(name) }
  public init(integerLiteral number: Int) { self = .number(number) }

  public var description: String {
    switch self {
    case .named(let name): "'\(name)'"
    case .number(let number): "column \(number)"
    }
  }
}
