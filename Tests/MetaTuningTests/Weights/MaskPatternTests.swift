import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Compute @Suite struct MaskPatternTests {
  private func experts(_ pattern: MaskPattern, experts: Int = 1, of backbone: any Backbone) throws -> SparseExperts {
    var settings = SparseExperts.Settings()
    (settings.experts, settings.masks) = (experts, pattern)
    return try SparseExperts(of: backbone, settings: settings, seed: 2)
  }

  /// The tensors that are open throughout; others are closed throughout.
  private func open(_ pattern: MaskPattern) throws -> [String] {
    let masked = try experts(pattern, experts: 2, of: FlatBackbone())
    return try zip(masked.names, masked.offsets).compactMap { name, offset in
      let logits = try #require(offset.logits)
      let isOpen = try logits.isEqual(to: logits.zerosLike() + HardConcrete.limit)
      #expect(try isOpen || logits.isEqual(to: logits.zerosLike() - HardConcrete.limit))
      return isOpen ? name : nil
    }
  }

  @Test func `biases and LayerNorms`() throws {
    #expect(
      try open(.biasesAndNorms) == [
        "blocks.0.attn.qkv.bias", "blocks.1.mlp.fc1.bias", "blocks.0.norm1.weight", "blocks.0.norm1.bias",
      ])
  }

  @Test func `attention`() throws {
    #expect(try open(.attention) == ["blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias"])
  }

  @Test func `the last blocks`() throws {
    #expect(try open(.lastBlocks(1)) == ["blocks.1.mlp.fc1.weight", "blocks.1.mlp.fc1.bias"])
    #expect(try open(.lastBlocks(2)).count == 6)
    #expect(throws: PlacementError.last(3, count: 2)) { try open(.lastBlocks(3)) }
  }

  @Test func `a random mask has its density, binary gates and other weights for each expert`() throws {
    let backbone = try LoneTensor(100_000, dtype: .float32)
    let masked = try experts(.random(density: 0.1), experts: 2, of: backbone)
    for sparsity in masked.hardSparsity { #expect(abs(sparsity - 0.9) < 0.005) }
    let measures = try masked.measures()
    #expect(measures.first { $0.name == "binary.0" }?.value == 1)
    let open = try #require(masked.offsets[0].logits).isGreater(than: 0)
    let both = try open.select(0, 0).and(open.select(0, 1)).to(.float32).mean().item()
    // By chance, a hundredth.
    #expect(abs(both - 0.01) < 0.003)
    let again = try experts(.random(density: 0.1), experts: 2, of: backbone)
    #expect(try #require(again.offsets[0].logits).isEqual(to: #require(masked.offsets[0].logits)))
    #expect(try experts(.random(density: 1), of: backbone).hardSparsity == [0])
  }

  @Test(arguments: [0.0, -1, 1.1, .nan]) func `a density that is none is refused`(density: Double) throws {
    let error = #expect(throws: MetaWeightsError.self) {
      try experts(.random(density: density), of: FlatBackbone())
    }
    #expect(try #require(error).description.contains("must lie above 0 and be at most 1"))
  }

  @Test func `a pattern that keeps nothing is refused`() throws {
    #expect(throws: MetaWeightsError.emptyPattern("attention", known: ["w"])) {
      try experts(.attention, of: LoneTensor(3))
    }
  }
}
