import Testing

@testable import Mixing

@Suite struct GreedySoupTests {
  func vector(_ number: Float) throws -> AdapterVector {
    try AdapterVector(AdapterLayout([(name: "x", shape: [1], block: nil, isWeight: false)]), [number])
  }

  @Test func `scalars 1, 2.2 and −3 for a target of 1.5 give 1.6, as in the oracle`() throws {
    var tried: [Float] = []
    let (selection, soup) = try GreedySoup.soup([
      ("one", vector(1)), ("two", vector(2.2)), ("three", vector(-3)),
    ]) {
      tried.append($0.values[0])
      return -abs(Double($0.values[0]) - 1.5)
    }
    #expect(selection.names == ["one", "two"])
    #expect(abs(soup.values[0] - 1.6) < 1e-6)
    #expect(selection.candidates.map(\.name) == ["one", "two", "three"])
    #expect(abs(tried[4] - 0.0666667) < 1e-6 && tried.count == 5)
    guard case .noBetter(let metric, than: let best)? = selection.candidates[2].reason else {
      Issue.record("no reason")
      return
    }
    #expect(abs(metric + 1.4333333) < 1e-6 && abs(best + 0.1) < 1e-6)
  }

  @Test func `an equal metric is not enough, and equal candidates keep their order`() throws {
    let selection = try GreedySoup.choose(["a", "b", "c"]) { _ in 0.7 }
    #expect(selection.names == ["a"])
    #expect(selection.candidates.map(\.name) == ["a", "b", "c"])
  }

  @Test func `a rejected candidate leaves the mixture as it was for the next`() throws {
    var tried: [[Int]] = []
    let metrics: [[Int]: Double] = [[0]: 3, [1]: 2, [2]: 1, [0, 1]: 2.5, [0, 2]: 4]
    let selection = try GreedySoup.choose(["a", "b", "c"]) {
      tried.append($0)
      return metrics[$0] ?? -1
    }
    #expect(tried == [[0], [1], [2], [0, 1], [0, 2]] && selection.names == ["a", "c"])
    #expect(selection.weights == [0.5, 0.5])
  }

  @Test func `a metric that is not a number is refused`() {
    #expect(throws: ChoosingError.notFinite("The metric with 'b'")) {
      try GreedySoup.choose(["a", "b"]) { $0 == [1] ? .nan : 1 }
    }
  }
}
