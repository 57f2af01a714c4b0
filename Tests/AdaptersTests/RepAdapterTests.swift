import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct RepAdapterTests {
  let site = Site.lone(12, 9)

  /// A layer in float64, away from its start.
  func layer(groups: Int = 2, dropout: Double = 0) throws -> (RepAdapterLayer, Linear) {
    let generator = try Generator(seed: 1)
    let layer = RepAdapterLayer(
      down: try Parameter("A", generator.normal(4, 12)), downBias: try Parameter("a", generator.normal(4)),
      up: try Parameter("B", generator.normal(groups, 12 / groups, 4 / groups)),
      upBias: try Parameter("c", generator.normal(12)), scale: 0.7, dropout: dropout)
    return (layer, Linear(site: site, weight: try generator.normal(9, 12), bias: try generator.normal(9)))
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    #expect(try backbone.count(.repAdapter()) == 239_808)
    #expect(try backbone.adapted(by: .repAdapter(), at: .qkv).adapter.parameterCount == 119_904)
  }

  @Test func `the map's input goes through the bottleneck first, group by group`() throws {
    let (layer, linear) = try layer()
    let input = try Generator(seed: 2).normal(3, 12)
    let middle = try input.linear(layer.down.value, layer.downBias.value)
    // The first half of the channels sees the first half of the bottleneck, the second the second.
    let halves = try (0..<2).map { half in
      try middle.narrowed(1, 2 * half..<2 * half + 2).linear(layer.up.value.select(0, half))
    }
    let adapted = try input + (Tensor.concatenated(halves, dimension: 1) + layer.upBias.value) * 0.7
    try expectClose(layer.output(of: linear, input: input, pass: ForwardPass()), linear(adapted))
  }

  @Test(arguments: [1, 2, 4])
  func `merged equals unmerged to the last digits of float64`(groups: Int) throws {
    let (layer, linear) = try layer(groups: groups)
    let input = try Generator(seed: 2).normal(2, 3, 12)
    let delta = try #require(try layer.delta(of: linear))
    let weight = try #require(delta.weight).merged(into: linear.weight)
    let bias = try #require(linear.bias) + #require(delta.bias)
    try expectClose(input.linear(weight, bias), layer.output(of: linear, input: input, pass: ForwardPass()))
    // Eq. 9, with `B` written out.
    let block = (rows: 12 / groups, columns: 4 / groups)
    let dense = try Tensor.concatenated(
      (0..<groups).map { group in
        try .concatenated(
          [
            .zeros([block.rows, group * block.columns], dtype: .float64), layer.up.value.select(0, group),
            .zeros([block.rows, 4 - (group + 1) * block.columns], dtype: .float64),
          ], dimension: 1)
      })
    let mixing = try Tensor.identity(12, dtype: .float64) + dense.matmul(layer.down.value) * 0.7
    try expectClose(weight, linear.weight.matmul(mixing))
    #expect(try #require(try delta.weight?.lowRank).down.shape == [4, 12])
  }

  @Test func `before a fused projection, queries, keys and values change alike`() throws {
    let backbone = try TinyBackbone()
    let adapter = try backbone.adapted(by: .repAdapter(width: 4), at: .qkv).adapter
    try adapter.perturb()
    let linear = try backbone.linear(at: backbone.sites[0])
    let delta = try #require(try adapter.delta(of: linear))
    let (down, up) = (
      try adapter.parameter("blocks.0.attn.qkv.down.weight").value,
      try GroupedDelta(values: adapter.parameter("blocks.0.attn.qkv.up.weight").value).materialized()
    )
    for part in linear.site.parts {
      let rows = try #require(part.whole?.rows)
      let own = try linear.weight.narrowed(0, rows).matmul(up.matmul(down))
      try expectClose(#require(delta.weight).materialized().narrowed(0, rows), own, tolerance: 1e-5)
    }
  }

  @Test func `dropout acts in the middle of the bottleneck, and while training only`() throws {
    let (layer, linear) = try layer(dropout: 0.5)
    let input = try Generator(seed: 2).normal(20, 12)
    let middle = try input.linear(layer.down.value, layer.downBias.value)
    func expected(_ middle: Tensor) throws -> Tensor {
      try linear(
        input + (middle.linear(GroupedDelta(values: layer.up.value).materialized()) + layer.upBias.value) * 0.7)
    }
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let dropped = try middle.dropout(0.5, from: Generator(seed: 3))
    try expectClose(layer.output(of: linear, input: input, pass: pass), expected(dropped))
    try expectClose(layer.output(of: linear, input: input, pass: ForwardPass()), expected(middle))
  }

  @Test func `the way down starts uniform by Xavier, everything else at zero`() throws {
    let layer = try RepAdapterLayer(
      RepAdapter(), at: .lone(768, 2304), device: .cpu, generator: Generator(seed: 1))
    let bound = (6.0 / 776).squareRoot()
    #expect(layer.down.value.shape == [8, 768] && layer.up.value.shape == [2, 384, 4])
    let largest = try layer.down.value.abs().max().item()
    #expect(largest <= bound && largest > 0.99 * bound)
    #expect(try abs(layer.down.value.variance().sqrt().item() / (bound / 3.0.squareRoot()) - 1) < 0.03)
    for parameter in [layer.downBias, layer.up, layer.upBias] {
      #expect(try parameter.value.abs().max().item() == 0, "\(parameter.name)")
    }
    #expect([layer.down, layer.downBias, layer.up, layer.upBias].map(\.decays) == [true, false, true, false])
  }

  @Test func `settings that do not fit are refused`() throws {
    #expect(
      try thrown { try RepAdapter(width: 8, groups: 3).validate([site]) }.description
        == "3 groups do not divide the bottleneck, 8. Choose a divisor of 8.")
    #expect(
      try thrown { try RepAdapter(width: 16, groups: 8).validate([site]) }.description
        == "8 groups do not divide the inputs of 'layer', 12. Choose a divisor of 12.")
    #expect(try thrown { try RepAdapter(width: 8, groups: 0).validate([site]) } == .groups(0, of: 8, "the bottleneck"))
    #expect(try thrown { try RepAdapter(width: 0).validate([site]) } == .outOfRange("width", 0, "1 to 65536"))
    #expect(
      try thrown { try RepAdapter(width: 8, dropout: 1).validate([site]) } == .outOfRange("dropout", 1, "0 ..< 1"))
    #expect(
      try thrown { try RepAdapter(width: 8, scale: .infinity).validate([site]) }
        == .outOfRange("scale", .infinity, "a finite number"))
    #expect(throws: Never.self) { try RepAdapter().validate([site]) }
  }
}
