import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// Every structure that rides in the base product, against the product and the change apart.
@Suite struct RidingDeltaTests {
  struct Structure: Sendable, CustomTestStringConvertible {
    let name: String
    let make: @Sendable (Generator) throws -> any RidingDelta
    var testDescription: String { name }
  }

  /// All `[10, 12]`, float64.
  static let structures: [Structure] = [
    Structure(name: "dense") { DenseDelta(try $0.normal(10, 12)) },
    Structure(name: "low rank") { try WeightDeltaTests.lowRank(10, 12, rank: 3, $0) },
    Structure(name: "Kronecker product, both dense") {
      try WeightDeltaTests.kroneckerProduct(dense: (2, 3), dense: (5, 4), $0)
    },
    Structure(name: "Kronecker product, right decomposed") {
      KroneckerProductDelta(
        left: .dense(try $0.normal(2, 3)), right: .product(up: try $0.normal(5, 2), down: try $0.normal(2, 4)),
        scale: 1.5)
    },
    Structure(name: "Kronecker product, left decomposed") {
      KroneckerProductDelta(
        left: .product(up: try $0.normal(5, 2), down: try $0.normal(2, 4)), right: .dense(try $0.normal(2, 3)),
        scale: -0.5)
    },
    Structure(name: "Kronecker product, both decomposed") {
      KroneckerProductDelta(
        left: .product(up: try $0.normal(5, 1), down: try $0.normal(1, 3)),
        right: .product(up: try $0.normal(2, 3), down: try $0.normal(3, 4)), scale: 3)
    },
  ]

  let weight, bias, input: Tensor

  init() throws {
    let generator = try Generator(seed: 3)
    weight = try generator.normal(10, 12)
    bias = try generator.normal(10)
    input = try generator.normal(2, 3, 12).requiringGradient()
  }

  func delta(_ structure: Structure) throws -> any RidingDelta {
    try structure.make(Generator(seed: 1)).mapFactors { try $0.requiringGradient() }
  }

  @Test(arguments: structures)
  func `the output is that of the weight and its change`(_ structure: Structure) throws {
    let delta = try delta(structure)
    let expected = try input.linear(weight + delta.materialized())
    try expectClose(delta.added(to: weight), weight + delta.materialized())
    try expectClose(delta.output(weight: weight, bias: bias, input: input), expected + bias)
    try expectClose(delta.output(weight: weight, bias: nil, input: input), expected)
  }

  @Test(arguments: structures)
  func `gradients are those of plain autograd and of finite differences`(_ structure: Structure) throws {
    let delta = try delta(structure)
    let weights = try Generator(seed: 4).normal(2, 3, 10)
    func loss() throws -> Tensor { try (delta.output(weight: weight, bias: bias, input: input).sin() * weights).sum() }
    let plain = try ((input.linear(weight, bias) + delta.apply(to: input)).sin() * weights).sum()
    let leaves = [input] + delta.factors
    let found = try gradients(of: loss(), leaves)
    for ((found, expected), leaf) in zip(zip(found, try gradients(of: plain, leaves)), leaves) {
      try expectClose(found, expected, tolerance: 1e-11)
      try expectClose(found, differences(of: leaf, loss), tolerance: 1e-7)
    }
  }

  @Test(arguments: structures)
  func `each factor gets its gradient where it alone trains`(_ structure: Structure) throws {
    let (delta, fixed) = (try delta(structure), try input.detached())
    let all = try gradients(of: delta.output(weight: weight, bias: nil, input: fixed).sum(), delta.factors)
    for (index, expected) in all.enumerated() {
      var next = (0...).makeIterator()
      let one = try delta.mapFactors { try next.next() == index ? $0 : $0.detached() }
      let found = try gradients(
        of: one.output(weight: weight, bias: nil, input: fixed).sum(), [delta.factors[index]])
      try expectClose(found[0], expected)
    }
    let rows = try fixed.reshaped(-1, 12)
    let nothing = try delta.factorGradients(
      .ones([6, 10], dtype: .float64), rows, needed: delta.factors.map { _ in false })
    #expect(nothing.count == delta.factors.count && nothing.allSatisfy { $0 == nil })
  }

  @Test(arguments: structures)
  func `a base that trains too gets its gradient`(_ structure: Structure) throws {
    let delta = try delta(structure)
    let linear = Linear(
      site: .lone(12, 10), weight: try weight.clone().requiringGradient(), bias: try bias.clone().requiringGradient())
    let y = try delta.output(of: linear, input: input)
    try expectClose(y, input.linear(weight + delta.materialized(), bias))
    let found = try gradients(of: y.sum(), [linear.weight, #require(linear.bias)] + delta.factors)
    try expectClose(found[0], input.reshaped(-1, 12).sum(0).unsqueezed(0).expanded(10, 12))
    try expectClose(found[1], .full(6, [10], dtype: .float64))
  }

  @Test(arguments: structures)
  func `under bfloat16 weight and change are rounded once, and gradients come in the factors' dtype`(
    _ structure: Structure
  ) throws {
    let delta = try delta(structure).mapFactors { try ($0.detached() * 0.3).to(.float32).requiringGradient() }
    let (weight, x) = (try weight.to(.float32), try input.detached().to(.float32).requiringGradient())
    let output = try withAutocast(.bfloat16, on: .cpu) { try delta.output(weight: weight, bias: nil, input: x) }
    let rounded = try (weight + delta.materialized()).to(.bfloat16)
    try expectClose(output, x.to(.bfloat16).linear(rounded), tolerance: 1e-2)
    let leaves = [x] + delta.factors
    let exact = try gradients(of: (x.linear(weight) + delta.apply(to: x)).squared().sum(), leaves)
    for (found, exact) in zip(try gradients(of: output.to(.float32).squared().sum(), leaves), exact) {
      #expect(found.dtype == .float32)
      try expectClose(found, exact, tolerance: 0.05)
    }
  }
}
