import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct DoRATests {
  let site = Site.lone(10, 6)

  func layer(_ configuration: DoRA) throws -> (DoRALayer, Linear) {
    let generator = try Generator(seed: 1)
    let linear = Linear(
      site: site, weight: try .normal([6, 10], from: generator), bias: try .normal([6], from: generator))
    let layer = try DoRALayer(configuration, at: linear, device: .cpu, generator: generator)
    try layer.up.load(.normal(layer.up.value.shape, deviation: 0.3, from: generator))
    try layer.magnitude.load(.normal([6], mean: 2, from: generator))
    return (layer, linear)
  }

  /// Eq. 5 as it stands, without its gradient through the norm.
  func weight(_ layer: DoRALayer, _ linear: Linear) throws -> Tensor {
    let direction = try linear.weight + layer.up.value.matmul(layer.down.value) * layer.scale
    let norms = try direction.squared().sum(1).sqrt().detached()
    return try direction * (layer.magnitude.value / norms).unsqueezed(1)
  }

  @Test func `each row of the weight gets the length that trains, and the direction of LoRA's sum`() throws {
    let (layer, linear) = try layer(DoRA(rank: 4, alpha: 6))
    let input = try Tensor.normal([2, 3, 10], from: Generator(seed: 2))
    let adapted = try weight(layer, linear)
    try expectClose(adapted.norm(1), layer.magnitude.value.abs(), tolerance: 1e-6)
    let expected = try input.linear(adapted, linear.bias)
    try expectClose(layer.output(of: linear, input: input, pass: ForwardPass()), expected, tolerance: 1e-6)
    let training = try ForwardPass(.training(Generator(seed: 3)))
    try expectClose(layer.output(of: linear, input: input, pass: training), expected, tolerance: 1e-6)
  }

  @Test func `its change of the weight is a rescaling and a low rank, and merges exactly`() throws {
    let (layer, linear) = try layer(DoRA(rank: 2, alpha: 3))
    let delta = try #require(layer.delta(of: linear)?.weight)
    let adapted = try weight(layer, linear)
    try expectClose(delta.merged(into: linear.weight), adapted, tolerance: 1e-6)
    try expectClose(delta.materialized(), adapted - linear.weight, tolerance: 1e-6)
    let input = try Tensor.normal([4, 10], from: Generator(seed: 2))
    try expectClose(
      linear(input) + delta.apply(to: input), layer.output(of: linear, input: input, pass: ForwardPass()),
      tolerance: 1e-6)
  }

  @Test func `the numbers of PEFT's layer`() throws {
    let reference = try PEFTLayer("dora")
    let direction = LowRankDelta(down: try reference["lora_A"], up: try reference["lora_B"], scale: 1.5)
    try reference.expect(direction, ["lora_A", "lora_B", "lora_magnitude_vector"]) { direction, linear, x in
      try DoRALayer.output(
        weight: linear.weight, bias: linear.bias, input: x, direction: direction,
        magnitude: reference["lora_magnitude_vector"])
    }
  }

  @Test(arguments: [true, false])
  func `gradients are those of the plain formula with the norm held fixed`(bias: Bool) throws {
    let (layer, whole) = try layer(DoRA(rank: 4, alpha: 6))
    let linear = Linear(site: site, weight: whole.weight, bias: bias ? whole.bias : nil)
    let input = try Tensor.normal([2, 3, 10], from: Generator(seed: 2)).requiringGradient()
    let leaves = [input, layer.down.value, layer.up.value, layer.magnitude.value]
    let plain = try input.linear(weight(layer, linear), linear.bias)
    let y = try layer.output(of: linear, input: input, pass: ForwardPass())
    let found = try gradients(of: y.sin().sum(), leaves)
    for (found, expected) in zip(found, try gradients(of: plain.sin().sum(), leaves)) {
      try expectClose(found, expected, tolerance: 1e-5)
    }
  }

  @Test func `a length at or near zero gets its gradient, too`() throws {
    let (layer, linear) = try layer(DoRA(rank: 4, alpha: 6))
    try layer.magnitude.load(Tensor([0, 1e-9, -1e-4, 2, -3, 0.02] as [Float]))
    let input = try Tensor.normal([7, 10], from: Generator(seed: 2))
    let plain = try input.linear(weight(layer, linear), linear.bias)
    let y = try layer.output(of: linear, input: input, pass: ForwardPass())
    let weights = try Tensor.normal([7, 6], from: Generator(seed: 4))
    let found = try gradients(of: (y * weights).sum(), [layer.magnitude.value])[0]
    let expected = try gradients(of: (plain * weights).sum(), [layer.magnitude.value])[0]
    try expectClose(found, expected, tolerance: 1e-5)
    #expect(try found.abs().min().item() > 1e-3)
  }

  @Test func `a row of zeros stays zero until its length or its direction moves, and is never NaN`() throws {
    let generator = try Generator(seed: 1)
    let weight = try Tensor.concatenated([.zeros([1, 10]), .normal([5, 10], from: generator)])
    let linear = Linear(site: site, weight: weight, bias: nil)
    let layer = try DoRALayer(DoRA(rank: 2), at: linear, device: .cpu, generator: generator)
    #expect(try layer.magnitude.value.select(0, 0).item() == 0)
    let input = try Tensor.normal([7, 10], from: generator)
    let y = try layer.output(of: linear, input: input, pass: ForwardPass())
    #expect(try y.isEqual(to: linear(input)))
    let found = try gradients(
      of: y.squared().sum(), [layer.down.value, layer.up.value, layer.magnitude.value])
    for gradient in found { #expect(try gradient.isFinite().all().item() == 1) }
  }

  @Test func `a fresh adapter is the frozen map, bit for bit, whichever the bias`() throws {
    let generator = try Generator(seed: 1)
    let weight = try Tensor.normal([96, 700], from: generator)
    for bias in [nil, try Tensor.normal([96], from: generator)] {
      let linear = Linear(site: .lone(700, 96), weight: weight, bias: bias)
      let layer = try DoRALayer(DoRA(rank: 4), at: linear, device: .cpu, generator: generator)
      try expectClose(layer.magnitude.value, weight.squared().sum(1).sqrt(), tolerance: 1e-6)
      let input = try Tensor.normal([33, 700], from: generator)
      #expect(try layer.output(of: linear, input: input, pass: ForwardPass()).isEqual(to: linear(input)))
      #expect(try #require(layer.delta(of: linear)?.weight).norm() == 0)
    }
  }

  @Test func `dropout acts on the input of the whole change, and while training only`() throws {
    let (layer, linear) = try layer(DoRA(rank: 4, dropout: 0.5))
    let input = try Tensor.normal([20, 10], from: Generator(seed: 2))
    let dropped = try input.dropout(0.5, from: Generator(seed: 3))
    let adapted = try weight(layer, linear)
    let expected = try linear(input) + dropped.linear(adapted - linear.weight)
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let y = try layer.output(of: linear, input: input, pass: pass)
    try expectClose(y, expected, tolerance: 1e-6)
    let leaves = [layer.down.value, layer.up.value, layer.magnitude.value]
    for (found, expected) in zip(
      try gradients(of: y.sin().sum(), leaves), try gradients(of: expected.sin().sum(), leaves))
    { try expectClose(found, expected, tolerance: 1e-5) }
    try expectClose(
      layer.output(of: linear, input: input, pass: ForwardPass()), input.linear(adapted, linear.bias), tolerance: 1e-6)
  }

  @Test func `a base that trains too gets its gradient`() throws {
    let (layer, frozen) = try layer(DoRA(rank: 2))
    let linear = Linear(site: site, weight: try frozen.weight.clone().requiringGradient(), bias: frozen.bias)
    let input = try Tensor.normal([5, 10], from: Generator(seed: 2))
    let y = try layer.output(of: linear, input: input, pass: ForwardPass())
    let found = try gradients(of: y.sum(), [linear.weight])[0]
    let expected = try gradients(of: input.linear(weight(layer, linear)).sum(), [linear.weight])[0]
    try expectClose(found, expected, tolerance: 1e-5)
  }

  @Test func `a bfloat16 backbone is adapted in float32 and rounded once`() throws {
    let (layer, single) = try layer(DoRA(rank: 2))
    let linear = Linear(site: site, weight: try single.weight.to(.bfloat16), bias: nil)
    let input = try Tensor.normal([5, 10], from: Generator(seed: 2)).to(.bfloat16)
    let wide = Linear(site: site, weight: try linear.weight.to(.float32), bias: nil)
    let expected = try input.linear(weight(layer, wide).to(.bfloat16))
    let y = try layer.output(of: linear, input: input, pass: ForwardPass())
    #expect(y.dtype == .bfloat16)
    try expectClose(y, expected, tolerance: 0.01)
    let merged = try #require(layer.delta(of: linear)?.weight).merged(into: linear.weight)
    #expect(merged.dtype == .bfloat16)
    try expectClose(merged, weight(layer, wide), tolerance: 0.005)
  }

  @Test func `at the start B and the lengths move`() throws {
    let generator = try Generator(seed: 1)
    let linear = Linear(site: site, weight: try .normal([6, 10], from: generator), bias: nil)
    let layer = try DoRALayer(DoRA(rank: 4), at: linear, device: .cpu, generator: generator)
    let y = try layer.output(of: linear, input: .normal([5, 10], from: generator), pass: ForwardPass())
    let leaves = [layer.down.value, layer.up.value, layer.magnitude.value]
    let moves = try gradients(of: y.squared().sum(), leaves).map { try $0.abs().max().item() > 0.1 }
    #expect(moves == [false, true, true])
  }

  @Test func `parameters are named as PEFT names them, and the lengths do not decay`() throws {
    let model = try TinyBackbone(blocks: 1).adapted(by: .doRA(rank: 2), at: .proj)
    let names = ["lora_A", "lora_B", "lora_magnitude_vector"].map { "blocks.0.attn.proj.\($0)" }
    #expect(model.adapter.parameters.map(\.name) == names)
    #expect(model.adapter.parameters.map(\.value.shape) == [[2, 36], [12, 2], [12]])
    #expect(model.adapter.parameters.map(\.decays) == [true, true, false])
  }

  @Test func `parameter counts on ViT-B are LoRA's and one for each output`() throws {
    let backbone = try ShapesOfViTB()
    func count(_ targets: Targets) throws -> Int {
      try backbone.adapted(by: .doRA(rank: 8), at: targets).adapter.parameterCount
    }
    #expect(try count(.qkv) == 294_912 + 12 * 2304)
    #expect(try count(.allLinear) == 1_179_648 + 12 * (2304 + 768 + 3072 + 768))
  }

  @Test func `scale, start and limits are LoRA's`() throws {
    var configuration = DoRA(rank: 4, alpha: 6, rankStabilized: true)
    #expect(configuration.scale == 3 && DoRA(rank: 4, alpha: 6).scale == 1.5 && DoRA().scale == 2)
    configuration.initialization = .gaussian
    #expect(configuration.direction.initialization == .gaussian)
    #expect(try thrown { try DoRA(rank: 7).validate([site]) } == .rank(7, site: "layer", limit: 6))
    #expect(
      try thrown { try DoRA(rank: 2, dropout: 1).validate([site]) }.description == "dropout is 1.0; it must be 0 ..< 1."
    )
  }
}
