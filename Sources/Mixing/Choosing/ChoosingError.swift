/// What cannot be chosen from.
public enum ChoosingError: Error, Equatable, CustomStringConvertible {
  case noCandidates
  case count(String, Int, expected: Int)
  case notFinite(String)
  case noTexts(String)
  case shape(String, [Int])
  case widths(String, Int, expected: Int)
  case twice(String)
  case outOfRange(String, Double, String)
  case noMember(Int, of: Int)
  case noMetric

  public var description: String {
    switch self {
    case .noCandidates: "There is no adapter to choose from. Name at least one."
    case .count(let what, let found, let expected): "\(found) \(what) were given for \(expected) adapters."
    case .notFinite(let what):
      "\(what) is NaN or infinite, so nothing was chosen. Look at the adapter or the texts that it comes from."
    case .noTexts(let domain): "There are no texts of '\(domain)' to compare. Give it at least one."
    case .shape(let what, let shape):
      "The embeddings of '\(what)' have shape \(shape); they must be [texts, width]."
    case .widths(let what, let found, let expected):
      """
      The embeddings of '\(what)' are \(found) wide and those before them \(expected). Make all of them with the same \
      encoder.
      """
    case .twice(let name): "Two adapters are called '\(name)'. Give each a name of its own."
    case .outOfRange(let name, let value, let range): "\(name) is \(value); it must be \(range)."
    case .noMember(let index, let count): "Adapter \(index) was asked for, and there are \(count), counted from 0."
    case .noMetric: "Stopping at a drop on validation data needs the metric on them, and none was given."
    }
  }
}
