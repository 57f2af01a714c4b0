import Formats

/// How many classes an episode has, and how many examples of each.
public enum EpisodeSettings: Sendable, Hashable {
  /// Ways and shots that vary from episode to episode.
  case variable(VariableEpisodes)
  /// The same for all: `ways` classes with `shots` examples to learn from and `queries` to be asked about.
  case fixed(ways: Int, shots: Int, queries: Int)

  /// Meta-Dataset's: 5 to 50 ways, at most 10 queries a class and 500 examples to learn from.
  public static let metaDataset = Self.variable(VariableEpisodes())

  /// The fewest classes that an episode can have.
  public var minimumWays: Int {
    switch self {
    case .variable(let variable): variable.minimumWays
    case .fixed(let ways, _, _): ways
    }
  }

  /// The fewest examples that a class must have to stand in an episode.
  public var minimumExamples: Int {
    switch self {
    case .variable: 2
    case .fixed(_, let shots, let queries): shots &+ queries
    }
  }

  /// - Throws: `EpisodeError.setting`.
  public func validate() throws(EpisodeError) {
    func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(EpisodeError) {
      guard range.contains(value) else { throw .setting(name, value: value, range: range) }
    }
    let most = VariableEpisodes.mostExamples
    switch self {
    case .fixed(let ways, let shots, let queries):
      try check("ways", ways, 2...most)
      try check("shots", shots, 1...most)
      try check("queries", queries, 1...most)
    case .variable(let variable):
      try check("minimum_ways", variable.minimumWays, 2...most)
      try check("maximum_ways", variable.maximumWays, variable.minimumWays...most)
      try check("maximum_queries", variable.maximumQueries, 1...most)
      // One example of each class at least.
      try check("maximum_support", variable.maximumSupport, variable.maximumWays...most)
      try check("maximum_contribution", variable.maximumContribution, 1...most)
      try check("maximum_span", variable.maximumSpan, variable.minimumWays...most)
    }
  }
}

/// Meta-Dataset's episodes of varying ways and shots.
///
/// Triantafillou et al. 2020, "Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples",
/// arXiv:1903.03096, section 3.2 and appendix; the defaults are those of its code.
public struct VariableEpisodes: Sendable, Hashable {
  public var minimumWays = 5
  public var maximumWays = 50
  /// Of each class; the same for all classes of an episode, and at most half of the smallest.
  public var maximumQueries = 10
  /// Of all classes together.
  public var maximumSupport = 500
  /// What one class adds at most to the size of the support set; it may get more of it.
  public var maximumContribution = 100
  /// A node of a hierarchy that spans more classes is never chosen.
  public var maximumSpan = 392

  static let mostExamples = 1 << 20

  public init() {}

  public init(
    ways: ClosedRange<Int>, maximumQueries: Int = 10, maximumSupport: Int = 500, maximumContribution: Int = 100
  ) {
    minimumWays = ways.lowerBound
    maximumWays = ways.upperBound
    self.maximumQueries = maximumQueries
    self.maximumSupport = maximumSupport
    self.maximumContribution = maximumContribution
  }
}

/// In files one level of keys: `ways`, `shots` and `queries` make it `.fixed`, the others `.variable`.
extension EpisodeSettings: Codable {
  enum Keys: String, CodingKey, CaseIterable {
    case ways, shots, queries
    case minimumWays = "minimum_ways"
    case maximumWays = "maximum_ways"
    case maximumQueries = "maximum_queries"
    case maximumSupport = "maximum_support"
    case maximumContribution = "maximum_contribution"
    case maximumSpan = "maximum_span"

    var isFixed: Bool { [.ways, .shots, .queries].contains(self) }
  }

  /// - Throws: `EpisodeError` for an unknown key, for keys of both kinds or a value out of its range; `DecodingError`
  ///   for a value of another type and for one of `ways`, `shots` and `queries` that is missing.
  public init(from decoder: any Decoder) throws {
    let names = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue).sorted()
    let keys = try names.map { name in
      guard let key = Keys(rawValue: name) else {
        throw EpisodeError.unknownKey(
          name, suggestion: Suggestion.didYouMean(name, among: Keys.allCases.map(\.rawValue)))
      }
      return key
    }
    let file = try decoder.container(keyedBy: Keys.self)
    if let fixed = keys.first(where: \.isFixed) {
      if let variable = keys.first(where: { !$0.isFixed }) {
        throw EpisodeError.mixedKeys(fixed: fixed.rawValue, variable: variable.rawValue)
      }
      self = .fixed(
        ways: try file.decode(Int.self, forKey: .ways), shots: try file.decode(Int.self, forKey: .shots),
        queries: try file.decode(Int.self, forKey: .queries))
    } else {
      var variable = VariableEpisodes()
      func read(_ key: Keys, _ value: inout Int) throws {
        value = try file.decodeIfPresent(Int.self, forKey: key) ?? value
      }
      try read(.minimumWays, &variable.minimumWays)
      try read(.maximumWays, &variable.maximumWays)
      try read(.maximumQueries, &variable.maximumQueries)
      try read(.maximumSupport, &variable.maximumSupport)
      try read(.maximumContribution, &variable.maximumContribution)
      try read(.maximumSpan, &variable.maximumSpan)
      self = .variable(variable)
    }
    try validate()
  }

  public func encode(to encoder: any Encoder) throws {
    var file = encoder.container(keyedBy: Keys.self)
    switch self {
    case .fixed(let ways, let shots, let queries):
      try file.encode(ways, forKey: .ways)
      try file.encode(shots, forKey: .shots)
      try file.encode(queries, forKey: .queries)
    case .variable(let variable):
      try file.encode(variable.minimumWays, forKey: .minimumWays)
      try file.encode(variable.maximumWays, forKey: .maximumWays)
      try file.encode(variable.maximumQueries, forKey: .maximumQueries)
      try file.encode(variable.maximumSupport, forKey: .maximumSupport)
      try file.encode(variable.maximumContribution, forKey: .maximumContribution)
      try file.encode(variable.maximumSpan, forKey: .maximumSpan)
    }
  }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
