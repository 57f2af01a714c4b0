import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct LoKrTests {
  /// Factor pairs 5·8 and 4·6.
  let site = Site.lone(24, 40)

  func layer(_ configuration: LoKr) throws -> (LoKrLayer, Linear) {
    let generator = try Generator(seed: 1)
    let layer = try LoKrLayer(configuration, at: site, device: .cpu, generator: generator)
    for parameter in layer.left.parameters { try parameter.load(.normal(parameter.value.shape, from: generator)) }
    let linear = Linear(
      site: site, weight: try .normal([40, 24], from: generator), bias: try .normal([40], from: generator))
    return (layer, linear)
  }

  func dense(_ layer: LoKrLayer) throws -> Tensor {
    func matrix(_ factor: LoKrLayer.Factor) throws -> Tensor {
      switch factor {
      case .dense(let matrix): matrix.value
      case .product(let up, let down): try up.value.matmul(down.value)
      }
    }
    return try Tensor.einsum("ac,be->abce", matrix(layer.left), matrix(layer.right)).reshaped(40, 24)
  }

  @Test func `factor pairs are the divisors closest to the root, the smaller first`() {
    for (dimension, pair) in [
      (768, (24, 32)), (2304, (48, 48)), (3072, (48, 64)), (127, (1, 127)), (128, (8, 16)), (256, (16, 16)),
      (1, (1, 1)),
      (12, (3, 4)), (1000, (25, 40)),
    ] { #expect(LoKr.factorPair(dimension) == pair) }
    for (dimension, factor, pair) in [
      (128, 4, (4, 32)), (768, 16, (16, 48)), (768, 5, (4, 192)), (30, 4, (3, 10)), (768, 1, (1, 768)),
      (768, 1000, (24, 32)), (128, 64, (64, 2)),
    ] { #expect(LoKr.factorPair(dimension, factor: factor) == pair) }
  }

  @Test func `the scale is alpha over the rank, even where nothing is decomposed`() throws {
    #expect(LoKr(rank: 4, alpha: 6).scale == 1.5)
    #expect(LoKr(rank: 4).scale == 1 && LoKr().scale == 1 && LoKr().rank == 8)
    #expect(try layer(LoKr(rank: 100, alpha: 50)).0.scale == 0.5)
  }

  @Test(arguments: [
    (LoKr(rank: 2), ["lokr_w1 [5, 4]", "lokr_w2_a [8, 2]", "lokr_w2_b [2, 6]"]),
    (LoKr(rank: 3), ["lokr_w1 [5, 4]", "lokr_w2_a [8, 3]", "lokr_w2_b [3, 6]"]),
    (LoKr(rank: 4), ["lokr_w1 [5, 4]", "lokr_w2 [8, 6]"]),
    (LoKr(rank: .max), ["lokr_w1 [5, 4]", "lokr_w2 [8, 6]"]),
    (
      LoKr(rank: 2, decomposeBoth: true),
      ["lokr_w1_a [5, 2]", "lokr_w1_b [2, 4]", "lokr_w2_a [8, 2]", "lokr_w2_b [2, 6]"]
    ),
    (LoKr(rank: 3, decomposeBoth: true), ["lokr_w1 [5, 4]", "lokr_w2_a [8, 3]", "lokr_w2_b [3, 6]"]),
    (LoKr(rank: 2, factor: 2), ["lokr_w1 [2, 2]", "lokr_w2_a [20, 2]", "lokr_w2_b [2, 12]"]),
  ])
  func `what twice the rank reaches is not decomposed`(_ configuration: LoKr, _ expected: [String]) throws {
    let layer = try LoKrLayer(configuration, at: site, device: .cpu, generator: Generator(seed: 1))
    let found = (layer.left.parameters + layer.right.parameters).map {
      "\($0.name.replacing("layer.", with: "")) \($0.value.shape)"
    }
    #expect(found == expected)
  }

  static let variants = [
    LoKr(rank: 2, alpha: 3), LoKr(rank: 2, alpha: 3, decomposeBoth: true), LoKr(rank: 8, alpha: 4),
    LoKr(rank: 1, alpha: 3, factor: 2),
  ]

  @Test(arguments: variants)
  func `the output is the base's plus the scaled Kronecker product, and so is the merged weight's`(
    _ configuration: LoKr
  ) throws {
    let (layer, linear) = try layer(configuration)
    let input = try Tensor.normal([2, 3, 24], from: Generator(seed: 2))
    let expected = try linear(input) + input.linear(dense(layer)) * configuration.scale
    try expectClose(layer.output(of: linear, input: input, pass: ForwardPass()), expected, tolerance: 1e-6)
    let training = try ForwardPass(.training(Generator(seed: 3)))
    try expectClose(layer.output(of: linear, input: input, pass: training), expected, tolerance: 1e-6)
    let delta = try #require(layer.delta(of: linear)?.weight)
    try expectClose(input.linear(delta.merged(into: linear.weight), linear.bias), expected, tolerance: 1e-6)
  }

  @Test(arguments: [("lokr", 2.0), ("lokr-both", 2), ("lokr-whole", 1.5), ("lokr-factor", 3)])
  func `the numbers of PEFT's layer`(_ name: String, _ scale: Double) throws {
    let reference = try PEFTLayer(name)
    var names: [String] = []
    func factor(_ name: String) throws -> KroneckerProductDelta.Factor {
      if let matrix = reference.parameters[name] {
        names.append(name)
        return .dense(matrix)
      }
      names += ["\(name)_a", "\(name)_b"]
      return .product(up: try reference["\(name)_a"], down: try reference["\(name)_b"])
    }
    let delta = KroneckerProductDelta(left: try factor("lokr_w1"), right: try factor("lokr_w2"), scale: scale)
    try reference.expect(delta, names) { try $0.output(of: $1, input: $2) }
    try reference.expect(delta, names) { try $1($2) + $0.apply(to: $2) }
  }

  @Test(arguments: [false, true])
  func `rank dropout drops rows of the change, scaled on request, and only while training`(scaled: Bool) throws {
    var configuration = LoKr(rank: 2)
    configuration.rankDropout = 0.5
    configuration.rankDropoutScale = scaled
    let (layer, linear) = try layer(configuration)
    let input = try Tensor.normal([20, 24], from: Generator(seed: 2))
    let base = try linear(input)
    let full = try layer.output(of: linear, input: input, pass: ForwardPass()) - base
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let change = try layer.output(of: linear, input: input, pass: pass) - base
    let kept = try change.abs().max(0).isGreater(than: 1e-5).to(.float32)
    #expect((10...30).contains(try kept.sum().integer()))
    try expectClose(change, full * kept * (scaled ? 2 : 1), tolerance: 1e-5)
  }

  @Test func `module dropout leaves the base alone, as often as it says`() throws {
    var configuration = LoKr(rank: 2)
    configuration.moduleDropout = 0.25
    let (layer, linear) = try layer(configuration)
    let input = try Tensor.normal([1, 24], from: Generator(seed: 2))
    let base = try linear(input)
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let dropped = try (0..<400).count { _ in
      try layer.output(of: linear, input: input, pass: pass).isEqual(to: base)
    }
    #expect(abs(dropped - 100) < 30)
  }

  @Test(arguments: [false, true])
  func `the left factor starts at zero, the rest uniform by its width`(decomposeBoth: Bool) throws {
    let configuration = LoKr(rank: 8, decomposeBoth: decomposeBoth)
    let site = Site.lone(3072, 2304)  // 48·64 and 48·48
    let layer = try LoKrLayer(configuration, at: site, device: .cpu, generator: Generator(seed: 1))
    #expect(try layer.left.parameters[0].value.abs().max().item() == 0)
    let uniform =
      (decomposeBoth ? [(layer.left.parameters[1], 48.0)] : []) + [
        (layer.right.parameters[0], 8.0), (layer.right.parameters[1], 64.0),
      ]
    for (parameter, width) in uniform {
      let bound = 1 / width.squareRoot()
      #expect(try parameter.value.abs().max().item() <= bound)
      #expect(try abs(parameter.value.variance().sqrt().item() / (bound / 3.0.squareRoot()) - 1) < 0.1)
    }
    let linear = Linear(site: site, weight: try .normal([2304, 3072], from: Generator(seed: 2)), bias: nil)
    let input = try Tensor.normal([2, 3072], from: Generator(seed: 3))
    #expect(try layer.output(of: linear, input: input, pass: ForwardPass()).isEqual(to: linear(input)))
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    func count(_ configuration: LoKr, _ targets: Targets) throws -> Int {
      try backbone.adapted(by: configuration, at: targets).adapter.parameterCount
    }
    #expect(try count(LoKr(rank: 8), .allLinear) == 80_640)
    #expect(try count(LoKr(rank: 8), .qkv) == 12 * (1152 + 640))
    #expect(try count(LoKr(rank: 8), .proj) == 12 * (576 + 512))
    #expect(try count(LoKr(rank: 8), .fc1) == 12 * (1152 + 768))
    #expect(try count(LoKr(rank: 8), .fc2) == 12 * (1152 + 768))
    #expect(try count(LoKr(rank: 8, decomposeBoth: true), .qkv) == 12 * (576 + 640))
  }

  @Test func `settings that do not fit are refused`() throws {
    func refusal(_ change: (inout LoKr) -> Void) throws -> String {
      var configuration = LoKr(rank: 2)
      change(&configuration)
      return try thrown { try configuration.validate([site]) }.description
    }
    #expect(try refusal { $0.rank = 0 } == "rank is 0.0; it must be at least 1.")
    #expect(try refusal { $0.factor = 0 } == "factor is 0.0; it must be at least 1.")
    #expect(try refusal { $0.rankDropout = 1 } == "rankDropout is 1.0; it must be 0 ..< 1.")
    #expect(try refusal { $0.moduleDropout = .nan } == "moduleDropout is nan; it must be 0 ..< 1.")
    #expect(try refusal { $0.alpha = -.infinity } == "alpha is -inf; it must be a finite number.")
    #expect(throws: Never.self) { try LoKr(rank: .max, factor: .max).validate([site]) }
  }
}
