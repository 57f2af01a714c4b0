import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct BottleneckTests {
  let generator: Generator
  let state: BranchState

  init() throws {
    generator = try Generator(seed: 1)
    state = BranchState(
      input: try generator.normal(2, 5, 6).requiringGradient(),
      stream: try generator.normal(2, 5, 6).requiringGradient(),
      output: try generator.normal(2, 5, 6).requiringGradient())
  }

  /// Four hidden units on a stream of six, float64, every number moved away from zero.
  func layer(
    _ input: Bottleneck.Input = .branch, _ activation: Bottleneck.Activation = .gelu, scale: Double = 1.5,
    gains: Int? = nil, dropout: Double = 0, dropPath: Double = 0
  ) throws -> BottleneckLayer {
    BottleneckLayer(
      down: try Parameter("down", generator.normal(4, 6, deviation: 0.5)),
      downBias: try Parameter("a", generator.normal(4)), up: try Parameter("up", generator.normal(6, 4)),
      upBias: try Parameter("c", generator.normal(6)),
      gain: try gains.map { try Parameter("scale", generator.normal($0)) },
      scale: scale, input: input, activation: activation, dropout: dropout, dropPath: dropPath)
  }

  /// `y + s·δ⊙(U·(mask ⊙ σ(D·h + a)) + c)`, written as it reads.
  func formula(_ layer: BottleneckLayer, mask: Tensor? = nil, kept: Tensor? = nil) throws -> Tensor {
    let read =
      switch layer.input {
      case .output, nil: state.output
      case .sum: try state.stream + state.output
      case .branch: state.input
      case .stream: state.stream
      }
    let x = try read.linear(layer.down.value, layer.downBias.value)
    var units =
      switch layer.activation {
      case .relu: try x.relu()
      case .gelu: try x.gelu()
      case .quickGELU: try x * (x * 1.702).sigmoid()
      case .swish: try x * x.sigmoid()
      }
    if let mask { units = try units * mask }
    var change = try units.linear(layer.up.value, layer.upBias.value) * layer.scale
    if let gain = layer.gain { change = try change * gain.value }
    if let kept { change = try change * kept }
    return try state.output + change
  }

  /// The tensors that the output depends on.
  func leaves(_ layer: BottleneckLayer) -> [Tensor] {
    let read: [Tensor] =
      switch layer.input {
      case .output, nil: []
      case .branch: [state.input]
      case .sum, .stream: [state.stream]
      }
    return [state.output] + read + layer.parameters.map(\.value)
  }

  @Test(arguments: Bottleneck.Input.allCases, Bottleneck.Activation.allCases)
  func `output and gradients are the formula's, whatever it reads, with any activation`(
    _ input: Bottleneck.Input, _ activation: Bottleneck.Activation
  ) throws {
    for gains in [nil, 1, 6] {
      let layer = try layer(input, activation, gains: gains)
      let (found, expected) = (try layer.output(state, pass: ForwardPass()), try formula(layer))
      try expectClose(found, expected)
      let weights = try generator.normal(2, 5, 6)
      let ours = try gradients(of: (found * weights).sum(), leaves(layer))
      let theirs = try gradients(of: (expected * weights).sum(), leaves(layer))
      #expect(ours.count == (input == .output ? 5 : 6) + (gains == nil ? 0 : 1))
      for (one, other) in zip(ours, theirs) { try expectClose(one, other) }
    }
  }

  @Test(arguments: Bottleneck.Activation.allCases)
  func `gradients are the slopes`(_ activation: Bottleneck.Activation) throws {
    let layer = try layer(.sum, activation, gains: 6)
    func loss() throws -> Tensor { try layer.output(state, pass: ForwardPass()).squared().sum() }
    for (leaf, gradient) in zip(leaves(layer), try gradients(of: loss(), leaves(layer))) {
      try expectClose(gradient, differences(of: leaf, loss), tolerance: 1e-7)
    }
  }

  /// As in a block of BERT: the branch is given the stream, and a LayerNorm without tensors follows the sum.
  func postNorm() -> BranchState {
    BranchState(input: state.stream, stream: state.stream, output: state.output) {
      try $0.layerNorm(width: 6, weight: nil, bias: nil, epsilon: 1e-5)
    }
  }

  @Test func `where a LayerNorm follows the sum, the stream after the branch is what it makes`() throws {
    let state = postNorm()
    let layer = try layer(.sum, .gelu)
    func formula() throws -> Tensor {
      let sum = try state.stream + state.output
      let x = try (sum - sum.mean(-1, keep: true)) / (sum.variance(-1, correction: 0, keep: true) + 1e-5).sqrt()
      let units = try x.linear(layer.down.value, layer.downBias.value).gelu()
      return try state.output + units.linear(layer.up.value, layer.upBias.value) * layer.scale
    }
    let found = try layer.output(state, pass: ForwardPass())
    try expectClose(found, formula(), tolerance: 1e-10)
    let leaves = [state.stream, state.output] + layer.parameters.map(\.value)
    let weights = try generator.normal(2, 5, 6)
    let ours = try gradients(of: (found * weights).sum(), leaves)
    for (one, other) in zip(ours, try gradients(of: (formula() * weights).sum(), leaves)) {
      try expectClose(one, other, tolerance: 1e-9)
    }
  }

  @Test
  func `without a choice it reads what is after the LayerNorm behind the sum, and where none is the branch's output`()
    throws
  {
    let generator = try Generator(seed: 4)
    let open = BottleneckLayer(
      down: try Parameter("down", generator.normal(4, 6, deviation: 0.5)),
      downBias: try Parameter("a", generator.normal(4)), up: try Parameter("up", generator.normal(6, 4)),
      upBias: try Parameter("c", generator.normal(6)), gain: nil, scale: 1, input: nil, activation: .relu, dropout: 0,
      dropPath: 0)
    for (state, input) in [(state, Bottleneck.Input.output), (postNorm(), .sum)] {
      let chosen = BottleneckLayer(
        down: open.down, downBias: open.downBias, up: open.up, upBias: open.upBias, gain: nil, scale: 1, input: input,
        activation: .relu, dropout: 0, dropPath: 0)
      #expect(try open.output(state, pass: ForwardPass()).isEqual(to: chosen.output(state, pass: ForwardPass())))
    }
  }

  @Test func `a branch of a frozen stream gets no gradient, and the parameters still do`() throws {
    for input in Bottleneck.Input.allCases {
      let layer = try layer(input, gains: 1)
      let frozen = BranchState(
        input: try state.input.detached(), stream: try state.stream.detached(), output: try state.output.detached())
      let found = try gradients(
        of: layer.output(frozen, pass: ForwardPass()).squared().sum(), layer.parameters.map(\.value))
      let expected = try gradients(of: formula(layer).squared().sum(), layer.parameters.map(\.value))
      for (one, other) in zip(found, expected) { try expectClose(one, other) }
    }
  }

  @Test func `dropout takes hidden units, while training only`() throws {
    let layer = try layer(.output, dropout: 0.5)
    let mask = try Tensor.dropoutMask([10, 4], rate: 0.5, dtype: .float64, from: Generator(seed: 3))
    let zeros = try mask.equals(0).to(.float64).sum().item()
    #expect(zeros > 8 && zeros < 32)
    let trained = try layer.output(state, pass: ForwardPass(.training(Generator(seed: 3))))
    let expected = try formula(layer, mask: mask.reshaped(2, 5, 4))
    try expectClose(trained, expected)
    for (one, other) in zip(
      try gradients(of: trained.squared().sum(), leaves(layer)),
      try gradients(of: expected.squared().sum(), leaves(layer)))
    {
      try expectClose(one, other)
    }
    try expectClose(layer.output(state, pass: ForwardPass()), formula(layer))
  }

  @Test func `drop path takes the whole change of a sample, its bias with it, while training only`() throws {
    let layer = try layer(.sum, gains: 6, dropPath: 0.4)
    for seed in UInt64(1)...8 {
      let kept = try Tensor.dropoutMask([2, 1], rate: 0.4, dtype: .float64, from: Generator(seed: seed))
      let trained = try layer.output(state, pass: ForwardPass(.training(Generator(seed: seed))))
      let expected = try formula(layer, kept: kept.reshaped(2, 1, 1))
      try expectClose(trained, expected)
      for sample in 0..<2 where try kept.doubles()[sample] == 0 {
        #expect(try trained.select(0, sample).isEqual(to: state.output.select(0, sample)))
      }
      for (one, other) in zip(
        try gradients(of: trained.squared().sum(), leaves(layer)),
        try gradients(of: expected.squared().sum(), leaves(layer)))
      {
        try expectClose(one, other)
      }
    }
    try expectClose(layer.output(state, pass: ForwardPass()), formula(layer))
  }

  @Test func `what it is given stays as it was`() throws {
    let before = try state.output.detached().clone()
    _ = try layer(.output).output(state, pass: ForwardPass())
    #expect(try state.output.isEqual(to: before))
  }

  /// As `configuration` starts a branch of width 400 with 40 hidden units.
  func start(_ initialization: Bottleneck.Initialization) throws -> [Tensor] {
    let fresh = try initialization.fresh(hidden: 40, width: 400, device: .cpu, generator: generator)
    #expect(fresh.down.shape == [40, 400] && fresh.downBias.shape == [40])
    #expect(fresh.up.shape == [400, 40] && fresh.upBias.shape == [400])
    return [fresh.down, fresh.downBias, fresh.up, fresh.upBias]
  }

  @Test func `the matrices start as the initialization says, the biases at zero`() throws {
    func deviation(_ tensor: Tensor) throws -> Double { try tensor.variance().sqrt().item() }
    func largest(_ tensor: Tensor) throws -> Double { try tensor.abs().max().item() }
    let normal = try start(.normal(deviation: 0.02))
    let truncated = try start(.truncatedNormal(deviation: 0.01))
    let xavier = try start(.xavier)
    let zeroUp = try start(.zeroUp)
    for matrix in [0, 2] {
      #expect(try abs(deviation(normal[matrix]) / 0.02 - 1) < 0.03)
      #expect(try largest(normal[matrix]) > 0.06)
      // A normal distribution cut at two deviations has 0.8796 of its deviation left.
      #expect(try abs(deviation(truncated[matrix]) / 0.008796 - 1) < 0.03)
      #expect(try largest(truncated[matrix]) <= 0.02)
      #expect(try largest(truncated[matrix]) > 0.0199)
      let bound = (6.0 / 440).squareRoot()
      #expect(try largest(xavier[matrix]) <= bound && largest(xavier[matrix]) > 0.999 * bound)
      #expect(try largest(xavier[matrix + 1]) < 5e-6 && largest(xavier[matrix + 1]) > 1e-6)
      for start in [normal, truncated, zeroUp] { #expect(try largest(start[matrix + 1]) == 0) }
    }
    #expect(try largest(zeroUp[0]) <= 0.05 && largest(zeroUp[0]) > 0.0499)
    #expect(try largest(zeroUp[2]) == 0)
  }

  /// How far each of `D, a, U, c` goes in two steps of gradient descent.
  func moves(_ layer: BottleneckLayer) throws -> [Double] {
    let values = layer.parameters.map(\.value)
    let old = try values.map { try $0.detached().clone() }
    for _ in 0..<2 {
      let found = try gradients(of: layer.output(state, pass: ForwardPass()).squared().sum(), values)
      try withoutGradients {
        for (value, gradient) in zip(values, found) { try value.addInPlace(gradient, scale: -0.01) }
      }
    }
    return try zip(values, old).map { try $0.distance(to: $1) }
  }

  @Test(arguments: Bottleneck.Activation.allCases)
  func `two matrices of zeros never move, and no initialization starts so`(_ activation: Bottleneck.Activation) throws {
    let dead = try layer(.stream, activation)
    try withoutGradients { for parameter in dead.parameters { try parameter.value.fillInPlace(0) } }
    let stuck = try moves(dead)
    #expect(stuck[0] == 0 && stuck[2] == 0 && stuck[3] > 0.1)
    let starts: [Bottleneck.Initialization] = [
      .normal(deviation: 0.02), .truncatedNormal(deviation: 0.01), .xavier, .zeroUp,
    ]
    for initialization in starts {
      let fresh = try initialization.fresh(hidden: 4, width: 6, device: .cpu, generator: generator)
      let alive = try layer(.stream, activation)
      for (parameter, value) in zip(alive.parameters, [fresh.down, fresh.downBias, fresh.up, fresh.upBias]) {
        try parameter.load(value)
      }
      let moved = try moves(alive)
      #expect(moved[0] > 1e-5 && moved[2] > 1e-5, "\(initialization)")
    }
  }

  @Test func `settings that do not fit are refused`() throws {
    func message(_ change: (inout Pfeiffer) -> Void) throws -> String {
      var configuration = Pfeiffer()
      change(&configuration)
      return try thrown { try configuration.validate([]) }.description
    }
    #expect(try message { $0.width = 0 } == "width is 0.0; it must be 1 to 65536.")
    #expect(try message { $0.dropout = 1 } == "dropout is 1.0; it must be 0 ..< 1.")
    #expect(try message { $0.dropout = .nan } == "dropout is nan; it must be 0 ..< 1.")
    #expect(try message { $0.scale = 0 } == "scale is 0.0; it must be a finite number other than 0.")
    #expect(try message { $0.scale = .infinity } == "scale is inf; it must be a finite number other than 0.")
    for initialization in [Bottleneck.Initialization.normal(deviation: 0), .truncatedNormal(deviation: 0)] {
      #expect(
        try message { $0.initialization = initialization }
          == "deviation is 0.0; it must be 1e-06 or more: two matrices of zeros never learn.")
    }
    var plus = AdapterPlus()
    plus.dropPath = -0.1
    #expect(try thrown { try plus.validate([]) }.description == "dropPath is -0.1; it must be 0 ..< 1.")
    #expect(throws: Never.self) { try Pfeiffer(width: 1).validate([]) }
  }

  @Test func `a block without the branch is an error, not passed over`() throws {
    let sites = [Site(name: "blocks.7.mlp.fc1", block: 7, role: .fc1, inFeatures: 12, outFeatures: 24)]
    let error = try thrown {
      _ = try Houlsby().parts(for: sites, of: TinyBackbone(), generator: generator)
    }
    #expect(
      error.description == """
        HOULSBY stands at the residual branches, and the backbone names no attention branch in block 7. Choose other \
        blocks, or a method for linear maps.
        """)
  }

  struct Published: Sendable, CustomTestStringConvertible {
    let folder: String
    let configuration: any AdapterConfiguration
    let blocks: Blocks
    var testDescription: String { folder }
  }

  static let published: [Published] = {
    var double = Houlsby(width: 4)
    double.activation = .gelu
    var sequential = Pfeiffer(width: 3)
    sequential.input = .sum
    var parallel = ParallelAdapter(width: 3)
    parallel.input = .stream
    parallel.scale = 3
    var learned = parallel
    learned.learnsScale = true
    return [
      Published(folder: "double", configuration: double, blocks: .all),
      Published(folder: "sequential", configuration: sequential, blocks: .all),
      Published(folder: "leave-out", configuration: sequential, blocks: .last(1)),
      Published(folder: "parallel", configuration: parallel, blocks: .all),
      Published(folder: "learned-scale", configuration: learned, blocks: .all),
      Published(folder: "plus", configuration: AdapterPlus(width: 3), blocks: .all),
    ]
  }()

  @Test(arguments: published)
  func `with AdapterHub's weights it gives AdapterHub's features`(_ published: Published) throws {
    let folder = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/peft/vit")
    let backbone = try VisionTransformer(from: folder)
    let weights = try Fixture("adapterhub/\(published.folder)/adapter")
    let model = try backbone.adapted(by: published.configuration, blocks: published.blocks)
    for parameter in model.adapter.parameters {
      let words = parameter.name.split(separator: ".")
      let place = words[2] == "attn" ? "attention_adapters" : "output.output_adapters"
      let tensor = words.dropFirst(4).joined(separator: ".").replacing("down.", with: "adapter_down.0.")
        .replacing("up.", with: "adapter_up.").replacing("scale", with: "scaling")
      try parameter.load(weights["vit.encoder.layer.\(words[1]).\(place).adapters.pets.\(tensor)"])
    }
    let features = try model.features(Fixture("peft/vit/reference")["input"])
    try expectClose(features, Fixture("adapterhub/\(published.folder)/reference")["features"], tolerance: 1e-5)
  }
}

/// A change of the residual branches, written in a test.
struct BranchFormula: Adaptation {
  let change: @Sendable (Branch, BranchState) throws -> Tensor

  func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor {
    try change(branch, state)
  }
}

extension AdaptedModel {
  /// `σ(h·Dᵀ + a)·Uᵀ + c` with the parameters at a branch; nil where there are none.
  func bottleneck(_ branch: Branch, _ h: Tensor, _ activation: (Tensor) throws -> Tensor) throws -> Tensor? {
    func value(_ name: String) -> Tensor? {
      adapter.parameters.first { $0.name == "\(branch.name).adapter.\(name)" }?.value
    }
    guard let down = value("down.weight"), let up = value("up.weight") else { return nil }
    return try activation(h.linear(down, value("down.bias"))).linear(up, value("up.bias"))
  }

  /// Whether a perturbed adapter on a real vision transformer gives what `change` says of each branch.
  func expectFormula(
    atLeast: Double = 0.1, sourceLocation: SourceLocation = #_sourceLocation,
    _ change: @escaping @Sendable (AdaptedModel, Branch, BranchState) throws -> Tensor
  ) throws {
    try adapter.perturb()
    let images = try Tensor.normal([2, 3, 16, 16], from: Generator(seed: 5))
    let formula = BranchFormula { try change(self, $0, $1) }
    let found = try features(images)
    try expectClose(
      found, backbone.features(images, adaptation: formula, pass: ForwardPass()), tolerance: 1e-5,
      sourceLocation: sourceLocation)
    #expect(try found.distance(to: backbone.features(images)) > atLeast, sourceLocation: sourceLocation)
  }
}
