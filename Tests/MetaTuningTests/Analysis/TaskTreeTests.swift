import Testing

@testable import MetaTuning

@Suite struct TaskTreeTests {
  @Test func `clusters join by the mean distance of their members`() throws {
    let tree = try TaskTree(names: ["a", "b", "c", "d"], mixing: [[0], [7], [1], [5]])
    #expect(
      tree.joins == [
        .init(first: 0, second: 2, height: 1), .init(first: 1, second: 3, height: 2),
        // (7 + 5 + 6 + 4) / 4 from 0 and 1 to 7 and 5.
        .init(first: 4, second: 5, height: 5.5),
      ])
    #expect(tree.order == [0, 2, 1, 3])
    #expect(tree.figure.contains(">a</text>") && tree.figure.contains("mean Euclidean distance of mixing weights"))
  }

  @Test func `distances are Euclidean`() throws {
    let tree = try TaskTree(names: ["a", "b"], mixing: [[0, 0, 1], [0.3, 0.4, 1]])
    #expect(abs(tree.joins[0].height - 0.5) < 1e-12)
  }

  @Test func `what mixes nothing, or is alone, has no tree`() throws {
    #expect(throws: TaskTreeError.tooFew(1)) { try TaskTree(names: ["a"], mixing: [[1]]) }
    #expect(throws: TaskTreeError.experts([0, 0])) { try TaskTree(names: ["a", "b"], mixing: [[], []]) }
    #expect(TaskTreeError.experts([0, 0]).description.contains("smat or soft_merge"))
    #expect(throws: TaskTreeError.experts([1, 2])) { try TaskTree(names: ["a", "b"], mixing: [[1], [1, 2]]) }
  }
}
