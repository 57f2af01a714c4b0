import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct SSFTests {
  @Test func `parameter count on ViT-B`() throws {
    #expect(try ShapesOfViTB().count(.ssf) == 205_824)
  }

  @Test func `it stands behind the patch embedding, every LayerNorm and every map`() throws {
    let backbone = try ShapesOfViTB()
    let adapter = try backbone.adapted(by: .ssf).adapter
    let places = ["patch_embed"] + backbone.layerNorms + backbone.sites.map(\.name)
    #expect(adapter.parameters.map(\.name) == places.flatMap { ["\($0).ssf_scale", "\($0).ssf_shift"] })
  }

  @Test func `scales start normal around one, shifts around zero, with deviation 0.02, and none decays`() throws {
    let parameters = try ShapesOfViTB().adapted(by: .ssf).adapter.parameters
    for (suffix, mean) in [(".ssf_scale", 1.0), (".ssf_shift", 0.0)] {
      let values = try Tensor.concatenated(parameters.filter { $0.name.hasSuffix(suffix) }.map(\.value))
      #expect(values.count == 102_912)
      #expect(try abs(values.mean().item() - mean) < 3e-4)
      #expect(try abs(values.variance().sqrt().item() - 0.02) < 3e-4)
    }
    #expect(parameters.allSatisfy { !$0.decays })
  }

  @Test func `each output is scaled and shifted, with the map's bias and without`() throws {
    let generator = try Generator(seed: 1)
    let layer = SSFLayer(
      scale: try Parameter("scale", generator.normal(4)), shift: try Parameter("shift", generator.normal(4)))
    let input = try generator.normal(2, 3, 5)
    for bias in [try generator.normal(4), nil] {
      let linear = Linear(site: .lone(5, 4), weight: try generator.normal(4, 5), bias: bias)
      let found = try layer.output(of: linear, input: input, pass: ForwardPass())
      try expectClose(found, linear(input) * layer.scale.value + layer.shift.value)
      let delta = try #require(try layer.delta(of: linear))
      let shifted = try bias.map { try $0 + #require(delta.bias) } ?? #require(delta.bias)
      try expectClose(input.linear(#require(delta.weight).merged(into: linear.weight), shifted), found)
    }
  }

  @Test func `a tensor's rows are scaled, whatever its rank, and a bias is shifted too`() throws {
    let (scale, shift) = (try Parameter("scale", Tensor([2, -1] as [Float])), try Parameter("shift", .ones([2])))
    let patch = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3, 1, 1])
    try expectClose(RescaledTensor(scale: scale, shift: nil).value(of: patch), [2, 4, 6, -4, -5, -6])
    try expectClose(RescaledTensor(scale: scale, shift: shift).value(of: Tensor([5, 7] as [Float])), [11, -6])
  }

  @Test(arguments: ["timm-vit", "timm-vit-clip", "hf-dinov2"])
  func `scaled and shifted behind each operation is what the merged network computes`(_ fixture: String) throws {
    let backbone = try VisionTransformer(from: VisionFixture.url(fixture))
    let model = try backbone.adapted(by: .ssf)
    try model.adapter.perturb(deviation: 0.1)
    let input = try Tensor.normal([3, 3, 16, 16], from: Generator(seed: 2))
    let merged = MergedTensors(try Merge([Merge.Term(model)], into: backbone).tensors)
    let adapted = try model.features(input)
    try expectClose(backbone.features(input, adaptation: merged, pass: ForwardPass()), adapted, tolerance: 2e-5)
    #expect(try adapted.distance(to: backbone.features(input)) > 0.05)
  }

  @Test func `a patch embedding without a bias is scaled and not shifted`() throws {
    let names = try VisionTransformer(from: VisionFixture.url("timm-vit-clip")).trained(by: .ssf)
    #expect(names.contains("patch_embed.ssf_scale") && !names.contains("patch_embed.ssf_shift"))
    #expect(names.isSuperset(of: ["norm_pre.ssf_scale", "norm_pre.ssf_shift", "norm.ssf_scale", "norm.ssf_shift"]))
  }

  @Test func `merged before it is rounded to bfloat16, it keeps what it learned`() throws {
    let generator = try Generator(seed: 1)
    let weight = try Tensor.normal([32, 16], from: generator).to(.bfloat16)
    let scale = try Tensor.normal([32], mean: 1, deviation: 0.02, from: generator)
    let exact = try weight.to(.float64) * scale.to(.float64).unsqueezed(1)
    let merged = try RescalingDelta(of: weight, rows: scale).merged(into: weight)
    let early = try weight * scale.to(.bfloat16).unsqueezed(1)
    #expect(merged.dtype == .bfloat16)
    let errors = try [merged, early].map { try ($0.to(.float64) - exact).norm().item() / exact.norm().item() }
    #expect(errors[0] < 0.003 && errors[1] > 1.2 * errors[0])
  }
}

/// A network with some of its tensors replaced.
private struct MergedTensors: Adaptation {
  let values: [String: Tensor]

  init(_ values: [String: Tensor]) { self.values = values }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    try input.linear(
      values["\(linear.site.name).weight"] ?? linear.weight, values["\(linear.site.name).bias"] ?? linear.bias)
  }
  func value(of name: String, original: Tensor) -> Tensor { values[name] ?? original }
}
