import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct MaskReportTests {
  @Compute
  private func makeReport() throws -> (MaskReport, SparseExperts, VisionTransformer) {
    let backbone = try Tiny.vision()
    let experts = try #require(try Tiny.tuned(on: backbone).weights as? SparseExperts)
    return (try MaskReport(of: experts, on: backbone), experts, backbone)
  }

  @Test @Compute func `densities by type, weighted by size, average to the total, and so do the parts of the sizes`()
    throws
  {
    let (report, experts, backbone) = try makeReport()
    #expect(report.types.reduce(0) { $0 + $1.weights } == backbone.parameterCount)
    for expert in 0..<3 {
      let mean =
        report.types.reduce(0) { $0 + Double($1.weights) * $1.experts[expert] } / Double(backbone.parameterCount)
      #expect(abs(mean - report.total.experts[expert]) < 1e-12)
      #expect(abs(report.total.experts[expert] - (1 - experts.hardSparsity[expert])) < 1e-12)
    }
    #expect(
      report.types.map(\.name) == [
        "embeddings", "query", "key", "value", "attention norm", "attention output", "MLP in", "MLP out", "MLP norm",
        "outer norm",
      ])
    // Queries of two blocks: 16 × 16 weights and 16 biases each.
    #expect(report.types[1].weights == 2 * (256 + 16))
    #expect(report.blocks.map(\.name) == ["0", "1"])
  }

  @Test @Compute func `densities, overlaps and the union are those of the gates counted one by one`() throws {
    let (report, experts, backbone) = try makeReport()
    var open = [[Bool]](repeating: [], count: 3)
    var values: [Bool] = []
    for (place, offset) in experts.offsets.enumerated() {
      let logits = try #require(offset.logits).doubles()
      let size = offset.offset.count
      for expert in 0..<3 {
        open[expert] += logits[expert * size..<(expert + 1) * size].map { HardConcrete.median($0) > 0 }
      }
      // Values: the last third of the rows, of weights and biases alike.
      if backbone.tensors[place].name.contains("attn.qkv") {
        values += logits[2 * size + 2 * size / 3..<3 * size].map { HardConcrete.median($0) > 0 }
      }
    }
    func count(_ isMember: (Int) -> Bool) -> Double { Double(open[0].indices.count(where: isMember)) }
    for first in 0..<3 {
      for second in 0..<3 {
        let both = count { open[first][$0] && open[second][$0] }
        let either = count { open[first][$0] || open[second][$0] }
        #expect(abs(report.intersectionOverUnion[first][second] - both / either) < 1e-12)
        #expect(abs(report.containment[first][second] - both / count { open[first][$0] }) < 1e-12)
      }
    }
    #expect(abs(report.union - count { open[0][$0] || open[1][$0] || open[2][$0] } / Double(open[0].count)) < 1e-12)
    let least = try #require(report.total.experts.map { 1 - $0 }.min())
    #expect(report.sparsityBelow(least + 0.009) == nil && report.sparsityBelow(least + 0.011) == least)
    let value = try #require(report.types.first { $0.name == "value" })
    #expect(value.weights == 2 * (256 + 16) && values.count == 544)
    #expect(abs(value.experts[2] - Double(values.count { $0 }) / 544) < 1e-12)
  }

  @Test @Compute func `gates that are not binary, and open for the estimator only, are counted over all`() throws {
    let (report, experts, _) = try makeReport()
    var (soft, only, all) = (0, 0, 0)
    for offset in experts.offsets {
      for logit in try #require(offset.logits).doubles() {
        all += 1
        soft += abs(logit) < HardConcrete.bound ? 1 : 0
        only += logit <= -HardConcrete.bound && HardConcrete.estimator(logit) > 0 ? 1 : 0
      }
    }
    #expect(abs(report.notBinary - Double(soft) / Double(all)) < 1e-4)
    #expect(abs(report.openInEstimatorOnly - Double(only) / Double(all)) < 1e-4)
    #expect(only > 100)
  }

  @Test @Compute func `independent masks overlap as chance has it, at the paper's density by .053 and .10`() throws {
    let backbone = try Tiny.vision()
    var settings = SparseExperts.Settings()
    settings.experts = 3
    settings.masks = .random(density: 0.1)
    let report = try MaskReport(of: SparseExperts(of: backbone, settings: settings, seed: 5), on: backbone)
    let chance = try #require(report.chanceIntersectionOverUnion)
    #expect(abs(chance - 0.0526) < 0.005)
    #expect(abs(try #require(report.meanIntersectionOverUnion) - chance) < 0.01)
    #expect(abs(try #require(report.chanceContainment) - 0.1) < 0.01)
    #expect(report.notBinary == 0)
    #expect(report.overlapFigure.contains("Overlap of experts") && report.typeFigure.contains("attention output"))
    #expect(report.blockFigure.contains("Open gates by block"))
  }
}
