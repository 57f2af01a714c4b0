import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct LoRATests {
  let site = Site.lone(10, 6)

  func layer(_ configuration: LoRA) throws -> (LoRALayer, Linear) {
    let generator = try Generator(seed: 1)
    let layer = try LoRALayer(configuration, at: site, device: .cpu, generator: generator)
    try withoutGradients { try layer.up.value.copyInPlace(.normal(layer.up.value.shape, from: generator)) }
    let linear = Linear(
      site: site, weight: try .normal([6, 10], from: generator), bias: try .normal([6], from: generator))
    return (layer, linear)
  }

  @Test func `the scale is alpha over the rank, or over its root`() {
    #expect(LoRA(rank: 4, alpha: 6).scale == 1.5)
    #expect(LoRA(rank: 4, alpha: 6, rankStabilized: true).scale == 3)
    #expect(LoRA().scale == 2)
    #expect(LoRA(rank: 4).scale == 2)
  }

  @Test(arguments: [false, true])
  func `the output is the base's plus scale times B A x`(rankStabilized: Bool) throws {
    let (layer, linear) = try layer(LoRA(rank: 4, alpha: 6, rankStabilized: rankStabilized))
    let input = try Tensor.normal([2, 3, 10], from: Generator(seed: 2))
    let expected =
      try linear(input) + input.linear(layer.down.value).linear(layer.up.value) * (rankStabilized ? 3 : 1.5)
    try expectClose(layer.output(of: linear, input: input, pass: ForwardPass()), expected, tolerance: 1e-6)
    let training = try ForwardPass(.training(Generator(seed: 3)))
    try expectClose(layer.output(of: linear, input: input, pass: training), expected, tolerance: 1e-6)
  }

  @Test func `dropout acts on the low-rank path's input alone, and while training only`() throws {
    let (layer, linear) = try layer(LoRA(rank: 4, dropout: 0.5))
    let input = try Tensor.normal([20, 10], from: Generator(seed: 2))
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let dropped = try input.dropout(0.5, from: Generator(seed: 3))
    let expected = try linear(input) + dropped.linear(layer.down.value).linear(layer.up.value) * 2
    try expectClose(layer.output(of: linear, input: input, pass: pass), expected, tolerance: 1e-6)
    let kept = try linear(input) + input.linear(layer.down.value).linear(layer.up.value) * 2
    try expectClose(layer.output(of: linear, input: input, pass: ForwardPass()), kept, tolerance: 1e-6)
  }

  @Test func `a base that trains too gets its gradient`() throws {
    let (layer, frozen) = try layer(LoRA(rank: 2))
    let linear = Linear(
      site: site, weight: try frozen.weight.clone().requiringGradient(),
      bias: try frozen.bias?.clone().requiringGradient())
    let input = try Tensor.normal([5, 10], from: Generator(seed: 2))
    let y = try layer.output(of: linear, input: input, pass: ForwardPass())
    let found = try gradients(of: y.sum(), [linear.weight, #require(linear.bias)])
    try expectClose(found[0], input.sum(0).unsqueezed(0).expanded(6, 10), tolerance: 1e-6)
    try expectClose(found[1], [5, 5, 5, 5, 5, 5])
  }

  @Test func `at the start only B moves`() throws {
    let generator = try Generator(seed: 1)
    let layer = try LoRALayer(LoRA(rank: 4), at: site, device: .cpu, generator: generator)
    let linear = Linear(site: site, weight: try .normal([6, 10], from: generator), bias: nil)
    let y = try layer.output(of: linear, input: .normal([5, 10], from: generator), pass: ForwardPass())
    let found = try gradients(of: y.squared().sum(), [layer.down.value, layer.up.value])
    #expect(try found[0].abs().max().item() == 0)
    #expect(try found[1].abs().max().item() > 0.1)
  }

  @Test func `A starts uniform on one over the root of the width, or normal with deviation one over the rank`() throws {
    let generator = try Generator(seed: 1)
    let uniform = try LoRA(rank: 16).freshDown(400, device: .cpu, generator: generator)
    #expect(uniform.shape == [16, 400])
    #expect(try uniform.abs().max().item() <= 0.05)
    #expect(try abs(uniform.variance().sqrt().item() / (0.05 / 3.0.squareRoot()) - 1) < 0.03)
    var gaussian = LoRA(rank: 16)
    gaussian.initialization = .gaussian
    let normal = try gaussian.freshDown(400, device: .cpu, generator: generator)
    #expect(try abs(normal.variance().sqrt().item() * 16 - 1) < 0.03)
    #expect(try normal.abs().max().item() > 3.0 / 16)
  }

  @Test func `parameters are named as PEFT names them, and A and B decay`() throws {
    let backbone = try TinyBackbone()
    let model = try backbone.adapted(by: .lora(rank: 2), at: .qkv)
    #expect(
      model.adapter.parameters.map(\.name) == [
        "blocks.0.attn.qkv.lora_A", "blocks.0.attn.qkv.lora_B", "blocks.1.attn.qkv.lora_A", "blocks.1.attn.qkv.lora_B",
      ])
    #expect(model.adapter.parameters.map(\.value.shape) == [[2, 12], [36, 2], [2, 12], [36, 2]])
    #expect(model.adapter.parameters.allSatisfy { $0.decays })
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    func count(_ rank: Int, _ targets: Targets) throws -> Int {
      try backbone.adapted(by: .lora(rank: rank), at: targets).adapter.parameterCount
    }
    #expect(try count(2, .attention) == 110_592)
    #expect(try count(8, .qkv) == 294_912)
    #expect(try count(8, .allLinear) == 1_179_648)
  }

  @Test func `settings that do not fit are refused`() throws {
    let error = try thrown { try LoRA(rank: 7).validate([site]) }
    #expect(error == .rank(7, site: "layer", limit: 6))
    #expect(
      error.description == """
        Rank 7 does not fit 'layer', whose ranks go from 1 to 6. Choose a rank in that range, or leave 'layer' out of the \
        targets.
        """)
    #expect(try thrown { try LoRA(rank: 0).validate([site]) } == .rank(0, site: "layer", limit: 6))
    #expect(try thrown { try LoRA(rank: .min).validate([site]) } == .rank(.min, site: "layer", limit: 6))
    #expect(
      try thrown { try LoRA(rank: 2, dropout: 1).validate([site]) }.description == "dropout is 1.0; it must be 0 ..< 1."
    )
    #expect(throws: AdapterError.self) { try LoRA(rank: 2, dropout: .nan).validate([site]) }
    #expect(
      try thrown { try LoRA(rank: 2, alpha: .infinity).validate([site]) }.description
        == "alpha is inf; it must be a finite number.")
    #expect(throws: Never.self) { try LoRA(rank: 6).validate([site]) }
  }
}
