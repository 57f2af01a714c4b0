import Testing

@testable import Reports

@Suite struct AxisTests {
  @Test(arguments: [
    ([0.0, 87.0], ["0", "20", "40", "60", "80", "100"]),
    ([0.12, 0.31], ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]),
    ([-3, 3], ["-4", "-2", "0", "2", "4"]),
    ([0, 12_000], ["0", "2500", "5000", "7500", "10000", "12500"]),
  ])
  func `ticks are round and enclose the values`(values: [Double], labels: [String]) {
    let axis = Axis(covering: values)
    #expect(axis.ticks.map(axis.label) == labels)
  }

  @Test func `a given range is kept, with ticks inside it`() {
    let axis = Axis(covering: [1, 2], range: 45...100)
    #expect(axis.range == 45...100)
    #expect(axis.ticks == [60, 80, 100])
    #expect(axis.fraction(45) == 0)
    #expect(axis.fraction(72.5) == 0.5)
    #expect(axis.fraction(1e9) == 1)
  }

  @Test func `no values, one value and no numbers still make an axis`() {
    #expect(Axis(covering: []).range == 0...1)
    #expect(Axis(covering: [.nan, .infinity]).range == 0...1)
    #expect(Axis(covering: [2, 2]).range == 1.8...2.2)
    #expect(Axis(covering: [0, 0], including: 0).range == 0...1)
  }
}
