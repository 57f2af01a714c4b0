import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct RescaledLinearTests {
  let site = Site.lone(5, 4)
  let linear: Linear
  let input, shift, slope: Tensor

  init() throws {
    let generator = try Generator(seed: 1)
    linear = Linear(site: site, weight: try generator.normal(4, 5), bias: try generator.normal(4))
    input = try generator.normal(2, 3, 5).requiringGradient()
    shift = try generator.normal(4).requiringGradient()
    slope = try generator.normal(2, 3, 4)
  }

  /// The second has scales too near zero to divide by.
  static let scales: [[Double]] = [[0.5, 0.125, -1.5, 1], [0.5, 0, -1.5, 1e-9]]

  func expectSameGradients(_ found: Tensor, _ expected: Tensor, _ leaves: [Tensor]) throws {
    try expectClose(found, expected)
    let (first, second) = (
      try gradients(of: (found * slope).sum(), leaves), try gradients(of: (expected * slope).sum(), leaves)
    )
    for (one, other) in zip(first, second) { try expectClose(one, other) }
  }

  @Test(arguments: scales)
  func `scaled and shifted outputs, and their gradients, are those of the formula`(_ values: [Double]) throws {
    let scale = try Tensor(values).requiringGradient()
    try expectSameGradients(
      linear.output(input, scaledBy: scale, shiftedBy: shift), linear(input) * scale + shift, [input, scale, shift])
    try expectSameGradients(linear.output(input, scaledBy: scale), linear(input) * scale, [input, scale])
  }

  @Test(arguments: scales)
  func `so they are for a map without a bias`(_ values: [Double]) throws {
    let scale = try Tensor(values).requiringGradient()
    let bare = Linear(site: site, weight: linear.weight, bias: nil)
    try expectSameGradients(
      bare.output(input, scaledBy: scale, shiftedBy: shift), bare(input) * scale + shift, [input, scale, shift])
    try expectSameGradients(bare.output(input, scaledBy: scale), bare(input) * scale, [input, scale])
  }

  @Test func `gradients that are not asked for make no difference to the others`() throws {
    let scale = try Tensor(Self.scales[0]).requiringGradient()
    let leaves = [input, scale, shift]
    let expected = try gradients(
      of: (linear.output(input, scaledBy: scale, shiftedBy: shift) * slope).sum(), leaves)
    for (index, leaf) in leaves.enumerated() {
      let others = try leaves.enumerated().map { try $0.offset == index ? $0.element : $0.element.detached() }
      let output = try linear.output(others[0], scaledBy: others[1], shiftedBy: others[2])
      try expectClose(gradients(of: (output * slope).sum(), [leaf])[0], expected[index])
    }
  }

  @Test func `a base that trains too gets its gradient`() throws {
    let scale = try Tensor(Self.scales[0]).requiringGradient()
    let tuned = Linear(
      site: site, weight: try linear.weight.clone().requiringGradient(),
      bias: try linear.bias?.clone().requiringGradient())
    let leaves = try [input, tuned.weight, #require(tuned.bias), scale, shift]
    try expectSameGradients(
      tuned.output(input, scaledBy: scale, shiftedBy: shift), tuned(input) * scale + shift, leaves)
  }
}
