import Adapters
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

@Suite struct SubspaceOverlapTests {
  /// LoRA of one block's `fc1`, 6 to 10, with the given factors.
  private func model(_ down: [[Float]], _ up: [[Float]]) throws -> AdaptedModel {
    let model = try MixingBackbone(blocks: 1).adapted(by: LoRA(rank: down.count), at: .fc1, seed: 1)
    for parameter in model.adapter.parameters {
      let rows = parameter.name.hasSuffix("lora_A") ? down : up
      try parameter.load(Tensor(rows.flatMap(\.self), shape: [rows.count, rows[0].count]))
    }
    return model
  }

  /// The i-th unit vector.
  private func unit(_ index: Int, of count: Int) -> [Float] { (0..<count).map { $0 == index ? 1 : 0 } }

  /// Ten rows whose columns are unit vectors.
  private func up(_ places: Int...) -> [[Float]] { (0..<10).map { row in places.map { $0 == row ? 1 : 0 } } }

  private func overlap(_ one: AdaptedModel, _ other: AdaptedModel) throws -> SubspaceOverlap {
    try #require(try SubspaceOverlap.between([one, other], names: ["one", "other"])[0][1])
  }

  @Test func `one shared direction of two is a half`() throws {
    let one = try model([unit(0, of: 6), unit(1, of: 6)], up(0, 1))
    let other = try model([unit(1, of: 6), unit(2, of: 6)], up(4, 5))
    let overlap = try overlap(one, other)
    #expect(abs(overlap.input - 0.5) < 1e-12)
    #expect(abs(overlap.output) < 1e-12)
    #expect(overlap.sites == 1)
    #expect(abs(overlap.inputChance - 2.0 / 6) < 1e-12)
    #expect(abs(overlap.outputChance - 0.2) < 1e-12)
  }

  @Test func `a change of basis is the same subspace, and angles count by their squared cosine`() throws {
    let one = try model([unit(0, of: 6), unit(1, of: 6)], up(0, 1))
    let turned = try model([[2, 3, 0, 0, 0, 0], [1, -1, 0, 0, 0, 0]], up(1, 0))
    #expect(try abs(overlap(one, turned).input - 1) < 1e-12)
    #expect(try abs(overlap(one, turned).output - 1) < 1e-12)
    // The second direction is 60° away: (1 + 1/4) / 2.
    let tilted = try model([unit(0, of: 6), [0, 0.5, Float(0.75).squareRoot(), 0, 0, 0]], up(0, 1))
    #expect(try abs(overlap(one, tilted).input - 0.625) < 1e-6)
  }

  @Test func `a smaller subspace within a larger overlaps wholly, dependent rows count once`() throws {
    let one = try model([unit(0, of: 6)], up(3))
    let larger = try model([unit(0, of: 6), unit(1, of: 6), unit(2, of: 6)], up(3, 4, 5))
    #expect(try abs(overlap(one, larger).input - 1) < 1e-12)
    #expect(try abs(overlap(larger, one).output - 1) < 1e-12)
    let twice = try model([unit(1, of: 6), unit(1, of: 6)], up(3, 4))
    #expect(try abs(overlap(twice, larger).input - 1) < 1e-12)
  }

  @Test func `adapters that change nothing in common have none`() throws {
    let fresh = try MixingBackbone(blocks: 1).adapted(by: LoRA(rank: 1), at: .fc1, seed: 1)
    let one = try model([unit(0, of: 6)], up(3))
    let overlaps = try SubspaceOverlap.between([one, fresh], names: ["one", "fresh"])
    #expect(overlaps[0][1] == nil)
    #expect(overlaps[0][0]?.sites == 1)
  }
}
