import Testing

@testable import Reports

@Suite struct TaskGroupsTests {
  /// Columns of the published table: VTAB-1k, ViT-B/16 of IN-21k, top-1 %, in the order of `TaskGroups.vtab`.
  static let published: [(method: String, accuracies: [Double], groups: [Double], score: Double)] = [
    (
      "Consolidator",
      [
        74.2, 90.9, 73.9, 99.4, 91.6, 91.5, 55.5, 86.9, 95.7, 86.6, 75.9, 81.2, 68.2, 51.6, 83.5, 79.8, 52.3, 31.9,
        38.5,
      ], [82.43, 86.28, 60.88], 76.53
    ),
    (
      "Full",
      [
        68.9, 87.7, 64.3, 97.2, 86.9, 87.4, 38.8, 79.7, 95.7, 84.2, 73.9, 56.3, 58.6, 41.7, 65.5, 57.5, 46.7, 25.7,
        29.1,
      ], [75.89, 83.38, 47.64], 68.97
    ),
    (
      "LoRA",
      [
        68.1, 90.1, 69.8, 98.9, 90.8, 84.8, 54.0, 83.2, 95.6, 84.2, 73.9, 82.4, 68.7, 49.4, 80.0, 81.7, 46.1, 31.4,
        41.8,
      ], [79.50, 84.22, 60.19], 74.64
    ),
  ]

  static let names = TaskGroups.vtab.flatMap { $0.tasks.map { $0[0] } }

  @Test(arguments: published.indices) func `the score is the mean of the groups' means, as published`(row: Int) throws {
    let published = Self.published[row]
    let groups = try TaskGroups.vtab(Self.names)
    let accuracies = Dictionary(uniqueKeysWithValues: zip(groups.tasks, published.accuracies))
    #expect(groups.tasks.count == 19)
    for (mean, expected) in zip(groups.means(of: accuracies), published.groups) {
      #expect(abs(try #require(mean) - expected) < 0.0051)
    }
    #expect(abs(try #require(groups.score(of: accuracies)) - published.score) < 0.005)
  }

  @Test func `the mean over tasks is another number`() throws {
    let groups = try TaskGroups.vtab(Self.names)
    let accuracies = Dictionary(uniqueKeysWithValues: zip(groups.tasks, Self.published[0].accuracies))
    #expect(abs(try #require(groups.mean(of: accuracies)) - 74.16) < 0.005)
  }

  @Test func `without a task there is no score`() throws {
    let groups = try TaskGroups([.init("A", ["a", "b"]), .init("B", ["c"])])
    #expect(groups.means(of: ["a": 0.5, "c": 0.9]) == [nil, 0.9])
    #expect(groups.score(of: ["a": 0.5, "c": 0.9]) == nil)
    #expect(groups.mean(of: ["a": 0.5, "c": 0.9]) == nil)
    #expect(groups.score(of: ["a": 0.5, "b": 0.7, "c": 0.8, "d": 0]) == 0.7)
  }

  @Test func `other spellings of VTAB's tasks are known, and what is none of them is not`() throws {
    let groups = try TaskGroups.vtab(["svhn", "cifar100", "kitti"])
    #expect(groups.groups == [.init("Natural", ["cifar100", "svhn"]), .init("Structured", ["kitti"])])
    #expect(throws: TaskGroupsError.ungrouped("mnist")) { try TaskGroups.vtab(["svhn", "mnist"]) }
  }

  @Test func `groups that cannot be are refused`() {
    #expect(throws: TaskGroupsError.empty("A")) { try TaskGroups([.init("A", [])]) }
    #expect(throws: TaskGroupsError.group("A")) { try TaskGroups([.init("A", ["a"]), .init("A", ["b"])]) }
    #expect(throws: TaskGroupsError.task("a")) { try TaskGroups([.init("A", ["a"]), .init("B", ["a"])]) }
  }
}
