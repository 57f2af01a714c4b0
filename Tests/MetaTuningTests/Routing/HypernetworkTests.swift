import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct HypernetworkTests {
  @Compute
  private func hypernetwork(
    _ preset: MetaPreset = .recommended, width: Int = 16, experts: Int = 4, dtype: DType = .float64
  ) throws -> Hypernetwork {
    try Hypernetwork(
      width: width, experts: experts, preset: preset, generator: Generator(seed: 6), dtype: dtype)
  }

  private func prototypes(_ ways: Int = 5, width: Int = 16) throws -> Tensor {
    try .normal([ways, width], dtype: .float64, from: Generator(seed: 7))
  }

  @Test func `mixing weights are normalized sigmoids, not a softmax`() throws {
    func weights(_ logits: [Double], _ temperature: Double = 1) throws -> [Double] {
      try Hypernetwork.weights(of: Tensor(logits), temperature: temperature, preset: .recommended).doubles()
    }
    func expect(_ found: [Double], _ expected: [Double], sourceLocation: SourceLocation = #_sourceLocation) {
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 6e-4 }, "\(found)", sourceLocation: sourceLocation)
    }
    expect(try weights([0, 0, 0, 0]), [0.25, 0.25, 0.25, 0.25])
    expect(try weights([0, 0]), [0.5, 0.5])
    expect(try weights([5, 5]), [0.5, 0.5])
    expect(try weights([0, 2]), [0.362, 0.638])
    expect(try weights([5, 7]), [0.498, 0.502])
    expect(try weights([0, 4], 2), [0.362, 0.638])
  }

  @Test func `a single expert's weight is 1, and its sigmoid in the published code`() throws {
    let logit = try Tensor([2.0])
    #expect(try Hypernetwork.weights(of: logit, temperature: 2, preset: .recommended).doubles() == [1])
    #expect(try Hypernetwork.weights(of: logit, temperature: 2, preset: .paper).doubles() == [1])
    let sigmoid = try Hypernetwork.weights(of: logit, temperature: 2, preset: .officialCode).doubles()
    #expect(abs(sigmoid[0] - 0.731059) < 1e-6)
  }

  @Compute
  @Test func `it has the parameters that the specification counts`() throws {
    // Specification 3: 8D² + 8D, M·D keys and 4·D tokens; 1.18 M for ViT-S beside those.
    let small = try hypernetwork(width: 384, experts: 8, dtype: .float32)
    let (block, keys, skills) = (8 * 384 * 384 + 8 * 384, 8 * 384, 4 * 384)
    #expect(small.parameters.reduce(0) { $0 + $1.count } == block + keys + skills)
  }

  @Compute
  @Test(arguments: [MetaPreset.recommended, .paper, .officialCode])
  func `only the repaired embedding is the same with classes in another order`(_ preset: MetaPreset) throws {
    let hypernetwork = try hypernetwork(preset)
    let prototypes = try prototypes()
    let reordered = try prototypes.selected(0, Tensor([Int64(3), 0, 4, 1, 2]))
    let found = try hypernetwork.mixing(prototypes: prototypes, temperature: 1).logits
    let other = try hypernetwork.mixing(prototypes: reordered, temperature: 1).logits
    let distance = try found.distance(to: other)
    #expect(preset == .recommended ? distance < 1e-12 : distance > 1e-3, "\(distance)")
  }

  @Compute
  @Test func `repaired logits are of order one, whatever the scale of the features`() throws {
    let hypernetwork = try hypernetwork(width: 64, experts: 32)
    for scale in [0.1, 1, 30] {
      let logits = try hypernetwork.mixing(prototypes: prototypes(width: 64) * scale, temperature: 1).logits
      let size = try logits.squared().mean().sqrt().item()
      #expect((0.4...2).contains(size), "\(size)")
      #expect(try logits.abs().max().item() < 8)
    }
  }

  @Compute
  @Test func `noise and temperature enter before the sigmoid, and logits come without them`() throws {
    let hypernetwork = try hypernetwork()
    let noise = try Tensor([0.5, -1, 0, 2])
    let plain = try hypernetwork.mixing(prototypes: prototypes(), temperature: 2)
    let noisy = try hypernetwork.mixing(prototypes: prototypes(), temperature: 2, noise: noise)
    #expect(try plain.logits.isEqual(to: noisy.logits))
    let open = try ((plain.logits + noise) / 2).sigmoid()
    #expect(try noisy.mixing.isClose(to: open / (open.sum() + 1e-8), tolerance: 1e-12))
    #expect(try noisy.mixing.distance(to: plain.mixing) > 0.01)
  }

  @Compute
  @Test func `the power iteration finds the largest singular value, and a map of norm one`() throws {
    let map = try SpectralLinear(
      "map", 12, 9, hasBias: false, device: .cpu, dtype: .float64, generator: Generator(seed: 3))
    for _ in 0..<200 { try map.iterate() }
    let normalized = try map(.identity(12, dtype: .float64))
    #expect(abs(try normalized.svd().s.max().item() - 1) < 1e-6)
    // And before: within what 15 iterations leave.
    let fresh = try SpectralLinear(
      "map", 12, 9, hasBias: false, device: .cpu, dtype: .float64, generator: Generator(seed: 3))
    #expect(abs(try fresh(.identity(12, dtype: .float64)).svd().s.max().item() - 1) < 0.1)
  }

  @Compute
  @Test func `an iteration between a task's pass and its gradient changes neither`() throws {
    func gradient(iterating: Bool) throws -> [Tensor] {
      let hypernetwork = try hypernetwork()
      let mixing = try hypernetwork.mixing(prototypes: prototypes(), temperature: 1).mixing
      if iterating { try hypernetwork.iterate() }
      try (mixing * Tensor([1.0, -2, 0.5, 3])).sum().backward()
      return try hypernetwork.parameters.compactMap { try $0.value.gradient() }
    }
    let (found, expected) = (try gradient(iterating: true), try gradient(iterating: false))
    #expect(found.count == expected.count && found.count == 13)
    for (found, expected) in zip(found, expected) { #expect(try found.isEqual(to: expected)) }
  }

  @Compute
  @Test func `widths that do not fit are refused, with the remedy`() throws {
    let error = #expect(throws: HypernetworkError.self) { _ = try hypernetwork(width: 18) }
    #expect(error == .width(18, heads: 4))
    #expect(error?.description.contains("single_expert") == true)
    let prototypes = try prototypes(width: 12)
    let other = try hypernetwork()
    #expect(throws: HypernetworkError.prototypes([5, 12], width: 16)) {
      _ = try other.mixing(prototypes: prototypes, temperature: 1)
    }
  }
}
