import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct WeightedAdaptersTests {
  let backbone: TinyBackbone
  let input: Tensor

  init() throws {
    backbone = try TinyBackbone()
    input = try .normal([4, 5, 12], from: Generator(seed: 7))
  }

  private func features(_ terms: [(Adapter, Double)]) throws -> Tensor {
    try backbone.features(input, adaptation: WeightedAdapters(terms.map { ($0, $1) }), pass: ForwardPass()).detached()
  }

  @Test func `with weight 1 an adapter is itself, with weight 0 it is not there, and halves add up`() throws {
    for configuration in [LoRA(rank: 2, alpha: 6), SSF(), BiasTuning()] as [any AdapterConfiguration] {
      let model = try backbone.adapted(by: configuration)
      try model.adapter.perturb()
      let alone = try model.features(input).detached()
      #expect(try alone.distance(to: backbone.features(input)) > 0.05)
      try expectClose(features([(model.adapter, 1)]), alone, tolerance: 1e-5)
      try expectClose(features([(model.adapter, 0)]), backbone.features(input), tolerance: 1e-6)
      try expectClose(features([(model.adapter, 0.5), (model.adapter, 0.5)]), alone, tolerance: 1e-5)
    }
  }

  @Test func `at a map the changes of all adapters are added to the frozen output`() throws {
    let (one, other) = (try backbone.adapted(by: LoRA(rank: 2)).adapter, try backbone.adapted(by: IA3()).adapter)
    try one.perturb(seed: 1)
    try other.perturb(seed: 2)
    let linear = try backbone.linear(at: backbone.sites[0])
    let found = try WeightedAdapters([(one, 2), (other, -1)]).output(of: linear, input: input, pass: ForwardPass())
    let changes = try [one, other].map { try $0.output(of: linear, input: input, pass: ForwardPass()) - linear(input) }
    try expectClose(found.detached(), (linear(input) + changes[0] * 2 - changes[1]).detached(), tolerance: 1e-5)
  }
}
