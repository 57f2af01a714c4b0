/// One few-shot task: some classes of a data set, a few labelled examples of each to learn from and others to be asked
/// about.
public struct Episode: Sendable, Hashable {
  /// Index into the sampler's pools.
  public let pool: Int
  /// Indices into the pool's classes, in the order of the task's own labels.
  public let classes: [Int]
  /// Examples to learn from, for each class; never empty.
  public let support: [[Int]]
  /// Examples to be asked about, for each class; in no support.
  public let query: [[Int]]

  public init(pool: Int, classes: [Int], support: [[Int]], query: [[Int]]) {
    self.pool = pool
    self.classes = classes
    self.support = support
    self.query = query
  }

  /// K
  public var ways: Int { classes.count }
  /// Class after class.
  public var supportExamples: [Int] { support.flatMap { $0 } }
  /// Class after class.
  public var queryExamples: [Int] { query.flatMap { $0 } }
  /// The task's label, `0 ..< ways`, of each of `supportExamples`.
  public var supportLabels: [Int] { Self.labels(support) }
  /// The task's label, `0 ..< ways`, of each of `queryExamples`.
  public var queryLabels: [Int] { Self.labels(query) }

  private static func labels(_ groups: [[Int]]) -> [Int] {
    groups.enumerated().flatMap { label, examples in examples.map { _ in label } }
  }
}
