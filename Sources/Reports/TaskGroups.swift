/// Groups of tasks, and the score of VTAB: the mean of the means of the groups, so that a group of many tasks weighs no more than
/// one of few.
///
/// Zhai et al. 2019, arXiv:1910.04867.
public struct TaskGroups: Sendable, Equatable {
  public struct Group: Sendable, Equatable {
    public var name: String
    /// Names of its tasks, in the order of the table.
    public var tasks: [String]

    public init(_ name: String, _ tasks: [String]) {
      self.name = name
      self.tasks = tasks
    }
  }

  public let groups: [Group]

  /// - Throws: `TaskGroupsError` for a group without tasks, and for a task or a group that is named twice.
  public init(_ groups: [Group]) throws(TaskGroupsError) {
    if let empty = groups.first(where: \.tasks.isEmpty) { throw .empty(empty.name) }
    if let name = Self.repeated(groups.map(\.name)) { throw .group(name) }
    if let task = Self.repeated(groups.flatMap(\.tasks)) { throw .task(task) }
    self.groups = groups
  }

  /// All tasks in one group.
  public init(one tasks: [String]) throws(TaskGroupsError) { try self.init([Group("All", tasks)]) }

  private static func repeated(_ names: [String]) -> String? {
    var seen: Set<String> = []
    return names.first { !seen.insert($0).inserted }
  }

  /// All tasks, group after group.
  public var tasks: [String] { groups.flatMap(\.tasks) }

  /// Each group's mean accuracy, in order; nil where one of its tasks has none.
  public func means(of accuracies: [String: Double]) -> [Double?] {
    groups.map { group in
      let known = group.tasks.compactMap { accuracies[$0] }
      return known.count == group.tasks.count ? Statistics.mean(known) : nil
    }
  }

  /// The mean of the groups' means; nil unless every task has an accuracy.
  public func score(of accuracies: [String: Double]) -> Double? {
    let means = means(of: accuracies).compactMap(\.self)
    return means.count == groups.count ? Statistics.mean(means) : nil
  }

  /// The mean over all tasks, each counting once; nil unless every task has an accuracy.
  public func mean(of accuracies: [String: Double]) -> Double? {
    let known = tasks.compactMap { accuracies[$0] }
    return known.count == tasks.count ? Statistics.mean(known) : nil
  }

  /// The groups with only the tasks of `names`, in their order here; a group without any is left out.
  ///
  /// - Throws: `TaskGroupsError.ungrouped` for a name that is in no group.
  public func selecting(_ names: [String]) throws(TaskGroupsError) -> TaskGroups {
    if let unknown = names.first(where: { !tasks.contains($0) }) { throw .ungrouped(unknown) }
    return try TaskGroups(
      groups.map { Group($0.name, $0.tasks.filter(names.contains)) }.filter { !$0.tasks.isEmpty })
  }
}

extension TaskGroups {
  /// The 19 tasks of VTAB-1k in their three groups, under the names of their folders; each has the spellings that
  /// distributions differ in.
  static let vtab: [(group: String, tasks: [[String]])] = [
    (
      "Natural",
      [
        ["cifar", "cifar100"], ["caltech101"], ["dtd"], ["oxford_flowers102", "flowers102"],
        ["oxford_iiit_pet", "oxford_pet"], ["svhn"], ["sun397"],
      ]
    ),
    ("Specialized", [["patch_camelyon"], ["eurosat"], ["resisc45"], ["diabetic_retinopathy"]]),
    (
      "Structured",
      [
        ["clevr_count"], ["clevr_dist"], ["dmlab"], ["kitti"], ["dsprites_loc"], ["dsprites_ori"], ["smallnorb_azi"],
        ["smallnorb_ele"],
      ]
    ),
  ]

  /// VTAB-1k's groups of those of its tasks that `names` has.
  ///
  /// - Throws: `TaskGroupsError.ungrouped` for a name that is none of them.
  public static func vtab(_ names: [String]) throws(TaskGroupsError) -> TaskGroups {
    let groups = vtab.map { group, tasks in
      Group(group, tasks.compactMap { spellings in spellings.first(where: names.contains) })
    }
    return try TaskGroups(groups.filter { !$0.tasks.isEmpty }).selecting(names)
  }
}

public enum TaskGroupsError: Error, Equatable, CustomStringConvertible {
  case empty(String)
  case group(String)
  case task(String)
  case ungrouped(String)

  public var description: String {
    switch self {
    case .empty(let group): "The group '\(group)' has no tasks. Name one or more, or leave it out."
    case .group(let name): "Two groups are called '\(name)'. Give each a name of its own."
    case .task(let task): "The task '\(task)' stands in the groups twice. Name it once."
    case .ungrouped(let task): "The task '\(task)' is in no group. Add it to one."
    }
  }
}
