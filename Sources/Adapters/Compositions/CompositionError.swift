import Formats

/// Adapters that cannot be composed.
public enum CompositionError: Error, Equatable, CustomStringConvertible {
  case noMembers(String)
  case noName
  case twice(String)
  case unknownKey(String, known: [String])
  case members(expected: String, found: String)
  case weights(Int, members: Int)
  case weightSum(Double)
  case notBottleneck(String, method: String)
  case tokens(String, method: String)

  public var description: String {
    switch self {
    case .noMembers(let method):
      "\(method.lowercased()) is made of other adapters, and none is given. Name at least one in 'members'."
    case .noName: "A member has no name. Give each a name of its own."
    case .twice(let name): "Two members are called '\(name)'. Give each a name of its own."
    case .unknownKey(let key, let known):
      "A member has no '\(key)'.\(Suggestion.didYouMean(key, among: known)) It has \(known.joined(separator: ", "))."
    case .members(let expected, let found):
      "The composition is of \(expected), and the adapters given are \(found). Make both from the same list."
    case .weights(let count, let members):
      "\(count) weights are given for \(members) members. Give one for each, or none."
    case .weightSum(let sum):
      "The weights add up to \(sum), so they cannot be divided by their sum. Choose finite weights with another sum."
    case .notBottleneck(let name, let method):
      """
      '\(name)' is \(method.lowercased()), and fusion is over bottlenecks at residual branches alone. Fuse houlsby, \
      pfeiffer, parallel_adapter, adaptformer or adapter_plus, or average outputs.
      """
    case .tokens(let name, let method):
      """
      '\(name)' is \(method.lowercased()) and puts tokens of its own into the sequence: there is no output of the same \
      tokens to average with the others'. Leave it out.
      """
    }
  }
}
