import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct OutputAverageTests {
  let backbone: TinyBackbone
  let input: Tensor

  init() throws {
    backbone = try TinyBackbone()
    input = try .normal([3, 5, 12], from: Generator(seed: 7))
  }

  func member(_ configuration: some AdapterConfiguration, seed: UInt64) throws -> Adapter {
    let adapter = try backbone.adapted(by: configuration, seed: seed).adapter
    try adapter.perturb(seed: seed, deviation: 0.3)
    return adapter
  }

  func average(_ members: [Adapter], weights: [Double] = []) throws -> AdaptedModel {
    let average = OutputAverage(of: members.enumerated().map { ("member\($0)", $1) }, weights: weights)
    return try backbone.composed(by: average, of: members)
  }

  @Test(arguments: ["lora", "houlsby", "vpt", "ssf", "mixture_of_adapters"])
  func `one member alone is that member, bit for bit`(_ method: String) throws {
    var mixture = MixtureOfAdapters(of: .lora, ranks: [1, 2])
    mixture.router = .cosine(projection: 8)
    let all: [any AdapterConfiguration] = [LoRA(rank: 2), Houlsby(width: 4), PromptTuning(tokens: 2), SSF(), mixture]
    let configuration = try #require(all.first { type(of: $0).method.lowercased() == method })
    let one = try member(configuration, seed: 3)
    let model = try average([one])
    let expected = try backbone.features(input, adaptation: one, pass: ForwardPass())
    #expect(try model.features(input).isEqual(to: expected))
    #expect(try expected.distance(to: backbone.features(input)) > 0.05)
    #expect(
      model.adapter.configuration.obstacleToMerging.map { _ in true }
        == configuration.obstacleToMerging.map { _ in true })
  }

  @Test func `the mean of a bottleneck's outputs is not the output of its mean weights`() throws {
    // Oracle 10 of the specification: units (1, 2) and (3, 1) under ReLU at x = 1 give 2 and 3.
    let branch = Branch(name: "b", block: 0, kind: .mlp, width: 1)
    let backbone = OneBranch(branch: branch)
    func unit(_ down: Double, _ up: Double) throws -> Adapter {
      let adapter = try Adapter(Pfeiffer(width: 1), at: backbone.sites, of: backbone, generator: Generator(seed: 1))
      try adapter.parameter("b.adapter.down.weight").load(.full(down, [1, 1]))
      try adapter.parameter("b.adapter.up.weight").load(.full(up, [1, 1]))
      return adapter
    }
    let members = try [unit(1, 2), unit(3, 1)]
    let model = try backbone.composed(by: OutputAverage(of: [("a", members[0]), ("b", members[1])]), of: members)
    func contribution(_ adapter: Adapter) throws -> Double {
      let x = try Tensor.ones([1, 1, 1])
      let state = BranchState(input: x, stream: x, output: x)
      return try adapter.output(of: branch, state, pass: ForwardPass()).item() - 1
    }
    #expect(try contribution(model.adapter) == 2.5)
    #expect(try contribution(unit(2, 1.5)) == 3)
  }

  @Test func `members of linear changes merge, with their weights over the sum`() throws {
    let members = try [member(LoRA(rank: 2), seed: 1), member(KroneckerAdapter(dimension: 3, rank: 2), seed: 2)]
    let model = try average(members, weights: [3, -1])
    let linear = try backbone.linear(at: backbone.sites[0])
    let change = try #require(try model.adapter.delta(of: linear)?.weight).materialized()
    let own = try members.map { try #require(try $0.delta(of: linear)?.weight).materialized() }
    try expectClose(change, own[0] * 1.5 - own[1] * 0.5, tolerance: 1e-5)
    let x = try Tensor.normal([4, 12], from: Generator(seed: 5))
    let outputs = try members.map { try $0.output(of: linear, input: x, pass: ForwardPass()) }
    try expectClose(
      model.adapter.output(of: linear, input: x, pass: ForwardPass()), outputs[0] * 1.5 - outputs[1] * 0.5,
      tolerance: 1e-5)
  }

  @Test func `a member that stands elsewhere leaves the output as it is there`() throws {
    let lora = try member(LoRA(rank: 2), seed: 1)
    let norms = try member(LayerNormTuning(), seed: 2)
    let model = try average([lora, norms])
    let linear = try backbone.linear(at: backbone.sites[0])
    let (alone, both) = (try #require(try lora.delta(of: linear)), try #require(try model.adapter.delta(of: linear)))
    try expectClose(
      #require(both.weight).materialized(), #require(alone.weight).materialized() * 0.5, tolerance: 1e-6)
    let (name, original) = try ("blocks.0.norm1.weight", backbone.tensor("blocks.0.norm1.weight"))
    try expectClose(
      model.adapter.value(of: name, original: original),
      (original + norms.value(of: name, original: original)) * 0.5, tolerance: 1e-6)
  }

  @Test func `members with dropout are averaged without it, also where the head trains`() throws {
    let model = try average([member(LoRA(rank: 2, dropout: 0.5), seed: 1), member(LoRA(rank: 2), seed: 2)])
    let trained = try model.features(input, pass: ForwardPass(.training(Generator(seed: 1))))
    #expect(try trained.isEqual(to: model.features(input)))
  }

  @Test func `weights without a sum, too few of them, and prompts beside others are refused`() throws {
    let members = try [member(LoRA(rank: 2), seed: 1), member(LoRA(rank: 2), seed: 2)]
    #expect(throws: CompositionError.weightSum(0)) { try average(members, weights: [1, -1]) }
    #expect(throws: CompositionError.weights(1, members: 2)) { try average(members, weights: [1]) }
    #expect(throws: CompositionError.tokens("member1", method: "VPT")) {
      try average([members[0], member(PromptTuning(tokens: 2), seed: 1)])
    }
  }
}

/// A backbone of a single branch of width 1.
private struct OneBranch: Backbone {
  let branch: Branch
  var sites: [Site] {
    [Site(name: "blocks.0.mlp.fc1", block: 0, role: .fc1, inFeatures: 1, outFeatures: 1)]
  }
  var branches: [Branch] { [branch] }
  let layerNorms: [String] = []
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)] = []
  let device = Device.cpu
  let featureWidth = 1
  let fingerprint = "one"

  func linear(at site: Site) throws -> Linear {
    Linear(site: site, weight: try .ones([1, 1]), bias: nil)
  }
  func modules(at site: Site) -> [String] { [] }
  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor { input }
}
