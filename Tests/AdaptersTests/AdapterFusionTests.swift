import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct AdapterFusionTests {
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

  func fused(_ members: [Adapter], _ change: (inout AdapterFusion) -> Void = { _ in }) throws -> AdaptedModel {
    var fusion = AdapterFusion(of: members.enumerated().map { ("member\($0)", $1) })
    change(&fusion)
    return try backbone.composed(by: fusion, of: members)
  }

  @Test func `a branch is its output and the attended contributions, as written out member by member`() throws {
    let members = try [member(Pfeiffer(width: 4), seed: 1), member(Pfeiffer(width: 6), seed: 2)]
    let adapter = try fused(members).adapter
    let generator = try Generator(seed: 4)
    for parameter in adapter.parameters {
      try parameter.load(.normal(parameter.value.shape, deviation: 0.5, from: generator))
    }
    let (branch, name) = (backbone.branches[1], "blocks.0.mlp")
    let y = try Tensor.normal([2, 3, 12], from: generator)
    let state = BranchState(input: try y * 0.5, stream: try y + 1, output: y)
    func value(_ suffix: String) throws -> Tensor { try adapter.parameter("\(name).fusion.\(suffix)").value }
    let z = try members.map { try $0.output(of: branch, state, pass: ForwardPass()) - y }
    let query = try y.linear(value("query.weight"), value("query.bias"))
    let scores = try z.map { try (query * $0.linear(value("key.weight"))).sum(-1, keep: true) }
    let shares = try Tensor.concatenated(scores, dimension: -1).softmax()
    var expected = y
    for (index, z) in z.enumerated() {
      expected = try expected + z.linear(value("value.weight")) * shares.narrowed(-1, index..<index + 1)
    }
    try expectClose(adapter.output(of: branch, state, pass: ForwardPass()), expected, tolerance: 1e-5)
    // Shares away from halves, so that a wrong score shows.
    #expect(try (shares - 0.5).abs().max().item() > 0.2)
  }

  @Test func `a fresh fusion of one member is that member, and of equal ones too`() throws {
    let one = try member(Houlsby(width: 4), seed: 1)
    let expected = try backbone.features(input, adaptation: one, pass: ForwardPass())
    for members in [[one], [one, one, one]] {
      try expectClose(fused(members).features(input), expected, tolerance: 1e-4)
    }
    #expect(try expected.distance(to: backbone.features(input)) > 0.1)
  }

  @Test func `values start as the identity, ten to the minus six off the diagonal; the penalty is of the distance`()
    throws
  {
    let model = try fused([member(Pfeiffer(width: 4), seed: 1)]) { $0.regularization = 0.5 }
    let value = try model.adapter.parameter("blocks.1.mlp.fusion.value.weight")
    try expectClose(value.value.select(0, 0), [1] + [Double](repeating: 1e-6, count: 11), tolerance: 1e-9)
    try value.value.addInPlaceWithoutGradients(.full(0.1, [12, 12]))
    let pass = try ForwardPass(.training(Generator(seed: 1)))
    _ = try model.features(input, pass: pass)
    try expectClose(Tensor.stacked(pass.auxiliaryLosses), [0, 0.5 * 144 * 0.01], tolerance: 1e-4)
    let evaluation = ForwardPass()
    _ = try model.features(input, pass: evaluation)
    #expect(evaluation.auxiliaryLosses.isEmpty)
  }

  @Test func `each branch fuses the members that stand there`() throws {
    let members = try [member(Pfeiffer(width: 4), seed: 1), member(Houlsby(width: 4), seed: 2)]
    let adapter = try fused(members).adapter
    #expect(
      adapter.parameters.filter { $0.name.hasSuffix("query.bias") }.map(\.name)
        == ["blocks.0.mlp.fusion.query.bias", "blocks.1.mlp.fusion.query.bias"])
    #expect((adapter.branches["blocks.0.attn"] as? FusionLayer)?.members.count == 1)
    #expect((adapter.branches["blocks.0.mlp"] as? FusionLayer)?.members.count == 2)
    // One member has nothing to ask for: at the attention only the values train.
    #expect(adapter.parameterCount == 2 * (3 * 144 + 12) + 2 * 144)
  }

  @Test func `members that are no bottlenecks, or not those that were named, are refused`() throws {
    let lora = try member(LoRA(rank: 2), seed: 1)
    #expect(throws: CompositionError.notBottleneck("member0", method: "LORA")) { try fused([lora]) }
    let pfeiffer = try member(Pfeiffer(width: 4), seed: 1)
    let fusion = AdapterFusion(of: [("a", pfeiffer)])
    #expect(throws: CompositionError.members(expected: "PFEIFFER", found: "LORA")) {
      try backbone.composed(by: fusion, of: [lora])
    }
    #expect(throws: CompositionError.self) { try backbone.composed(by: fusion, of: [pfeiffer, pfeiffer]) }
    #expect(throws: CompositionError.noMembers("ADAPTER_FUSION")) { try fused([]) }
    #expect(throws: CompositionError.twice("a")) {
      try backbone.composed(by: AdapterFusion(of: [("a", pfeiffer), ("a", pfeiffer)]), of: [pfeiffer, pfeiffer])
    }
  }

  @Test func `as it was before training, its members are as they were trained`() throws {
    let model = try fused([member(Pfeiffer(width: 4), seed: 1)])
    let members = try model.adapter.frozen.map { try $0.value.clone() }
    let fresh = try model.adapter.parameters.map { try $0.value.detached().clone() }
    for parameter in model.adapter.parameters { try parameter.load(parameter.value.detached() + 1) }
    let initial = try #require(try model.adapter.initial(of: backbone))
    for (one, other) in zip(initial.frozen, members) { #expect(try one.value.isEqual(to: other)) }
    for (one, other) in zip(initial.parameters, fresh) { #expect(try one.value.isEqual(to: other)) }
  }
}

extension Tensor {
  fileprivate func addInPlaceWithoutGradients(_ other: Tensor) throws {
    try withoutGradients { try addInPlace(other) }
  }
}
