import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct KroneckerAdapterTests {
  @Test func `the slow factors are one pair, first in the list, shared by every site`() throws {
    let backbone = try TinyBackbone()
    let adapter = try backbone.adapted(by: .kronecker(dimension: 3, rank: 2), at: .attention, blocks: .only([1]))
      .adapter
    #expect(
      adapter.parameters.map(\.name) == [
        "shared.l", "shared.rho", "blocks.1.attn.qkv.U", "blocks.1.attn.qkv.V", "blocks.1.attn.qkv.bias",
        "blocks.1.attn.proj.U", "blocks.1.attn.proj.V", "blocks.1.attn.proj.bias",
      ])
    #expect(
      adapter.parameters.map(\.value.shape) == [
        [3, 3], [3, 3], [3, 4, 2], [3, 2, 12], [36], [3, 12, 2], [3, 2, 4], [12],
      ])
    try adapter.perturb()
    let before = try adapter.sites.map {
      try #require(try adapter.delta(of: backbone.linear(at: $0))?.weight).materialized()
    }
    try withoutGradients { try adapter.parameter("shared.l").value.scaleInPlace(2) }
    for (site, before) in zip(adapter.sites, before) {
      try expectClose(
        #require(try adapter.delta(of: backbone.linear(at: site))?.weight).materialized(), before * 2, tolerance: 1e-6)
    }
  }

  @Test func `the output is the base's plus x H plus the bias`() throws {
    let backbone = try TinyBackbone()
    let adapter = try backbone.adapted(by: .kronecker(dimension: 3, rank: 2), at: .qkv).adapter
    try adapter.perturb()
    let site = adapter.sites[0]
    let input = try Tensor.normal([2, 5, 12], from: Generator(seed: 1))
    let change = try #require(try adapter.delta(of: backbone.linear(at: site)))
    let expected =
      try backbone.linear(at: site)(input) + input.linear(#require(change.weight).materialized()) + #require(
        change.bias)
    let found = try adapter.output(of: backbone.linear(at: site), input: input, pass: ForwardPass())
    try expectClose(found, expected, tolerance: 1e-6)
  }

  @Test func `DropConnect zeroes entries of H, doubles the rest, and is off in evaluation`() throws {
    let backbone = try TinyBackbone()
    let adapter = try Adapter(
      KroneckerAdapter(dimension: 3, rank: 2, dropConnect: 0.5), at: [backbone.sites[0]], of: backbone,
      generator: Generator(seed: 1))
    try adapter.perturb()
    let linear = try backbone.linear(at: backbone.sites[0])
    // The rows of the identity read H off.
    let identity = try Tensor.identity(12)
    func rows(_ pass: ForwardPass) throws -> [Double] {
      try
        (adapter.output(of: linear, input: identity, pass: pass) - linear(identity)
        - #require(try adapter.delta(of: backbone.linear(at: linear.site))?.bias)).doubles()
    }
    let full = try rows(ForwardPass())
    let dropped = try rows(ForwardPass(.training(Generator(seed: 2))))
    let kept = zip(full, dropped).filter { abs($1) > 1e-5 }
    #expect((180...252).contains(kept.count))
    #expect(kept.allSatisfy { abs($0 * 2 - $1) < 1e-5 })
  }

  @Test func `U and V start Xavier uniform with gain root two, the slow factors within a hundredth`() throws {
    let site = Site.lone(64 * 12, 64 * 36)
    let generator = try Generator(seed: 1)
    let slow = try KroneckerExpert.Slow(dimension: 64, device: .cpu, generator: generator)
    let expert = try KroneckerExpert(
      "layer", rank: 4, slow: slow, site: site, initialization: .glorot, device: .cpu, generator: generator)
    for (parameter, shape, bound) in [
      (slow.left, [64, 64], 0.01), (slow.right, [64, 64], 0.01),
      (expert.left, [64, 12, 4], (2 * 6 / 16.0).squareRoot()),
      (expert.right, [64, 4, 36], (2 * 6 / 40.0).squareRoot()),
    ] {
      #expect(parameter.value.shape == shape)
      let largest = try parameter.value.abs().max().item()
      #expect(largest <= bound && largest > bound * 0.99)
      #expect(try abs(parameter.value.variance().sqrt().item() / (bound / 3.0.squareRoot()) - 1) < 0.05)
    }
  }

  @Test func `parameter count of a rank 1 adapter on ViT-B's attention`() throws {
    // P (i + o) and the output bias, for qkv and proj of 12 blocks, and one pair of slow factors.
    let count = try ShapesOfViTB().adapted(by: .kronecker(dimension: 64, rank: 1), at: .attention).adapter
      .parameterCount
    #expect(count == 12 * (64 * (12 + 36) + 2304 + 64 * (12 + 12) + 768) + 2 * 64 * 64)
  }

  @Test func `a dimension that does not divide a side is refused, with those that do`() throws {
    let error = try thrown { try KroneckerAdapter(dimension: 5).validate([.lone(12, 36, name: "blocks.0.attn.qkv")]) }
    #expect(error == .notDivisible(dimension: 5, site: "blocks.0.attn.qkv", inFeatures: 12, outFeatures: 36))
    #expect(
      error.description == """
        The Kronecker dimension 5 does not divide both sides of 'blocks.0.attn.qkv', 12 and 36. Common divisors are \
        1, 2, 3, 4, 6, 12.
        """)
    #expect(throws: AdapterError.self) { try KroneckerAdapter(dimension: 0).validate([.lone(12, 36)]) }
    #expect(throws: AdapterError.self) { try KroneckerAdapter(dimension: -3).validate([.lone(12, 36)]) }
    #expect(throws: AdapterError.self) { try KroneckerAdapter(dimension: 3, rank: 0).validate([.lone(12, 36)]) }
    #expect(
      try thrown { try KroneckerAdapter(dimension: 3, dropConnect: 1).validate([.lone(12, 36)]) }.description
        == "dropConnect is 1.0; it must be 0 ..< 1.")
  }
}
