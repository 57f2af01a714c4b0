import Testing

@testable import Mixing

@Suite struct SCETests {
  /// Energies 1/5 and 4/5 where all agree, at any scale.
  @Test(arguments: [1, 1e-5] as [Float]) func `shares follow the energies of small changes too`(_ scale: Float) throws {
    let mixed = try SCE().mix([.row([scale, scale]), .row([2 * scale, 2 * scale])])
    for value in mixed.values { #expect(abs(value - 1.8 * scale) < 1e-6 * scale) }
  }

  @Test func `the weak member's numbers are whole where it stands alone`() throws {
    // Of the second number the elected sign is that of the weak member; its share is 10⁻⁸ of all.
    let mixed = try SCE().mix([.row([1e4, 0]), .row([0, 1])])
    #expect(mixed.values == [1e4, 1])
  }

  @Test func `members that are all zero give zero`() throws {
    #expect(try SCE().mix([.row([0, 0]), .row([0, 0])]).values == [0, 0])
  }

  @Test func `one member stays as it is, whatever is selected`() throws {
    #expect(try SCE(topK: 0.3).mix([.row([1, -2, 3])]).values == [1, -2, 3])
  }
}
