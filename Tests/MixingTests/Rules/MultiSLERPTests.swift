import Testing

@testable import Mixing

@Suite struct MultiSLERPTests {
  @Test func `two unit vectors meet on the sphere between them`() throws {
    let mixed = try MultiSLERP().mix([.row([1, 0]), .row([0, 1])])
    for number in mixed.values { #expect(abs(number - 0.70711) < 1e-5) }
  }

  @Test func `directions that cancel have no mean`() throws {
    let vectors = [[1, 0], [-0.5, 0.8660254], [-0.5, -0.8660254]].map { $0.map { Float($0) } }
    #expect(throws: MixtureError.balanced("weight")) {
      var rule = MultiSLERP()
      rule.epsilon = 1e-6
      _ = try rule.mix(vectors.map { try .row($0) })
    }
  }
}
