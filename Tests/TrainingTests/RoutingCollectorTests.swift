import Adapters
import NeuralNetworks
import Reports
import Tensors
import Testing

@testable import Training

@Suite @Compute struct RoutingCollectorTests {
  @Test func `counts, gates and choices are those of the routers, by layer and domain`() async throws {
    let examples = try tinyExamples()
    let model = try tinyModel(noisyMixture())
    let indices = Array(0..<5) + Array(30..<33)
    let collector = RoutingCollector(examples, picturing: [2, 31])
    try await collector.collect(model, at: indices, batchSize: 3)

    // The same by hand, one image at a time.
    var counts: [String: [Int]] = [:]
    var gates: [String: [Double]] = [:]
    var chosen: [Int: [String: [Int]]] = [:]
    for index in indices {
      let pass = ForwardPass()
      pass.onRouting = { routing in
        let key = "\(routing.site.name) \(examples.domains[index / 30])"
        let experts = try routing.gates.select(0, 0).argmax(-1).integers()
        for expert in experts { counts[key, default: [0, 0]][expert] += 1 }
        let sums = try routing.probabilities.select(0, 0).sum(0).doubles()
        gates[key] = zip(gates[key] ?? [0, 0], sums).map { $0 + $1 }
        chosen[index, default: [:]][routing.site.name] = experts
      }
      _ = try withoutGradients { try model.logits(examples.inputs.narrowed(0, index..<index + 1), pass: pass) }
    }
    #expect(collector.layers == ["blocks.0.attn.qkv", "blocks.1.attn.qkv"])
    for layer in collector.layers {
      for (domain, images) in [("ink", 5), ("oil", 3)] {
        let routing = try #require(collector.statistics.routing(layer: layer, domain: domain))
        #expect(routing.tokens == 4 * images)
        #expect(routing.counts == counts["\(layer) \(domain)"])
        for (mean, sum) in zip(routing.meanGate, try #require(gates["\(layer) \(domain)"])) {
          #expect(abs(mean - sum / Double(4 * images)) < 1e-5)
        }
      }
      #expect(collector.statistics.routing(layer: layer, domain: "pen") == nil)
    }
    #expect(collector.choices == chosen.filter { [2, 31].contains($0.key) })
  }
}
