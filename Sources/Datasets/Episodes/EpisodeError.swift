/// Why episodes cannot be drawn.
public enum EpisodeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A class, and the examples that it has.
  public struct SmallClass: Equatable, Sendable, CustomStringConvertible {
    public let name: String
    public let examples: Int

    public init(name: String, examples: Int) {
      self.name = name
      self.examples = examples
    }

    public var description: String { "'\(name)' (\(examples))" }
  }

  case setting(String, value: Int, range: ClosedRange<Int>)
  case unknownKey(String, suggestion: String)
  case mixedKeys(fixed: String, variable: String)
  case noPools
  case repeatedPool(String)
  case noClasses(pool: String)
  case tooFewClasses(pool: String, classes: Int, leftOut: Int, ways: Int)
  case smallClasses([SmallClass], pool: String, needed: Int)
  /// No group or node of the hierarchy has enough classes, or all span too many.
  case noGroup(pool: String, largest: Int, ways: Int, maximumSpan: Int?)
  case unknownClass(Int, pool: String, classes: Int)
  case ungroupedClasses([String], pool: String)
  case repeatedExample(Int, pool: String, first: String, second: String)

  public var description: String {
    switch self {
    case .setting(let name, let value, let range):
      "An episode's \(name) cannot be \(value). Give \(range.lowerBound) to \(range.upperBound)."
    case .unknownKey(let name, let suggestion):
      """
      Episodes have no setting '\(name)'.\(suggestion) They are ways, shots and queries, or \
      \(EpisodeSettings.Keys.allCases.filter { !$0.isFixed }.map(\.rawValue).joined(separator: ", ")).
      """
    case .mixedKeys(let fixed, let variable):
      """
      '\(fixed)' is a setting of episodes of one size and '\(variable)' of those of varying size. Give ways, shots and \
      queries and nothing else, or none of the three.
      """
    case .noPools:
      "There is no data set to draw episodes from. Give at least one."
    case .repeatedPool(let name):
      "Two data sets to draw episodes from are called '\(name)'. Give them different names."
    case .noClasses(let pool):
      "Data set '\(pool)' has no class to draw episodes from. Leave it out, or choose another split."
    case .tooFewClasses(let pool, let classes, let leftOut, let ways):
      """
      Data set '\(pool)' has \(classes) \(classes == 1 ? "class" : "classes")\
      \(leftOut > 0 ? " besides \(leftOut) with too few examples" : ""), fewer than the \(ways) of an episode. Ask \
      for fewer ways, or leave the data set out.
      """
    case .smallClasses(let classes, let pool, let needed):
      """
      \(classes.count) of the classes of data set '\(pool)' have fewer than the \(needed) examples that an episode \
      takes of each: \(classes.prefix(10).map(\.description).joined(separator: ", "))\
      \(classes.count > 10 ? " and \(classes.count - 10) more" : ""). Ask for fewer shots or queries, or leave such \
      classes out.
      """
    case .noGroup(let pool, let largest, let ways, let maximumSpan):
      """
      No group of the hierarchy of data set '\(pool)' has \(ways) classes or more\
      \(maximumSpan.map { " and at most \($0)" } ?? ""); the largest has \(largest). Ask for fewer ways, or do \
      without the hierarchy.
      """
    case .unknownClass(let index, let pool, let classes):
      "The hierarchy of data set '\(pool)' names class \(index), of \(classes) classes. Its numbers start at 0."
    case .ungroupedClasses(let names, let pool):
      """
      The hierarchy of data set '\(pool)' has no place for \(quoted(names)): no episode could have them. Give them a \
      group, or leave them out of the data set.
      """
    case .repeatedExample(let example, let pool, let first, let second):
      """
      Example \(example) of data set '\(pool)' stands \
      \(first == second ? "twice in class '\(first)'" : "in classes '\(first)' and '\(second)'"). It could be learned \
      from and asked about in one episode: keep it once.
      """
    }
  }
}
