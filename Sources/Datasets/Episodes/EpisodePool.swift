/// A data set that episodes are drawn from.
public struct EpisodePool: Sendable, Hashable {
  public struct Class: Sendable, Hashable {
    public let name: String
    /// Indices of its examples.
    public let examples: [Int]

    public init(name: String, examples: [Int]) {
      self.name = name
      self.examples = examples
    }
  }

  public let name: String
  public let classes: [Class]
  /// nil where any classes may stand in one task.
  public let hierarchy: ClassHierarchy?

  public init(name: String, classes: [Class], hierarchy: ClassHierarchy? = nil) {
    self.name = name
    self.classes = classes
    self.hierarchy = hierarchy
  }
}

/// Which classes may stand in one task together.
public enum ClassHierarchy: Sendable, Hashable {
  /// All classes of a task are of one group: the alphabets of Omniglot. Indices of the pool's classes.
  case groups([[Int]])
  /// All classes of a task lie below one node of a graph: WordNet's for ImageNet. For each node, the indices of the
  /// pool's classes that it spans.
  case nodes([[Int]])
}
