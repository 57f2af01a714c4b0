import Tensors
import Testing

@testable import Mixing

@Suite struct LinearAssignmentTests {
  @Test func `a table worked by hand`() {
    // 1 + 2 + 2, against 4 + 0 + 2 on the diagonal.
    #expect(LinearAssignment.solve([4, 1, 3, 2, 0, 5, 3, 2, 2], size: 3) == [1, 0, 2])
    #expect(LinearAssignment.solve([7], size: 1) == [0])
    #expect(LinearAssignment.solve([], size: 0) == [])
  }

  @Test(arguments: 1...6)
  func `no other assignment of random costs is cheaper`(_ size: Int) throws {
    func permutations(_ items: [Int]) -> [[Int]] {
      guard items.count > 1 else { return [items] }
      return items.flatMap { first in permutations(items.filter { $0 != first }).map { [first] + $0 } }
    }
    for seed in 0..<20 {
      let cost = try Tensor.normal([size, size], dtype: .float64, from: Generator(seed: UInt64(seed))).doubles()
      func total(_ columns: [Int]) -> Double {
        columns.enumerated().reduce(0) { $0 + cost[$1.offset * size + $1.element] }
      }
      let found = LinearAssignment.solve(cost, size: size)
      #expect(found.sorted() == Array(0..<size))
      #expect(abs(total(found) - (permutations(Array(0..<size)).map(total).min() ?? 0)) < 1e-12)
    }
  }

  @Test func `a hidden permutation of many is found`() throws {
    let size = 120
    let order = try Generator(seed: 3).permutation(size).integers()
    var cost = try Tensor.uniform([size * size], 0, 1, dtype: .float64, from: Generator(seed: 4)).doubles()
    for (row, column) in order.enumerated() { cost[row * size + column] -= 2 }
    #expect(LinearAssignment.solve(cost, size: size) == order)
  }
}
