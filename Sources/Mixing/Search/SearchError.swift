/// What cannot be searched.
public enum SearchError: Error, Equatable, CustomStringConvertible {
  case noWeights
  case evaluations(Int)
  case outOfRange(String, Double, String)
  case start(Int, expected: Int)
  case nothingFinite(Int)

  public var description: String {
    switch self {
    case .noWeights: "There are no adapters to find weights for. Name at least one."
    case .evaluations(let count): "\(count) evaluations were allowed; at least 1 is needed."
    case .outOfRange(let name, let value, let range): "\(name) is \(value); it must be \(range)."
    case .start(let found, let expected): "The start has \(found) numbers; \(expected) are searched."
    case .nothingFinite(let count):
      "The loss was NaN or infinite in all of \(count) evaluations. Look at the adapters and the data it is of."
    }
  }
}
