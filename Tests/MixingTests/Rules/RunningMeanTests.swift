import Testing

@testable import Mixing

@Suite struct RunningMeanTests {
  @Test func `a mean that goes on is the mean of all`() throws {
    var mean = RunningMean(try AdapterVector.row([0]).layout)
    try mean.add(.row([1]))
    try mean.add(.row([2.2]))
    #expect(try mean.mean.values == [1.6])
    try mean.add(.row([-3]))
    #expect(abs(try mean.mean.values[0] - 0.0666667) < 1e-6)
    try mean.remove(.row([-3]))
    #expect(try mean.mean.values == [1.6])
  }

  @Test func `there is no mean of nothing`() throws {
    var mean = RunningMean(try AdapterVector.row([0]).layout)
    #expect(throws: MixtureError.empty) { _ = try mean.mean }
    #expect(throws: MixtureError.empty) { try mean.remove(.row([1])) }
    #expect(throws: MixingError.self) { try mean.add(.row([1, 2])) }
  }
}
