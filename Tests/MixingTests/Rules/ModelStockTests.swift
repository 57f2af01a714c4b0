import Testing

@testable import Mixing

@Suite struct ModelStockTests {
  @Test(arguments: [(2, 0.0, 0.0), (2, 0.5, 2.0 / 3), (3, 0.5, 0.75), (2, 1.0, 1.0), (1, 0.0, 1.0), (2, -1.0, 0.0)])
  func `how far the mean goes from the start`(_ count: Int, _ cosine: Double, _ ratio: Double) {
    #expect(abs(ModelStock.ratio(cosine: cosine, count: count) - ratio) < 1e-12)
  }

  @Test func `members at right angles give the start`() throws {
    let mixed = try ModelStock().mix([.row([3, 1]), .row([1, 4])], initial: .row([1, 1]))
    #expect(mixed.values == [1, 1])
  }

  @Test(arguments: [1, 1e-5, 1e-15] as [Float]) func `equal members stay as they are, however small`(_ scale: Float)
    throws
  {
    let vector = try AdapterVector.row([scale, -2 * scale])
    let mixed = try ModelStock().mix([vector, vector, vector])
    for (one, other) in zip(mixed.values, vector.values) { #expect(abs(one - other) <= 1e-6 * abs(other)) }
  }

  @Test func `each row goes its own way`() throws {
    let layout = AdapterLayout([("weight", [2, 2], 0, true)])
    // The first rows are equal, the second at right angles.
    let mixed = try ModelStock(filterWise: true).mix([
      AdapterVector(layout, [3, 1, 1, 0]), AdapterVector(layout, [3, 1, 0, 1]),
    ])
    #expect(mixed.values == [3, 1, 0, 0])
  }
}
