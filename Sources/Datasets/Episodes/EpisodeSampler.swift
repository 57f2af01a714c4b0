import Foundation

/// Draws few-shot episodes from data sets: each one a function of the seed and its number alone.
///
/// A data set is chosen uniformly; then
/// 1. the classes: from a group of `ClassHierarchy.groups` chosen uniformly, or from all, `K` classes without
///    replacement with `K` uniform from the fewest ways to the most that there are; or all the classes that a node of
///    `.nodes` spans, at random where they are more than the most ways;
/// 2. the queries of each class, `q = min(10, ⌊n_c / 2⌋)` for the smallest class;
/// 3. the size of the support set, `min(500, Σ_c ⌊β min(100, n_c − q) + 1⌋)` with one `β` uniform in 0 ..< 1;
/// 4. the shots of each class, `k_c = min(⌊p_c (size − K)⌋ + 1, n_c − q)`, with `p_c` of sum 1 in proportion to
///    `n_c e^U(ln ½, ln 2)`.
///
/// Triantafillou et al. 2020, "Meta-Dataset", arXiv:1903.03096, section 3.2. With `EpisodeSettings.fixed` ways, shots
/// and queries are given, and a hierarchy decides only which classes stand together.
public struct EpisodeSampler: Sendable {
  /// A class that no episode has, because it has too few examples or stands in no group of the right size.
  public struct LeftOutClass: Sendable, Hashable {
    public let pool: String
    public let name: String
    public let examples: Int
  }

  public let pools: [EpisodePool]
  public let settings: EpisodeSettings
  public let seed: UInt64
  /// In the order of the pools and their classes.
  public let leftOut: [LeftOutClass]
  private let groups: [[[Int]]]

  /// - Parameter leavingOutSmallClasses: goes on without the classes that have too few examples, and lists them in
  ///   `leftOut`.
  /// - Throws: `EpisodeError` for whatever would keep an episode from being drawn.
  public init(
    _ pools: [EpisodePool], settings: EpisodeSettings, seed: UInt64, leavingOutSmallClasses: Bool = false
  ) throws(EpisodeError) {
    try settings.validate()
    guard !pools.isEmpty else { throw .noPools }
    var names: Set<String> = []
    for pool in pools where !names.insert(pool.name).inserted { throw .repeatedPool(pool.name) }
    var groups: [[[Int]]] = []
    var leftOut: [LeftOutClass] = []
    for pool in pools {
      let own = try Self.groups(of: pool, settings, leavingOutSmallClasses: leavingOutSmallClasses)
      groups.append(own)
      let drawn = Set(own.joined())
      leftOut += pool.classes.enumerated().filter { !drawn.contains($0.offset) }.map { _, left in
        LeftOutClass(pool: pool.name, name: left.name, examples: left.examples.count)
      }
    }
    self.pools = pools
    self.settings = settings
    self.seed = seed
    self.leftOut = leftOut
    self.groups = groups
  }

  public func episode(_ number: Int) -> Episode {
    var generator = Xoshiro256(seed: seed, stream: RandomStream.episodes, UInt64(truncatingIfNeeded: number))
    let place = generator.below(pools.count)
    let pool = pools[place]
    let group = groups[place][generator.below(groups[place].count)]
    let ways: Int
    switch (settings, pool.hierarchy) {
    case (.fixed(let count, _, _), _): ways = count
    case (.variable(let variable), .nodes): ways = min(group.count, variable.maximumWays)
    case (.variable(let variable), _):
      let most = min(group.count, variable.maximumWays)
      ways = variable.minimumWays + generator.below(most - variable.minimumWays + 1)
    }
    let classes = Self.draw(ways, of: group, from: &generator)
    let counts = classes.map { pool.classes[$0].examples.count }
    let (shots, queries) = Self.sizes(of: counts, settings, from: &generator)
    var support: [[Int]] = []
    var query: [[Int]] = []
    for (label, shots) in zip(classes, shots) {
      let drawn = Self.draw(shots + queries, of: pool.classes[label].examples, from: &generator)
      support.append(Array(drawn.prefix(shots)))
      query.append(Array(drawn.dropFirst(shots)))
    }
    return Episode(pool: place, classes: classes, support: support, query: query)
  }

  /// Shots of each class, and the queries of every class, where classes have these numbers of examples.
  static func sizes(
    of counts: [Int], _ settings: EpisodeSettings, from generator: inout Xoshiro256
  ) -> (shots: [Int], queries: Int) {
    switch settings {
    case .fixed(_, let shots, let queries): return (counts.map { _ in shots }, queries)
    case .variable(let variable):
      let queries = min(variable.maximumQueries, counts.map { $0 / 2 }.min() ?? 0)
      let beta = generator.uniform()
      let contributions = counts.map { count in
        Int(beta * Double(min(variable.maximumContribution, count - queries))) + 1
      }
      let size = min(variable.maximumSupport, contributions.reduce(0, +))
      let parts = counts.map { Double($0) * exp(generator.uniform(-log(2)...log(2))) }
      let whole = parts.reduce(0, +)
      let rest = Double(size - counts.count)
      let shots = zip(parts, counts).map { part, count in min(Int(part / whole * rest) + 1, count - queries) }
      return (shots, queries)
    }
  }

  /// `count` different elements in random order, in time that depends on `count` alone: the first steps of a shuffle,
  /// of which only the places that changed are kept.
  private static func draw(_ count: Int, of elements: [Int], from generator: inout Xoshiro256) -> [Int] {
    var moved: [Int: Int] = [:]
    return (0..<count).map { place in
      let other = place + generator.below(elements.count - place)
      let drawn = moved[other] ?? other
      moved[other] = moved[place] ?? place
      return elements[drawn]
    }
  }

  /// The sets of classes of which one is chosen for each episode, all large enough, of usable classes only.
  private static func groups(
    of pool: EpisodePool, _ settings: EpisodeSettings, leavingOutSmallClasses: Bool
  ) throws(EpisodeError) -> [[Int]] {
    guard !pool.classes.isEmpty else { throw .noClasses(pool: pool.name) }
    try checkExamples(of: pool)
    let needed = settings.minimumExamples
    let usable = pool.classes.indices.filter { pool.classes[$0].examples.count >= needed }
    let small = pool.classes.filter { $0.examples.count < needed }
    guard small.isEmpty || leavingOutSmallClasses else {
      throw .smallClasses(
        small.map { .init(name: $0.name, examples: $0.examples.count) }, pool: pool.name, needed: needed)
    }
    let ways = settings.minimumWays
    guard usable.count >= ways else {
      throw .tooFewClasses(pool: pool.name, classes: usable.count, leftOut: small.count, ways: ways)
    }
    let (groups, maximumSpan): ([[Int]], Int?)
    switch (pool.hierarchy, settings) {
    case (nil, _): return [usable]
    case (.groups(let sets), _): (groups, maximumSpan) = (sets, nil)
    case (.nodes(let sets), .variable(let variable)): (groups, maximumSpan) = (sets, variable.maximumSpan)
    case (.nodes(let sets), .fixed): (groups, maximumSpan) = (sets, VariableEpisodes().maximumSpan)
    }
    if let unknown = groups.joined().first(where: { !pool.classes.indices.contains($0) }) {
      throw .unknownClass(unknown, pool: pool.name, classes: pool.classes.count)
    }
    let grouped = Set(groups.joined())
    let ungrouped = pool.classes.indices.filter { !grouped.contains($0) }
    guard ungrouped.isEmpty else {
      throw .ungroupedClasses(ungrouped.map { pool.classes[$0].name }, pool: pool.name)
    }
    let allowed = Set(usable)
    // Sorted and without repetition, so that the order in which a hierarchy lists its classes changes nothing.
    let sets = groups.map { Set($0).intersection(allowed).sorted() }
    let fitting = sets.filter { $0.count >= ways && $0.count <= maximumSpan ?? .max }
    guard !fitting.isEmpty else {
      throw .noGroup(
        pool: pool.name, largest: sets.map(\.count).max() ?? 0, ways: ways, maximumSpan: maximumSpan)
    }
    return fitting
  }

  private static func checkExamples(of pool: EpisodePool) throws(EpisodeError) {
    var places: [Int: Int] = [:]
    for (label, own) in pool.classes.enumerated() {
      for example in own.examples {
        if let earlier = places.updateValue(label, forKey: example) {
          throw .repeatedExample(
            example, pool: pool.name, first: pool.classes[earlier].name, second: own.name)
        }
      }
    }
  }
}
