import Testing

@testable import Reports

@Suite struct DendrogramTests {
  private func drawing(_ joins: [Dendrogram.Join]) -> String {
    Dendrogram(title: "Tree", leaves: ["a", "b", "c"], joins: joins, label: "distance").svg
  }

  @Test func `a join is drawn at its height between the leaves, which stand so that no branches cross`() {
    let svg = drawing([.init(first: 0, second: 2, height: 1), .init(first: 3, second: 1, height: 2)])
    // From the leaves at x = 36.96 over 420 pixels to a height of 2: rows of 24 from y = 50, c before b.
    #expect(svg.contains("M36.96 62L246.96 62L246.96 86L36.96 86"))
    #expect(svg.contains("M246.96 74L456.96 74L456.96 110L36.96 110"))
    #expect(svg.contains(">distance</text>"))
  }

  @Test func `joins of what is not there are left out, and every leaf is shown`() {
    let svg = drawing([.init(first: 0, second: 9, height: 1), .init(first: 0, second: 1, height: .nan)])
    #expect(!svg.contains("<path"))
    for leaf in ["a", "b", "c"] { #expect(svg.contains(">\(leaf)</text>")) }
  }
}
