import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct MixtureOfAdaptersTests {
  let site = Site.lone(12, 36)

  @Test func `the defaults are the released configuration`() {
    let configuration = MixtureOfAdapters()
    #expect(configuration.experts == .kronecker(dimension: 64))
    #expect(configuration.ranks == [1, 2, 4, 8])
    #expect(configuration.router == .cosine(projection: 256, initialTemperature: 0.5, minimumTemperature: 0.01))
    #expect(configuration.topK == 1 && configuration.gating == .rawProbability)
    #expect(configuration.noiseDeviation == 0.25 && configuration.auxiliaryWeight == 0.01)
    #expect(configuration.dropConnect == 0.5 && configuration.bias && configuration.initialization == .glorot)
    #expect(MixtureOfAdapters(of: .lora, ranks: [1, 2]).noiseDeviation == 0.5)
  }

  @Test func `parameters are named by site and expert, the shared pair once`() throws {
    let adapter = try TinyBackbone().adapted(by: .mixture(of: .kronecker(dimension: 3), ranks: [1, 2]), blocks: .all)
      .adapter
    let ofOneSite = [
      "experts.0.U", "experts.0.V", "experts.1.U", "experts.1.V", "router.weight", "router.bias", "router.embedding",
      "router.logScale", "bias",
    ]
    #expect(
      adapter.parameters.map(\.name)
        == ["shared.l", "shared.rho"] + (0..<2).flatMap { block in ofOneSite.map { "blocks.\(block).attn.qkv.\($0)" } })
    let lora = try TinyBackbone().adapted(by: .mixture(of: .lora, ranks: [2]), at: .qkv, blocks: .last(1)).adapter
    #expect(
      lora.parameters.map(\.name)
        == [
          "experts.0.lora_A", "experts.0.lora_B", "router.weight", "router.bias", "router.embedding", "router.logScale",
        ]
        .map { "blocks.1.attn.qkv.\($0)" })
  }

  @Test func `parameter counts on ViT-B`() throws {
    let backbone = try ShapesOfViTB()
    func adapter(_ configuration: MixtureOfAdapters, _ blocks: Blocks) throws -> Adapter {
      try backbone.adapted(by: configuration, at: .qkv, blocks: blocks).adapter
    }
    let kronecker = try adapter(MixtureOfAdapters(), .everySecond)
    #expect(kronecker.parameterCount == 1_485_830)
    // The official count, 1,494,022, has a second pair of slow factors that nothing uses.
    #expect(kronecker.parameterCount + 2 * 64 * 64 == 1_494_022)
    func count(_ part: String) -> Int {
      kronecker.parameters.filter { $0.name.hasPrefix("blocks.4.attn.qkv.\(part)") }.reduce(0) { $0 + $1.count }
    }
    #expect(["experts", "router", "bias", ""].map(count) == [46_080, 197_889, 2304, 246_273])
    #expect(try adapter(MixtureOfAdapters(of: .lora), .everySecond).parameterCount == 1_463_814)
    #expect(try adapter(MixtureOfAdapters(of: .lora), .last(2)).parameterCount == 487_938)
  }

  @Test func `entries of a fresh H have the published deviations`() throws {
    let site = Site.lone(768, 2304)
    // Var H = P · (10⁻⁴/3)² · r · 4/(i + r) · 4/(r + o), the published 4.8e−5, 6.5e−5, 8.4e−5 and 1.0e−4.
    for (rank, published) in [(1, 4.8e-5), (2, 6.5e-5), (4, 8.4e-5), (8, 1.0e-4)] {
      let count = 5
      // One draw of the factors scatters by 2 %.
      let variances = try (0..<count).map { seed in
        let generator = try Generator(seed: UInt64(seed))
        let slow = try KroneckerExpert.Slow(dimension: 64, device: .cpu, generator: generator)
        let expert = try KroneckerExpert(
          "layer", rank: rank, slow: slow, site: site, initialization: .glorot, device: .cpu, generator: generator)
        return try withoutGradients { try expert.delta.materialized().variance().item() }
      }
      let r = Double(rank)
      let expected = (64 * pow(1e-4 / 3, 2) * r * 4 / (12 + r) * 4 / (r + 36)).squareRoot()
      let found = (variances.reduce(0, +) / Double(count)).squareRoot()
      #expect(abs(found / expected - 1) < 0.03)
      #expect(abs(found / published - 1) < 0.05)
    }
  }

  @Test func `a fresh router sends each expert a fair share, with the published gates`() throws {
    let backbone = try ShapesOfViTB()
    let adapter = try backbone.adapted(by: MixtureOfAdapters(), at: .qkv, blocks: .only([0]), seed: 3).adapter
    let layer = try #require(adapter.corrections["blocks.0.attn.qkv"] as? MixtureLayer)
    let tokens = try Tensor.normal([4000, 768], from: Generator(seed: 1))
      .layerNorm(width: 768, weight: nil, bias: nil, epsilon: 1e-5)
    let noise = try Tensor.normal([4000, 4], deviation: 0.25, from: Generator(seed: 2))
    for (noise, gate) in [(nil, 0.28), (noise, 0.33)] {
      let decision = try layer.router.decide(tokens, topK: 1, gating: .rawProbability, noise: noise)
      let shares = try decision.gates.isGreater(than: 0).to(.float64).mean(0).doubles()
      #expect(shares.allSatisfy { (0.15...0.35).contains($0) }, "\(shares)")
      #expect(try abs(decision.threshold.mean().item() - gate) < 0.015)
    }
  }

  @Test func `two domains: the loss falls, nothing frozen moves, every expert is in use`() throws {
    let backbone = try TinyBackbone()
    let frozen = try backbone.tensors.map { try $0.tensor.clone() }
    var configuration = MixtureOfAdapters(of: .kronecker(dimension: 3), ranks: [1, 2, 4, 8])
    configuration.router = .cosine(projection: 8)
    var model = try backbone.adapted(by: configuration, at: .attention, blocks: .all, seed: 1)
    model.head = try Head(classes: ["left", "right"], features: 12, generator: Generator(seed: 2))
    // The class is the sign of the first feature; the domains differ in where all others are.
    let generator = try Generator(seed: 3)
    let labels = try Tensor((0..<64).map { Int64($0 % 2) })
    let side = try (labels.to(.float32) * 2 - 1).reshaped(64, 1, 1) * Tensor([1.5] + [Float](repeating: 0, count: 11))
    let domain =
      try Tensor((0..<64).map { Float($0 / 32 * 2 - 1) }).reshaped(64, 1, 1)
      * Tensor([0] + [Float](repeating: 1, count: 11))
    let inputs = try Tensor.normal([64, 6, 12], from: generator) + side + domain
    let parameters = model.parameters.map(\.value)
    let step = AdamStep(rate: 5e-3)
    let means = try parameters.map { try $0.zerosLike() }
    let squares = try parameters.map { try $0.zerosLike() }
    let steps = try parameters.map { _ in try Tensor.zeros([]) }
    var losses: [Double] = []
    for _ in 0..<60 {
      let pass = ForwardPass(.training(generator))
      let loss = try model.logits(inputs, pass: pass).crossEntropy(labels)
      losses.append(try loss.item())
      #expect(pass.auxiliaryLosses.count == 4)
      let total = try pass.auxiliaryLosses.reduce(loss) { try $0 + $1 }
      let found = try gradients(of: total, parameters)
      try withoutGradients {
        try step(parameters: parameters, gradients: found, means: means, squares: squares, steps: steps)
      }
    }
    #expect(losses[0] > 0.3)
    #expect(losses[59] < losses[0] / 3)
    for (before, (_, after)) in zip(frozen, backbone.tensors) { #expect(try after.isEqual(to: before)) }
    let pass = ForwardPass()
    pass.onRouting = { routing in
      let load = try routing.gates.isGreater(than: 0).to(.float64).mean(0, 1).doubles()
      #expect(load.allSatisfy { $0 > 0 }, "\(routing.site.name): \(load)")
    }
    let accuracy = try model.logits(inputs, pass: pass).argmax(1).equals(labels).to(.float32).mean().item()
    #expect(accuracy > 0.9)
  }

  @Test func `settings that do not fit are refused`() throws {
    func refused(_ change: (inout MixtureOfAdapters) -> Void) throws -> String {
      var configuration = MixtureOfAdapters(of: .kronecker(dimension: 3))
      change(&configuration)
      return try thrown { try configuration.validate([site]) }.description
    }
    #expect(try refused { $0.ranks = [] } == "A mixture needs at least one expert. Give at least one rank.")
    #expect(try refused { $0.topK = 5 } == "topK is 5; with 4 experts it must be 1 to 4.")
    #expect(try refused { $0.topK = 0 } == "topK is 0; with 4 experts it must be 1 to 4.")
    #expect(try refused { $0.dropConnect = 1 } == "dropConnect is 1.0; it must be 0 ..< 1.")
    #expect(try refused { $0.dropConnect = .nan } == "dropConnect is nan; it must be 0 ..< 1.")
    #expect(try refused { $0.auxiliaryWeight = -1 } == "auxiliaryWeight is -1.0; it must be 0 or more.")
    #expect(try refused { $0.auxiliaryWeight = .infinity } == "auxiliaryWeight is inf; it must be 0 or more.")
    #expect(try refused { $0.noise = -0.5 } == "noise is -0.5; it must be 0 or more.")
    #expect(try refused { $0.noise = .nan } == "noise is nan; it must be 0 or more.")
    #expect(try refused { $0.router = .cosine(projection: 0) } == "projection is 0.0; it must be 1 or more.")
    #expect(
      try refused { $0.experts = .kronecker(dimension: 8) } == """
        The Kronecker dimension 8 does not divide both sides of 'layer', 12 and 36. Common divisors are 1, 2, 3, 4, 6, 12.
        """)
    #expect(
      try refused { $0.ranks = [1, 0] } == """
        Rank 0 does not fit 'layer', whose ranks go from 1 to 36. Choose a rank in that range, or leave 'layer' out of \
        the targets.
        """)
    #expect(
      try refused {
        $0.experts = .lora
        $0.ranks = [1, 13]
      } == """
        Rank 13 does not fit 'layer', whose ranks go from 1 to 12. Choose a rank in that range, or leave 'layer' out of \
        the targets.
        """)
  }
}
