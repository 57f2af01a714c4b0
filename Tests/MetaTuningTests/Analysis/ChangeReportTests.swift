import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct ChangeReportTests {
  @Test @Compute func `a dense offset's norms are those of its numbers, by type and by block`() throws {
    let backbone = try Tiny.vision()
    let offset = try #require(try Tiny.tuned(.pmf, on: backbone).weights as? DenseOffset)
    let report = try ChangeReport(of: offset, on: backbone)
    func square(_ numbers: some Sequence<Double>) -> Double { numbers.reduce(0) { $0 + $1 * $1 } }
    var (all, moved, queries, queriesOf, first) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for (tensor, delta) in zip(backbone.tensors, offset.offsets) {
      let (was, by) = (try tensor.tensor.doubles(), try delta.doubles())
      all += square(was)
      moved += square(by)
      if tensor.name.hasPrefix("blocks.0.") { first += square(by) }
      if tensor.name.contains("attn.qkv") {
        // Queries are the first third of the rows.
        queries += square(by.prefix(by.count / 3))
        queriesOf += square(was.prefix(was.count / 3))
      }
    }
    #expect(abs(report.total.norm - moved.squareRoot()) < 1e-4 && report.total.weights == backbone.parameterCount)
    #expect(abs(try #require(report.total.relative) - (moved / all).squareRoot()) < 1e-5)
    let query = try #require(report.types.first { $0.name == "query" })
    #expect(abs(query.norm - queries.squareRoot()) < 1e-5)
    #expect(abs(try #require(query.relative) - (queries / queriesOf).squareRoot()) < 1e-5)
    #expect(report.blocks.map(\.name) == ["0", "1"] && abs(report.blocks[0].norm - first.squareRoot()) < 1e-4)
  }

  @Test @Compute func `what has not trained has not moved, whatever it mixes`() throws {
    let backbone = try Tiny.vision()
    let report = try ChangeReport(of: DenseExperts(of: backbone, experts: 3), on: backbone)
    #expect(report.total.norm == 0 && report.types.allSatisfy { $0.relative == 0 } && report.types.count == 10)
  }
}
