import Reports

/// Which data sets use the same experts: a tree by agglomerative clustering of their mean mixing weights.
///
/// Every data set begins as a cluster; the two of the smallest mean distance between their members (average linkage) are joined
/// until one is left. Distances are Euclidean. Chen et al. 2024, arXiv:2403.08477, draw such a tree and do not say which linkage.
public struct TaskTree: Sendable, Hashable, Codable {
  /// The leaves, by number.
  public let names: [String]
  /// In the order of joining, so with heights that do not fall.
  public let joins: [Join]

  public struct Join: Sendable, Hashable, Codable {
    /// Clusters: `0 ..< names.count` are the leaves, `names.count + i` is what the i-th join made.
    public let first: Int
    public let second: Int
    /// The mean distance between members of the two.
    public let height: Double
  }

  /// - Parameter mixing: the mean α of each data set.
  /// - Throws: `TaskTreeError` for fewer than two data sets, or different numbers of experts.
  public init(names: [String], mixing: [[Double]]) throws(TaskTreeError) {
    guard names.count == mixing.count, names.count > 1 else { throw .tooFew(names.count) }
    guard let experts = mixing.first?.count, experts > 0, mixing.allSatisfy({ $0.count == experts }) else {
      throw .experts(mixing.map(\.count))
    }
    let distances = mixing.map { row in
      mixing.map { other in zip(row, other).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot() }
    }
    var clusters = names.indices.map { (number: $0, members: [$0]) }
    var joins: [Join] = []
    while clusters.count > 1 {
      var best = (first: 0, second: 1, height: Double.infinity)
      for first in clusters.indices {
        for second in clusters.indices where second > first {
          let pairs = clusters[first].members.flatMap { one in clusters[second].members.map { distances[one][$0] } }
          let height = pairs.reduce(0, +) / Double(pairs.count)
          if height < best.height { best = (first, second, height) }
        }
      }
      let (left, right) = (clusters[best.first], clusters[best.second])
      joins.append(Join(first: left.number, second: right.number, height: best.height))
      clusters.remove(at: best.second)
      clusters[best.first] = (names.count + joins.count - 1, left.members + right.members)
    }
    self.names = names
    self.joins = joins
  }

  /// Of the data sets of a test whose model mixes experts.
  public init(of result: MetaTestResult) throws(TaskTreeError) {
    try self.init(names: result.datasets.map(\.name), mixing: result.datasets.map(\.meanMixing))
  }

  /// The leaves as the tree stands beside them: no two branches cross.
  public var order: [Int] {
    var members = names.indices.map { [$0] }
    for join in joins { members.append(members[join.first] + members[join.second]) }
    return members.last ?? []
  }

  /// The drawing.
  public var figure: String {
    Dendrogram(
      title: "Data sets by the experts they use", leaves: names,
      joins: joins.map { .init(first: $0.first, second: $0.second, height: $0.height) },
      label: "mean Euclidean distance of mixing weights"
    ).svg
  }
}

public enum TaskTreeError: Error, Equatable, CustomStringConvertible {
  case tooFew(Int)
  case experts([Int])

  public var description: String {
    switch self {
    case .tooFew(let count): "\(count) data sets make no tree. Test on two or more."
    case .experts(let counts):
      counts.allSatisfy { $0 == 0 }
        ? "The model mixes no experts, so its data sets cannot be told apart by them. Test a model of smat or soft_merge."
        : "The data sets mix different numbers of experts: \(counts). They must come from one model."
    }
  }
}
