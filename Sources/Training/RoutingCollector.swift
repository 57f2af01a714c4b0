import Adapters
import Datasets
import NeuralNetworks
import Reports
import Tensors

/// Listens to the routers of a mixture: what they send where, by layer and domain, and for single images patch by patch.
@Compute
public final class RoutingCollector {
  public private(set) var statistics = RoutingStatistics()
  /// By the example's index, then the layer's name: the expert with the largest gate of each token, in the order of the
  /// tokens. Filled for the examples asked for.
  public private(set) var choices: [Int: [String: [Int]]] = [:]
  /// The layers in the order in which they run.
  public var layers: [String] { statistics.layers }

  private let examples: any Examples
  private let pictured: Set<Int>

  /// - Parameter pictured: the examples whose tokens are kept one by one, for a `PatchGrid`.
  public init(_ examples: any Examples, picturing pictured: Set<Int> = []) {
    self.examples = examples
    self.pictured = pictured
  }

  /// Runs `model` over the examples at `indices`, as they are evaluated, and collects what its routers do.
  public func collect(
    _ model: AdaptedModel, at indices: [Int], batchSize: Int = 64,
    precision: TrainingConfiguration.Precision = .float32
  ) async throws {
    let evaluator = Evaluator(examples, batchSize: batchSize, precision: precision)
    _ = try await evaluator.logits(of: model, at: indices) { self.listen(to: $1, of: $0) }
  }

  /// Takes what the routers say in a pass over a batch.
  public func listen(to pass: ForwardPass, of batch: Batch) {
    let domains = batch.indices.map { index in examples.ranges.firstIndex { $0.contains(index) } ?? 0 }
    pass.onRouting = { [self] routing in
      try Compute.assumeIsolated { try add(routing, batch.indices, domains) }
    }
  }

  private func add(_ routing: ForwardPass.Routing, _ indices: [Int], _ domains: [Int]) throws {
    let layer = routing.site.name
    try withoutGradients {
      let tokens = routing.gates.size(1) ?? 0
      // Sums over the tokens of each image, [batch, experts], then over the images of each domain.
      let chosen = try routing.gates.isGreater(than: 0).to(.float64).sum(1)
      let gates = try routing.probabilities.to(.float64).sum(1)
      for domain in Set(domains).sorted() {
        let rows = try Tensor(domains.indices.filter { domains[$0] == domain }.map(Int64.init)).to(chosen.device)
        try statistics.accumulate(
          layer: layer, domain: examples.domains[domain],
          expertCounts: try chosen.selected(0, rows).sum(0).doubles().map { Int($0) },
          gateSums: try gates.selected(0, rows).sum(0).doubles(), tokens: tokens * rows.count)
      }
      guard !pictured.isDisjoint(with: indices) else { return }
      let experts = try routing.gates.argmax(-1)
      for (row, index) in indices.enumerated() where pictured.contains(index) {
        choices[index, default: [:]][layer] = try experts.select(0, row).integers()
      }
    }
  }
}
