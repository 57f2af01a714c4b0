import Formats
import Foundation
import Tensors
import Testing

@testable import Adapters

@Suite struct LoadBalanceTests {
  /// The raw loss for four experts without noise: the threshold is each token's largest probability.
  func balance(_ probabilities: Tensor) throws -> Tensor {
    try LoadBalance.loss(probabilities: probabilities, threshold: probabilities.max(1), deviation: 0.25)
  }

  @Test(arguments: [
    ("uniform", 0.0), ("one_hot_each", 0), ("one_hot_all_on_one", 3.99898694), ("one_hot_half_each", 1.33299565),
    ("mixed", 0.14929327),
  ])
  func `the published values`(_ name: String, _ published: Double) throws {
    let folder = try #require(Bundle.module.resourceURL)
    let cases = try JSONValue(contentsOf: folder.appending(path: "Fixtures/moa_auxiliary_loss.json"))
    let entry = try #require(cases[name])
    let rows = try #require(entry["probabilities"]?.array).map { try #require($0.array).compactMap(\.double) }
    let probabilities = try Tensor(rows.flatMap { $0 }, shape: [rows.count, 4])
    let loss = try balance(probabilities).item()
    // The published digits are of float32 arithmetic, the reference file's of float64.
    #expect(abs(loss - published) <= 1.1e-7)
    let raw = try #require(entry["raw"]?.double)
    #expect(abs(loss - raw) <= 1e-12)
    // In the precision that training uses.
    #expect(try abs(balance(probabilities.to(.float32)).item() - published) <= 2e-6)
  }

  @Test func `importance and load of a collapsed router`() throws {
    let probabilities = try Tensor([1, 0, 0, 0] as [Double], shape: [1, 4]).expanded(5, 4)
    let (importance, load) = try LoadBalance.statistics(
      probabilities: probabilities, threshold: probabilities.max(1), deviation: 0.25)
    try expectClose(importance, [5, 0, 0, 0])
    // Φ(0) and Φ(−4).
    try expectClose(load, [2.5, 5 * 3.167124183e-5, 5 * 3.167124183e-5, 5 * 3.167124183e-5], tolerance: 1e-12)
    #expect(try abs(LoadBalance.squaredVariation(importance).item() - 4) < 1e-8)
    #expect(try abs(LoadBalance.squaredVariation(load).item() - 3.99797368) < 5e-9)
  }

  @Test func `one expert is always balanced`() throws {
    let ones = try Tensor.ones([6, 1]).requiringGradient()
    let loss = try LoadBalance.loss(probabilities: ones, threshold: ones.select(1, 0), deviation: 1)
    #expect(loss.shape == [])
    #expect(try loss.item() == 0)
  }

  @Test func `the gradient flows through probabilities and threshold: finite differences`() throws {
    let generator = try Generator(seed: 1)
    let probabilities = try generator.normal(7, 4).softmax().detached().requiringGradient()
    let threshold = try Tensor.uniform([7], 0.3, 0.6, dtype: .float64, from: generator).requiringGradient()
    func loss() throws -> Tensor {
      try LoadBalance.loss(probabilities: probabilities, threshold: threshold, deviation: 0.25)
    }
    let leaves = [probabilities, threshold]
    for (gradient, leaf) in zip(try gradients(of: loss(), leaves), leaves) {
      #expect(try gradient.abs().min().item() > 0)
      try expectClose(gradient, differences(of: leaf, loss), tolerance: 1e-7)
    }
  }

  @Test func `a uniform router looks balanced wherever its ties go`() throws {
    // Every argmax is expert 0. The loss cannot see this collapse, only the hard load can.
    #expect(try balance(.full(0.25, [9, 4], dtype: .float64)).item() == 0)
  }
}
