import MetaTuning
import Tensors
import Testing

@Suite struct HardConcreteTests {
  /// Logit, median, estimator, slope of the median, P(z ≠ 0).
  static let table: [(a: Double, median: Double, estimator: Double, slope: Double, open: Double)] = [
    (-2, 0, 0.043044, 0, 0.400975), (-1, 0.118911, 0.222730, 0.268464, 0.645335), (0, 0.5, 0.5, 0.45, 0.831822),
    (0.5, 0.715014, 0.646951, 0.392211, 0.890767), (1, 0.881089, 0.777270, 0.268464, 0.930771),
    (2, 1, 0.956956, 0, 0.973367), (-4.60517, 0, 0, 0, 0.047130), (4.60517, 1, 1, 0, 0.997982),
  ]

  @Test(arguments: table) func `a logit's gates, slope and probability`(
    row: (a: Double, median: Double, estimator: Double, slope: Double, open: Double)
  ) {
    #expect(abs(HardConcrete.median(row.a) - row.median) < 5.1e-7)
    #expect(abs(HardConcrete.estimator(row.a) - row.estimator) < 5.1e-7)
    #expect(abs(HardConcrete.slope(row.a) - row.slope) < 5.1e-7)
    #expect(abs(HardConcrete.openProbability(row.a) - row.open) < 5.1e-7)
  }

  @Test(arguments: [
    (a: 0.0, u: 0.3, gate: 0.162914, slope: 0.307967), (1, 0.2, 0.330873, 0.414245), (-1, 0.9, 0.929170, 0.219767),
    (0.5, 0.05, 0, 0),
  ])
  func `a gate that is drawn`(row: (a: Double, u: Double, gate: Double, slope: Double)) {
    #expect(abs(HardConcrete.quantile(row.u, row.a) - row.gate) < 5.1e-7)
    #expect(abs(HardConcrete.slope(row.a, quantile: row.u) - row.slope) < 5.1e-7)
  }

  @Test func `the bounds are those of the paper's constants`() {
    #expect(abs(HardConcrete.bound - 1.598597) < 1e-6)
    #expect(abs(HardConcrete.limit - 4.60517) < 1e-6)
    #expect(HardConcrete.median(HardConcrete.bound) == 1)
    #expect(HardConcrete.median(-HardConcrete.bound) == 0)
    #expect(HardConcrete.median(-HardConcrete.bound.nextDown.nextDown) < 1e-12)
  }

  @Test func `the kernel over tensors has the same gates`() throws {
    let logits = (0...200).map { Double($0) / 20 - 5 }
    for gate in MaskedOffset.Gate.allCases {
      let masked = try MaskedOffset(
        .ones([201], dtype: .float64), logits: Tensor(logits, shape: [1, 201]))
      let merged = try Tensor.zeros([201], dtype: .float64)
      try masked.merge([1], onto: merged, into: merged, gate: gate)
      for (a, z) in zip(logits, try merged.doubles()) {
        #expect(abs(z - (gate == .median ? HardConcrete.median(a) : HardConcrete.estimator(a))) < 1e-15)
      }
    }
  }
}
