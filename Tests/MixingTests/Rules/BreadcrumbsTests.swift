import Testing

@testable import Mixing

@Suite struct BreadcrumbsTests {
  private func kept(_ density: MemberValues, _ gamma: MemberValues) throws -> [Float] {
    let vector = try AdapterVector.row((1...10).map { Float($0) })
    return try Breadcrumbs(density: density, gamma: gamma).mix([vector]).values.filter { $0 != 0 }
  }

  @Test func `the largest and the smallest go`() throws {
    #expect(try kept(0.5, 0.1) == [5, 6, 7, 8, 9])
  }

  @Test func `no outliers are dropped where the fraction rounds to none`() throws {
    #expect(try kept(0.5, 0.001) == [6, 7, 8, 9, 10])
  }

  @Test func `fewer outliers go where the density needs them`() throws {
    #expect(try kept(0.9, 0.5) == [1, 2, 3, 4, 5, 6, 7, 8, 9])
  }
}
