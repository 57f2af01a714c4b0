import Tensors
import Testing

@testable import NeuralNetworks

@Suite struct PositionEmbeddingsTests {
  /// One class place and a grid of 2 × 2, of width 1: 100, then 0, 1, 2, 3.
  private func positions(antialias: Bool = false) throws -> PositionEmbeddings {
    PositionEmbeddings(
      try Tensor([100, 0, 1, 2, 3] as [Float], shape: [1, 5, 1]), grid: 2, prefix: 1, antialias: antialias)
  }

  @Test func `at the size of training the table is given as it is`() throws {
    let positions = try positions()
    let (prefix, patches) = try positions.embeddings(rows: 2, columns: 2, table: positions.table)
    #expect(try prefix?.floats() == [100])
    #expect(try patches.floats() == [0, 1, 2, 3])
    #expect(patches.sharesStorage(with: positions.table))
  }

  @Test func `without places for the class token all belong to patches`() throws {
    let table = try Tensor([0, 1, 2, 3] as [Float], shape: [1, 4, 1])
    let positions = PositionEmbeddings(table, grid: 2, prefix: 0, antialias: false)
    let (prefix, patches) = try positions.embeddings(rows: 2, columns: 2, table: table)
    #expect(prefix == nil)
    #expect(try patches.floats() == [0, 1, 2, 3])
  }

  @Test func `another size is interpolated bicubically with a = -0·75, the class place kept`() throws {
    let positions = try positions()
    // One row of two places stretched to four: sample points -0.25, 0.25, 0.75, 1.25, clamped at the edges. The kernel
    // at 0.25, 0.75, 1.25 and 1.75 gives 0.87890625, 0.26171875, -0.10546875, -0.03515625.
    let (prefix, patches) = try positions.embeddings(rows: 2, columns: 4, table: positions.table)
    #expect(try prefix?.floats() == [100])
    let row: [Float] = [-0.10546875, 0.2265625, 0.7734375, 1.10546875]
    let expected = try Tensor(row + row.map { $0 + 2 }, shape: [1, 8, 1])
    try expectClose(patches, expected, tolerance: 1e-6)
  }

  @Test func `only an antialiased grid is filtered where it shrinks`() throws {
    let numbers: [Float] = (0..<16).map { $0 == 5 ? 1 : 0 }
    let table = try Tensor(numbers, shape: [1, 16, 1])
    func shrunk(antialias: Bool) throws -> [Float] {
      let positions = PositionEmbeddings(table, grid: 4, prefix: 0, antialias: antialias)
      return try positions.embeddings(rows: 1, columns: 1, table: table).patches.floats()
    }
    // Unfiltered, the centre 1.5 weighs the two places beside it by 0.59375 each: 0.59375².
    let plain = try shrunk(antialias: false)
    #expect(abs(plain[0] - 0.59375 * 0.59375) < 1e-6)
    // Filtered, the kernel (a = -0.5 there) is four times as wide, and all four places weigh in: 0.125 and 0.375 away.
    let weight: Float = 0.9638671875 / (2 * (0.9638671875 + 0.7275390625))
    let filtered = try shrunk(antialias: true)
    #expect(abs(filtered[0] - weight * weight) < 1e-6)
  }

  @Test func `a size is interpolated once`() throws {
    let positions = try positions()
    let first = try positions.embeddings(rows: 3, columns: 3, table: positions.table).patches
    let again = try positions.embeddings(rows: 3, columns: 3, table: positions.table).patches
    #expect(again.sharesStorage(with: first))
    #expect(!first.requiresGradient)
    let turned = try positions.embeddings(rows: 1, columns: 9, table: positions.table).patches
    #expect(!turned.sharesStorage(with: first))
  }

  @Test func `what was kept for the pretrained table is never given for another`() throws {
    let positions = try positions()
    let kept = try positions.embeddings(rows: 3, columns: 3, table: positions.table).patches
    let other = try positions.table * 2
    let doubled = try positions.embeddings(rows: 3, columns: 3, table: other).patches
    try expectClose(doubled, try kept * 2, tolerance: 1e-6)
    // Nor the other way round.
    #expect(try positions.embeddings(rows: 3, columns: 3, table: positions.table).patches.isEqual(to: kept))
  }

  @Test func `a tuned table gets its gradient through the interpolation, and is never kept`() throws {
    let positions = try positions()
    let tuned = try positions.table.clone().requiringGradient()
    let (prefix, patches) = try positions.embeddings(rows: 3, columns: 4, table: tuned)
    try #require(prefix).sum().backward()
    try patches.sum().backward()
    let gradient = try #require(try tuned.gradient()).floats()
    #expect(gradient[0] == 1)
    // The kernel's weights add up to 1 at every one of 12 places, and by symmetry each of the four takes a quarter.
    #expect(gradient.dropFirst().allSatisfy { abs($0 - 3) < 1e-5 })
    let before = try patches.detached().clone()
    try withoutGradients { try tuned.fillInPlace(7) }
    let after = try positions.embeddings(rows: 3, columns: 4, table: tuned).patches
    try expectClose(after, try .full(7, [1, 12, 1]), tolerance: 1e-5)
    #expect(try before.distance(to: after) > 1)
  }
}
