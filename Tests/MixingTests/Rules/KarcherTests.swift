import Testing

@testable import Mixing

@Suite struct KarcherTests {
  @Test func `three axes have their diagonal in the middle`() throws {
    let mixed = try Karcher().mix([.row([2, 0, 0]), .row([0, 2, 0]), .row([0, 0, 2])])
    for number in mixed.values { #expect(abs(number - 2 / Float(3).squareRoot()) < 1e-5) }
  }

  @Test func `weights pull the mean toward their member`() throws {
    let mixed = try Karcher().mix([.row([1, 0]), .row([0, 1])], weights: [2, 1])
    // A third of the way along a right angle: 30 degrees.
    #expect(abs(mixed.values[0] - 0.8660254) < 1e-4)
    #expect(abs(mixed.values[1] - 0.5) < 1e-4)
  }
}
