import Tensors
import Testing

@testable import Mixing

@Suite struct MagnitudeCutTests {
  private func trimmed(_ numbers: [Float], keeping kept: Int) -> [Float] {
    var numbers = numbers
    numbers.withUnsafeMutableBufferPointer { MagnitudeCut(keeping: kept, of: $0).trim($0) }
    return numbers
  }

  @Test func `a fifth of ten numbers are two`() {
    let numbers: [Float] = [1, -5, 2, -4, 3, 0.5, 0.1, -0.2, 0.3, 6]
    #expect(MixConventions.ours.kept(0.2, of: 10) == 2)
    #expect(trimmed(numbers, keeping: 2) == [0, -5, 0, 0, 0, 0, 0, 0, 0, 6])
  }

  @Test func `of equal magnitudes the first are kept`() {
    #expect(trimmed([2, -1, 1, 3, -1, 1], keeping: 4) == [2, -1, 1, 3, 0, 0])
    #expect(trimmed([1, 1, 1], keeping: 1) == [1, 0, 0])
  }

  @Test func `one is kept at least, unless the density is zero`() {
    #expect(MixConventions.ours.kept(0.01, of: 10) == 1)
    #expect(MixConventions.ours.kept(0, of: 10) == 0)
    #expect(trimmed([1, 2], keeping: 0) == [0, 0])
    // In binary (1 − 0.9) · 10 is below 1.
    #expect(MixConventions.ours.kept(1 - 0.9, of: 10) == 1)
  }

  @Test(arguments: [1, 10, 499, 500, 999]) func `agrees with sorting`(_ kept: Int) throws {
    let numbers = try Tensor.normal([1000], from: Generator(seed: 5)).floats()
    let best = Set(numbers.indices.sorted { numbers[$0].magnitude > numbers[$1].magnitude }.prefix(kept))
    #expect(trimmed(numbers, keeping: kept) == numbers.indices.map { best.contains($0) ? numbers[$0] : 0 })
  }
}
