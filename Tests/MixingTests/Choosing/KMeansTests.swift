import Tensors
import Testing

@testable import Mixing

@Suite struct KMeansTests {
  let samples = Samples(count: 6, width: 1, values: [0, 1, 2, 10, 11, 12])

  @Test func `centres and samples settle, and ties go to the first`() {
    #expect(KMeans.labels(of: samples, from: [[0], [1]]) == [0, 0, 0, 1, 1, 1])
    #expect(KMeans.labels(of: Samples(count: 2, width: 1, values: [0, 2]), from: [[1], [1]]) == [0, 0])
  }

  @Test func `further centres are drawn far from those there are, the same for the same seed`() throws {
    var far = 0
    for seed in 0..<20 {
      let centres = try KMeans.centres([[1]], upTo: 2, of: samples, from: Generator(seed: UInt64(seed)))
      #expect(try centres == KMeans.centres([[1]], upTo: 2, of: samples, from: Generator(seed: UInt64(seed))))
      #expect(centres[0] == [1] && samples.values.contains(centres[1][0]) && centres[1] != [1])
      if centres[1][0] >= 10 { far += 1 }
    }
    // The squared distances of the far three are 302 of 304.
    #expect(far >= 19)
  }

  @Test func `more centres than different samples repeat one`() throws {
    let same = Samples(count: 3, width: 1, values: [4, 4, 4])
    #expect(try KMeans.centres([[4]], upTo: 3, of: same, from: Generator(seed: 1)) == [[4], [4], [4]])
  }
}
