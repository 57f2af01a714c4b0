import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct LoHaTests {
  let site = Site.lone(10, 6)

  func layer(_ configuration: LoHa, site: Site? = nil) throws -> (LoHaLayer, Linear) {
    let (site, generator) = (site ?? self.site, try Generator(seed: 1))
    let layer = try LoHaLayer(configuration, at: site, device: .cpu, generator: generator)
    try layer.secondDown.load(.normal(layer.secondDown.value.shape, from: generator))
    let linear = Linear(
      site: site, weight: try .normal([site.outFeatures, site.inFeatures], from: generator),
      bias: try .normal([site.outFeatures], from: generator))
    return (layer, linear)
  }

  func dense(_ layer: LoHaLayer) throws -> Tensor {
    try layer.firstUp.value.matmul(layer.firstDown.value) * layer.secondUp.value.matmul(layer.secondDown.value)
  }

  @Test func `the scale is alpha over the rank, and one unless alpha is given`() {
    #expect(LoHa(rank: 4, alpha: 6).scale == 1.5)
    #expect(LoHa(rank: 4).scale == 1 && LoHa().scale == 1 && LoHa().rank == 8)
  }

  /// Rank 1 rides as a low rank, rank 3 as the dense change.
  @Test(arguments: [1, 3])
  func `the output is the base's plus the scaled product, training or not`(rank: Int) throws {
    let (layer, linear) = try layer(LoHa(rank: rank, alpha: 6))
    let input = try Tensor.normal([2, 3, 10], from: Generator(seed: 2))
    let expected = try linear(input) + input.linear(dense(layer)) * (6 / Double(rank))
    try expectClose(layer.output(of: linear, input: input, pass: ForwardPass()), expected, tolerance: 1e-6)
    let training = try ForwardPass(.training(Generator(seed: 3)))
    try expectClose(layer.output(of: linear, input: input, pass: training), expected, tolerance: 1e-6)
    let delta = try #require(layer.delta(of: linear)?.weight)
    try expectClose(input.linear(delta.merged(into: linear.weight), linear.bias), expected, tolerance: 1e-6)
  }

  @Test(arguments: ["loha", "loha-wide"])
  func `the numbers of PEFT's layer`(_ name: String) throws {
    let reference = try PEFTLayer(name)
    try reference.expect(
      HadamardDelta(
        firstUp: reference["hada_w1_a"], firstDown: reference["hada_w1_b"], secondUp: reference["hada_w2_a"],
        secondDown: reference["hada_w2_b"], scale: name == "loha" ? 1.5 : 2),
      ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"]
    ) { delta, linear, x in
      try delta.lowRank?.output(of: linear, input: x) ?? DenseDelta(delta.materialized()).output(of: linear, input: x)
    }
  }

  @Test(arguments: [1, 3])
  func `gradients are those of the plain formula`(rank: Int) throws {
    let (layer, linear) = try layer(LoHa(rank: rank, alpha: 6))
    let input = try Tensor.normal([5, 10], from: Generator(seed: 2)).requiringGradient()
    let leaves = [input, layer.firstUp.value, layer.firstDown.value, layer.secondUp.value, layer.secondDown.value]
    let plain = try linear(input) + input.linear(dense(layer)) * (6 / Double(rank))
    let y = try layer.output(of: linear, input: input, pass: ForwardPass())
    let found = try gradients(of: y.sin().sum(), leaves)
    for (found, expected) in zip(found, try gradients(of: plain.sin().sum(), leaves)) {
      try expectClose(found, expected, tolerance: 1e-5)
    }
  }

  @Test func `rank dropout drops rows of the change, keeps their mean, and only while training`() throws {
    var configuration = LoHa(rank: 2)
    configuration.rankDropout = 0.5
    let (layer, linear) = try layer(configuration, site: .lone(10, 60))
    let input = try Tensor.normal([20, 10], from: Generator(seed: 2))
    let base = try linear(input)
    let full = try layer.output(of: linear, input: input, pass: ForwardPass()) - base
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let change = try layer.output(of: linear, input: input, pass: pass) - base
    let kept = try change.abs().max(0).isGreater(than: 1e-5).to(.float32)
    #expect((20...40).contains(try kept.sum().integer()))
    try expectClose(change, full * kept * 2, tolerance: 1e-5)
  }

  @Test func `module dropout leaves the base alone, as often as it says`() throws {
    var configuration = LoHa(rank: 2)
    configuration.moduleDropout = 0.25
    let (layer, linear) = try layer(configuration)
    let input = try Tensor.normal([1, 10], from: Generator(seed: 2))
    let base = try linear(input)
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let dropped = try (0..<400).count { _ in
      try layer.output(of: linear, input: input, pass: pass).isEqual(to: base)
    }
    #expect(abs(dropped - 100) < 30)
    #expect(try !layer.output(of: linear, input: input, pass: ForwardPass()).isEqual(to: base))
  }

  @Test func `all start uniform by their width but the last, which is zero and alone moves`() throws {
    let generator = try Generator(seed: 1)
    let layer = try LoHaLayer(LoHa(rank: 16), at: .lone(400, 300), device: .cpu, generator: generator)
    for (parameter, shape, bound) in [
      (layer.firstUp, [300, 16], 0.25), (layer.firstDown, [16, 400], 0.05), (layer.secondUp, [300, 16], 0.25),
    ] {
      #expect(parameter.value.shape == shape)
      #expect(try parameter.value.abs().max().item() <= bound)
      #expect(try abs(parameter.value.variance().sqrt().item() / (bound / 3.0.squareRoot()) - 1) < 0.03)
    }
    #expect(layer.secondDown.value.shape == [16, 400])
    #expect(try layer.secondDown.value.abs().max().item() == 0)
    let linear = Linear(site: .lone(400, 300), weight: try .normal([300, 400], from: generator), bias: nil)
    let input = try Tensor.normal([5, 400], from: generator)
    let y = try layer.output(of: linear, input: input, pass: ForwardPass())
    #expect(try y.isEqual(to: linear(input)))
    let leaves = [layer.firstUp, layer.firstDown, layer.secondUp, layer.secondDown].map(\.value)
    let moves = try gradients(of: y.squared().sum(), leaves).map { try $0.abs().max().item() > 0 }
    #expect(moves == [false, false, false, true])
  }

  @Test func `parameters are named as PEFT names them`() throws {
    let model = try TinyBackbone(blocks: 1).adapted(by: .loHa(rank: 2), at: .proj)
    let names = ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"].map { "blocks.0.attn.proj.\($0)" }
    #expect(model.adapter.parameters.map(\.name) == names)
    #expect(model.adapter.parameters.map(\.value.shape) == [[12, 2], [2, 36], [12, 2], [2, 36]])
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    func count(_ targets: Targets) throws -> Int {
      try backbone.adapted(by: .loHa(rank: 8), at: targets).adapter.parameterCount
    }
    #expect(try count(.allLinear) == 2_359_296)
    #expect(try count(.queryAndValue) == 589_824)
  }

  @Test func `settings that do not fit are refused`() throws {
    func refusal(_ change: (inout LoHa) -> Void) throws -> AdapterError {
      var configuration = LoHa(rank: 2)
      change(&configuration)
      return try thrown { try configuration.validate([site]) }
    }
    #expect(try refusal { $0.rank = 7 } == .rank(7, site: "layer", limit: 6))
    #expect(try refusal { $0.rank = 0 } == .rank(0, site: "layer", limit: 6))
    #expect(try refusal { $0.rankDropout = 1 }.description == "rankDropout is 1.0; it must be 0 ..< 1.")
    #expect(try refusal { $0.moduleDropout = -0.1 }.description == "moduleDropout is -0.1; it must be 0 ..< 1.")
    #expect(try refusal { $0.alpha = .infinity }.description == "alpha is inf; it must be a finite number.")
    #expect(throws: Never.self) { try LoHa(rank: 6).validate([site]) }
  }
}

/// A layer of `peft_layers.safetensors`: parameters, output and gradients as PEFT computes them.
struct PEFTLayer {
  private let name: String
  private let fixture: Fixture
  /// By PEFT's name for them.
  let parameters: [String: Tensor]

  init(_ name: String) throws {
    self.name = name
    let fixture = try Fixture("peft_layers")
    self.fixture = fixture
    parameters = try Dictionary(
      uniqueKeysWithValues: [
        "lora_A", "lora_B", "lora_magnitude_vector", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "lokr_w1",
        "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b",
      ].compactMap { parameter in
        guard let value = try? fixture["\(name).\(parameter)"] else { return nil }
        return (parameter, try value.clone().requiringGradient())
      })
  }

  subscript(parameter: String) -> Tensor { get throws { try #require(parameters[parameter]) } }

  /// Output and gradients, to float64's precision.
  func expect<Change>(
    _ change: Change, _ names: [String], output: (Change, Linear, Tensor) throws -> Tensor
  ) throws {
    let x = try fixture["x"].clone().requiringGradient()
    let linear = Linear(site: .lone(24, 40), weight: try fixture["weight"], bias: try fixture["bias"])
    let y = try output(change, linear, x)
    try expectClose(y, fixture["\(name).y"])
    #expect(names.sorted() == parameters.keys.sorted())
    let found = try gradients(of: (y * fixture["y.weights"]).sum(), [x] + names.map { try self[$0] })
    for (found, parameter) in zip(found, ["x"] + names) {
      try expectClose(found, fixture["\(name).gradient.\(parameter)"])
    }
  }
}
