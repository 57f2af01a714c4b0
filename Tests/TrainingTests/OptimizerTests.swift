import NeuralNetworks
import Tensors
import Testing

@testable import Training

@Suite @Compute struct OptimizerTests {
  /// Adam written out in doubles: Kingma and Ba 2015, algorithm 1.
  struct Reference {
    var value: Double
    var mean = 0.0
    var square = 0.0
    var count = 0.0

    mutating func step(_ gradient: Double, rate: Double, decay: Double = 0, decoupled: Bool = false) {
      var gradient = gradient
      if decoupled { value -= rate * decay * value } else { gradient += decay * value }
      count += 1
      mean = 0.9 * mean + 0.1 * gradient
      square = 0.999 * square + 0.001 * gradient * gradient
      let (m, v) = (mean / (1 - power(0.9, count)), square / (1 - power(0.999, count)))
      value -= rate * m / (v.squareRoot() + 1e-8)
    }

    private func power(_ base: Double, _ exponent: Double) -> Double {
      (0..<Int(exponent)).reduce(1) { product, _ in product * base }
    }
  }

  static let gradients = [0.5, -1.5, 0.25, 2, -0.125]

  @Test(arguments: [OptimizerSettings.Kind.adam, .adamW])
  func `steps are those of the algorithm, with weight decay`(_ kind: OptimizerSettings.Kind) throws {
    let parameter = try Parameter("w", Tensor([3.0 as Float], shape: [1, 1]))
    let optimizer = try Optimizer(OptimizerSettings(kind, weightDecay: 0.1), groups: [.init([parameter])])
    var reference = Reference(value: 3)
    for gradient in Self.gradients {
      try parameter.value.setGradient(Tensor([Float(gradient)], shape: [1, 1]))
      try optimizer.step(rate: 0.05)
      reference.step(gradient, rate: 0.05, decay: 0.1, decoupled: kind == .adamW)
      #expect(abs(try parameter.value.detached().item() - reference.value) < 2e-6)
    }
  }

  @Test func `a vector gets no weight decay and a group its own rate`() throws {
    let bias = try Parameter("b", Tensor([3.0 as Float]))
    let head = try Parameter("head", Tensor([3.0 as Float]))
    let optimizer = try Optimizer(
      OptimizerSettings(.adamW, weightDecay: 0.5), groups: [.init([bias]), .init([head], rateMultiplier: 10)])
    var slow = Reference(value: 3)
    var fast = Reference(value: 3)
    for gradient in Self.gradients {
      try bias.value.setGradient(Tensor([Float(gradient)]))
      try head.value.setGradient(Tensor([Float(gradient)]))
      try optimizer.step(rate: 0.01)
      slow.step(gradient, rate: 0.01)
      fast.step(gradient, rate: 0.1)
    }
    #expect(abs(try bias.value.detached().item() - slow.value) < 2e-6)
    #expect(abs(try head.value.detached().item() - fast.value) < 2e-6)
  }

  @Test func `a parameter without a gradient stays as it is`() throws {
    let still = try Parameter("still", Tensor([1.0 as Float, 2]))
    let moving = try Parameter("moving", Tensor([1.0 as Float]))
    let optimizer = try Optimizer(OptimizerSettings(), groups: [.init([still, moving])])
    try moving.value.setGradient(Tensor([1.0 as Float]))
    try optimizer.step(rate: 0.1)
    #expect(try still.value.floats() == [1, 2])
    #expect(abs(try moving.value.floats()[0] - 0.9) < 1e-6)
  }

  @Test func `a saved state goes on bit for bit`() throws {
    func make() throws -> (Parameter, Optimizer) {
      let parameter = try Parameter("w", Tensor([1.0 as Float, -2, 0.5], shape: [3, 1]))
      return (parameter, try Optimizer(OptimizerSettings(), groups: [.init([parameter])]))
    }
    func step(_ parameter: Parameter, _ optimizer: Optimizer, _ gradient: Float) throws {
      try parameter.value.setGradient(Tensor([gradient, -gradient, 3 * gradient], shape: [3, 1]))
      try optimizer.step(rate: 0.03)
    }
    let (straight, first) = try make()
    for gradient in [0.1, 0.7, -0.3, 0.9] as [Float] { try step(straight, first, gradient) }

    let (before, second) = try make()
    for gradient in [0.1, 0.7] as [Float] { try step(before, second, gradient) }
    let (after, third) = try make()
    try after.load(before.value)
    try third.restore(Dictionary(uniqueKeysWithValues: second.state().map { ($0.name, try $0.tensor.clone()) }))
    for gradient in [-0.3, 0.9] as [Float] { try step(after, third, gradient) }
    #expect(try after.value.isEqual(to: straight.value))
  }

  @Test func `a state of other parameters is refused, both sides listed`() throws {
    let optimizer = try Optimizer(OptimizerSettings(), groups: [.init([try Parameter("w", Tensor([1.0 as Float]))])])
    let state = ["mean.w": try Tensor([1.0 as Float]), "mean.u": try Tensor([1.0 as Float])]
    #expect(throws: OptimizerError.state(missing: ["square.w", "steps.w"], unknown: ["mean.u"])) {
      try optimizer.restore(state)
    }
  }

  @Test func `clipping keeps the direction and limits the norm`() throws {
    let first = try Parameter("a", Tensor([0.0 as Float, 0]))
    let second = try Parameter("b", Tensor([0.0 as Float]))
    let optimizer = try Optimizer(OptimizerSettings(), groups: [.init([first]), .init([second])])
    try first.value.setGradient(Tensor([2.0 as Float, 3]))
    try second.value.setGradient(Tensor([6.0 as Float]))
    let norm = try optimizer.gradientNorm()
    #expect(abs(norm - 7) < 1e-6)
    try optimizer.clipGradients(norm: norm, to: 3.5)
    let clipped = (try #require(try first.value.gradient()), try #require(try second.value.gradient()))
    #expect(try clipped.0.isClose(to: Tensor([1.0 as Float, 1.5]), tolerance: 1e-5))
    #expect(try clipped.1.isClose(to: Tensor([3.0 as Float]), tolerance: 1e-5))
    try optimizer.clipGradients(norm: 3.5, to: 100)
    #expect(abs(try optimizer.gradientNorm() - 3.5) < 1e-5)
  }

  @Test func `the first parameter whose gradient is not finite is named`() throws {
    let good = try Parameter("good", Tensor([1.0 as Float]))
    let bad = try Parameter("bad", Tensor([1.0 as Float, 1]))
    let optimizer = try Optimizer(OptimizerSettings(), groups: [.init([good, bad])])
    try good.value.setGradient(Tensor([1.0 as Float]))
    try bad.value.setGradient(Tensor([1.0 as Float, .nan]))
    #expect(throws: OptimizerError.gradientNotFinite("bad")) { try optimizer.gradientNorm() }
  }

  @Test func `a step over lists of different length is refused`() throws {
    let one = try Tensor([1.0 as Float])
    #expect(throws: TensorError.count(0, shape: [1])) {
      try AdamStep(rate: 0.1)(parameters: [one], gradients: [one], means: [], squares: [one], steps: [one])
    }
  }

  @Test func `two parameters of one name are refused`() throws {
    let twice = [try Parameter("w", Tensor([1.0 as Float])), try Parameter("w", Tensor([2.0 as Float]))]
    #expect(throws: OptimizerError.duplicate("w")) {
      try Optimizer(OptimizerSettings(), groups: [.init(twice)])
    }
  }
}
