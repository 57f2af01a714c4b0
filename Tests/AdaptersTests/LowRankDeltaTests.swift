import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct LowRankDeltaTests {
  let weight, bias, input: Tensor
  let delta: LowRankDelta

  init() throws {
    let generator = try Generator(seed: 3)
    weight = try generator.normal(7, 5)
    bias = try generator.normal(7)
    input = try generator.normal(2, 3, 5).requiringGradient()
    delta = LowRankDelta(
      down: try generator.normal(2, 5).requiringGradient(), up: try generator.normal(7, 2).requiringGradient(),
      scale: 1.5)
  }

  @Test func `the change is scale times B A, whichever way it is computed`() throws {
    let dense = try delta.up.matmul(delta.down) * 1.5
    #expect([delta.outFeatures, delta.inFeatures] == [7, 5])
    try expectClose(delta.materialized(), dense)
    try expectClose(delta.apply(to: input), input.matmul(dense.transposed()))
    try expectClose(delta.merged(into: weight, scale: -2), weight - dense * 2)
    try expectClose(
      delta.output(weight: weight, bias: bias, input: input), input.matmul((weight + dense).transposed()) + bias)
    try expectClose(delta.output(weight: weight, bias: nil, input: input), input.matmul((weight + dense).transposed()))
  }

  @Test func `the backward pass written by hand gives the gradients of plain autograd and of finite differences`()
    throws
  {
    let weights = try Generator(seed: 4).normal(2, 3, 7)
    func loss() throws -> Tensor { try (delta.output(weight: weight, bias: bias, input: input).sin() * weights).sum() }
    let plain = try ((input.linear(weight, bias) + delta.apply(to: input)).sin() * weights).sum()
    let leaves = [input, delta.down, delta.up]
    let found = try gradients(of: loss(), leaves)
    for ((found, expected), leaf) in zip(zip(found, try gradients(of: plain, leaves)), leaves) {
      try expectClose(found, expected)
      try expectClose(found, differences(of: leaf, loss), tolerance: 1e-8)
    }
  }

  @Test func `only the gradients asked for are computed`() throws {
    let fixed = try input.detached()
    let output = try delta.output(weight: weight, bias: bias, input: fixed)
    let found = try output.sum().gradients([delta.up])
    try expectClose(
      #require(found[0]), (fixed.reshaped(-1, 5).matmul(delta.down.transposed()).sum(0) * 1.5).expanded(7, 2))
  }

  @Test func `the numbers of the reference layer`() throws {
    let reference = try Fixture("single_layer_deltas")
    let x = try reference["lora.x"].clone().requiringGradient()
    let down = try reference.parameter("lora.lora_A").value
    let up = try reference.parameter("lora.lora_B").value
    let delta = LowRankDelta(down: down, up: up, scale: 1.5)
    let y = try delta.output(weight: reference["lora.weight"], bias: reference["lora.bias"], input: x)
    try expectClose(delta.materialized(), reference["lora.delta"])
    try expectClose(y, reference["lora.y"])
    let found = try gradients(of: (y * reference["lora.y.weights"]).sum(), [x, down, up])
    for (found, name) in zip(found, ["x", "lora_A", "lora_B"]) {
      try expectClose(found, reference["lora.gradient.\(name)"])
    }
  }

  @Test func `under bfloat16 the weight and its change are rounded once, together`() throws {
    // Weights near 1 lie 2⁻⁷ apart in bfloat16. A change of 0.4 · 2⁻⁷ alone is always rounded away.
    let generator = try Generator(seed: 5)
    let weight = try Tensor.uniform([64, 32], 1, 1.9, from: generator)
    let down = try Tensor.ones([1, 32]).requiringGradient()
    let delta = LowRankDelta(down: down, up: try .full(0.4 / 128, [64, 1]), scale: 1)
    let input = try Tensor.normal([20, 32], from: generator)
    let output = try withAutocast(.bfloat16, on: .cpu) { try delta.output(weight: weight, bias: nil, input: input) }
    #expect(output.dtype == .bfloat16)
    let rounded = try (weight + delta.materialized()).to(.bfloat16)
    #expect(try output.isEqual(to: input.to(.bfloat16).linear(rounded)))
    let moved = try (rounded.to(.float32) - weight.to(.bfloat16).to(.float32)).mean().item()
    #expect(abs(moved / (0.4 / 128) - 1) < 0.1)
  }

  @Test func `under bfloat16 the gradients are those of autograd to bfloat16's precision, in the factors' dtype`()
    throws
  {
    let generator = try Generator(seed: 6)
    func normal(_ shape: Int...) throws -> Tensor { try Tensor.normal(shape, from: generator).requiringGradient() }
    let (input, down, up) = (try normal(2, 6, 16), try normal(3, 16), try normal(24, 3))
    let weight = try normal(24, 16).detached()
    let bias = try normal(24).detached()
    let delta = LowRankDelta(down: down, up: up, scale: 0.5)
    let exact = try gradients(
      of: (input.linear(weight, bias) + delta.apply(to: input)).squared().sum(), [input, down, up])
    let found = try withAutocast(.bfloat16, on: .cpu) {
      try gradients(
        of: delta.output(weight: weight, bias: bias, input: input).to(.float32).squared().sum(), [input, down, up])
    }
    for (found, exact) in zip(found, exact) {
      #expect(found.dtype == .float32)
      try expectClose(found, exact, tolerance: 0.02)
    }
  }

  @Test func `merging under bfloat16 autocast is not rounded to bfloat16`() throws {
    let delta = LowRankDelta(down: try .full(0.1, [1, 4]), up: try .full(0.3, [4, 1]))
    let weight = try Tensor.full(1, [4, 4])
    let merged = try withAutocast(.bfloat16, on: .cpu) { try delta.merged(into: weight) }
    #expect(merged.dtype == .float32)
    try expectClose(merged, [Double](repeating: 1.03, count: 16), tolerance: 1e-6)
  }

  @Test func `a bfloat16 weight gets the change that a float32 product gives`() throws {
    let generator = try Generator(seed: 7)
    let delta = LowRankDelta(
      down: try .normal([2, 8], deviation: 0.1, from: generator), up: try .normal([8, 2], from: generator))
    let weight = try Tensor.normal([8, 8], from: generator).to(.bfloat16)
    let input = try Tensor.normal([3, 8], from: generator).to(.bfloat16)
    let merged = try delta.merged(into: weight)
    #expect(try merged.isEqual(to: (weight.to(.float32) + delta.materialized()).to(.bfloat16)))
    #expect(try delta.output(weight: weight, bias: nil, input: input).isEqual(to: input.linear(merged)))
  }
}
