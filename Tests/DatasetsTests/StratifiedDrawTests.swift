import Testing

@testable import Datasets

@Suite struct StratifiedDrawTests {
  @Test func `shares go by largest remainders`() {
    // 10 of 60: 5, 3.33…, 1.66…
    #expect(StratifiedDraw.quotas(10, of: [30, 20, 10]) == [5, 3, 2])
    // Equal remainders: the first get the rest.
    #expect(StratifiedDraw.quotas(5, of: [4, 4, 4]) == [2, 2, 1])
    #expect(StratifiedDraw.quotas(800, of: [600, 400]) == [480, 320])
  }

  @Test func `every class gets one where the total allows it`() {
    #expect(StratifiedDraw.quotas(4, of: [97, 1, 1, 1]) == [1, 1, 1, 1])
    #expect(StratifiedDraw.quotas(10, of: [997, 1, 0, 2]) == [8, 1, 0, 1])
    #expect(StratifiedDraw.quotas(2, of: [5, 5, 5]) == [1, 1, 0])
  }

  @Test(arguments: [12, 13, 1_000]) func `no class gives more than it has`(total: Int) {
    #expect(StratifiedDraw.quotas(total, of: [5, 0, 7]) == [5, 0, 7])
  }

  @Test func `nothing is drawn of nothing`() {
    #expect(StratifiedDraw.quotas(0, of: [3, 4]) == [0, 0])
    #expect(StratifiedDraw.quotas(3, of: [0, 0]) == [0, 0])
  }
}
