import Testing

@testable import GraftTool

@Suite struct TextTableTests {
  @Test func `the first column is aligned left, the others right`() {
    let table = TextTable(header: ["Site", "in"], rows: [["qkv", "5"], ["projection", "1,234"], ["short"]])
    #expect(
      table.text == """
        Site           in
        ----------  -----
        qkv             5
        projection  1,234
        short

        """)
  }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567"), (Int.min, "-9,223,372,036,854,775,808"),
  ])
  func `counts have commas`(_ number: Int, _ expected: String) { #expect(Quantity.count(number) == expected) }

  @Test(arguments: [
    (0, "0 B"), (1_023, "1023 B"), (1_536, "1.50 KiB"), (550_502_400, "525 MiB"), (Int.max, "8388608 TiB"),
  ])
  func `bytes are in powers of 1024`(_ bytes: Int, _ expected: String) { #expect(Quantity.bytes(bytes) == expected) }

  @Test(arguments: [
    (0.25, "0.25 s"), (42, "42 s"), (100, "2 min"), (3_569, "59 min"), (3_599, "1 h 0 min"), (3_600, "1 h 0 min"),
    (7_170, "2 h 0 min"), (.nan, "?"),
  ])
  func `durations are short`(_ seconds: Double, _ expected: String) { #expect(Quantity.duration(seconds) == expected) }

  @Test(arguments: [(1.005, 1, "1.0"), (-0.04, 1, "0.0"), (-1.26, 1, "-1.3"), (12.5, 0, "13"), (0.05, 2, "0.05")])
  func `fixed numbers are rounded`(_ value: Double, _ digits: Int, _ expected: String) {
    #expect(Quantity.fixed(value, digits) == expected)
  }
}
