import Testing

@testable import Mixing

@Suite struct SLERPTests {
  private func mixed(_ first: [Float], _ second: [Float], t: Double = 0.5) throws -> [Float] {
    try SLERP(t: t).mix([.row(first), .row(second)]).values
  }

  @Test func `half way along the arc`() throws {
    for (one, other) in zip(try mixed([1, 0], [0, 1]), [0.70711, 0.70711] as [Float]) {
      #expect(abs(one - other) < 1e-5)
    }
    for (one, other) in zip(try mixed([2, 0], [0, 1]), [1.41421, 0.70711] as [Float]) {
      #expect(abs(one - other) < 1e-5)
    }
  }

  @Test func `in a line where the two point the same way`() throws {
    #expect(try mixed([1, 2], [3, 6], t: 0.25) == [1.5, 3])
  }

  @Test func `three members are refused`() throws {
    let vectors = try (0..<3).map { _ in try AdapterVector.row([1]) }
    #expect(throws: MixtureError.memberCount("slerp", 3, wanted: "two members")) { try SLERP().mix(vectors) }
  }
}
