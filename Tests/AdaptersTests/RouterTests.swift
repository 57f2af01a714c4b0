import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// A cosine router of random float64 parameters.
func cosineRouter(
  _ inFeatures: Int, projection: Int, experts: Int, logScale: Double = log(2), seed: UInt64 = 1
) throws -> Router {
  let generator = try Generator(seed: seed)
  return Router(
    weight: try Parameter("weight", generator.normal(projection, inFeatures)),
    cosine: (
      bias: try Parameter("bias", generator.normal(projection, deviation: 0.5)),
      embedding: try Parameter("embedding", generator.normal(projection, experts)),
      logScale: try Parameter("logScale", Tensor([logScale])), largestLogScale: log(100)
    ))
}

@Suite struct RouterTests {
  let tokens: Tensor

  init() throws { tokens = try Generator(seed: 8).normal(40, 6) }

  @Test func `a logit is the scaled cosine of token and expert`() throws {
    let router = try cosineRouter(6, projection: 3, experts: 4)
    let cosine = try #require(router.cosine)
    let z = try tokens.linear(router.weight.value, cosine.bias.value).doubles()
    let e = try cosine.embedding.value.doubles()
    let expected = (0..<40).flatMap { token in
      (0..<4).map { expert in
        let a = z[token * 3..<token * 3 + 3]
        let b = [e[expert], e[4 + expert], e[8 + expert]]
        let dot = zip(a, b).map(*).reduce(0, +)
        let norms = a.map { $0 * $0 }.reduce(0, +) * b.map { $0 * $0 }.reduce(0, +)
        return 2 * dot / norms.squareRoot()
      }
    }
    try expectClose(router.logits(tokens), expected, tolerance: 1e-12)
  }

  @Test(arguments: [-1.0, log(2.0), 3, log(100.0), 7, 300])
  func `no logit exceeds the scale, and the scale never exceeds 100`(_ logScale: Double) throws {
    let router = try cosineRouter(6, projection: 2, experts: 4, logScale: logScale)
    let largest = try router.logits(tokens).abs().max().item()
    let scale = min(exp(logScale), 100)
    #expect(largest <= scale * (1 + 1e-12))
    #expect(largest > scale * 0.9)
  }

  @Test func `past the bound the scale is a constant and gets no gradient`() throws {
    func slope(_ logScale: Double) throws -> (loss: Double, gradient: Double) {
      let router = try cosineRouter(6, projection: 3, experts: 4, logScale: logScale)
      let loss = try router.logits(tokens).squared().sum()
      return (try loss.item(), try gradients(of: loss, [#require(router.cosine).logScale.value])[0].item())
    }
    #expect(try slope(log(100) + 1e-6).gradient == 0)
    #expect(try slope(50).gradient == 0)
    #expect(try abs(slope(50).loss / slope(log(100)).loss - 1) < 1e-12)
    // d/dθ of (e^θ c)² is 2 (e^θ c)².
    let below = try slope(log(99))
    #expect(abs(below.gradient / below.loss - 2) < 1e-12)
  }

  @Test func `a token of zeros and an expert of zeros have logit 0 and finite gradients`() throws {
    let router = try cosineRouter(6, projection: 3, experts: 2)
    let cosine = try #require(router.cosine)
    try withoutGradients {
      try cosine.bias.value.fillInPlace(0)
      try cosine.embedding.value.copyInPlace(Tensor([1, 0, 2, 0, 3, 0] as [Double], shape: [3, 2]))
    }
    let logits = try router.logits(.concatenated([.zeros([1, 6], dtype: .float64), tokens.narrowed(0, 0..<1)]))
    #expect(try logits.doubles()[0] == 0 && logits.doubles()[1] == 0 && logits.doubles()[3] == 0)
    #expect(try logits.doubles()[2] != 0)
    for gradient in try gradients(of: logits.sum(), router.parameters.map(\.value)) {
      #expect(try gradient.isFinite().all().item() == 1)
    }
  }

  @Test func `only directions count, of the projected token and of an expert`() throws {
    let router = try cosineRouter(6, projection: 3, experts: 4)
    let before = try router.logits(tokens)
    try withoutGradients {
      try router.weight.value.scaleInPlace(17)
      try router.cosine?.bias.value.scaleInPlace(17)
      try router.cosine?.embedding.value.multiplyInPlace(Tensor([0.01, 5, 1, 300] as [Double]))
    }
    try expectClose(router.logits(tokens), before)
  }

  @Test func `the linear router is one product without a bias`() throws {
    let router = try Router(
      .linear, name: "r", inFeatures: 6, experts: 4, device: .cpu, generator: Generator(seed: 1))
    #expect(router.parameters.map(\.name) == ["r.weight"])
    let tokens = try tokens.to(.float32)
    #expect(try router.logits(tokens).isEqual(to: tokens.linear(router.weight.value)))
    #expect(try router.weight.value.abs().max().item() <= 1 / 6.0.squareRoot())
  }

  @Test func `a fresh cosine router starts as the official code does`() throws {
    let router = try Router(
      Router.Configuration(), name: "r", inFeatures: 768, experts: 4, device: .cpu, generator: Generator(seed: 1))
    let cosine = try #require(router.cosine)
    #expect(router.parameters.map(\.name) == ["r.weight", "r.bias", "r.embedding", "r.logScale"])
    #expect(router.parameters.map(\.value.shape) == [[256, 768], [256], [256, 4], [1]])
    try expectClose(cosine.logScale.value, [log(2)], tolerance: 1e-7)
    #expect(cosine.largestLogScale == log(100))
    let bound = 1 / 768.0.squareRoot()
    for uniform in [router.weight.value, cosine.bias.value] {
      #expect(try uniform.abs().max().item() <= bound)
      #expect(try abs(uniform.variance().sqrt().item() / (bound / 3.0.squareRoot()) - 1) < 0.1)
    }
    #expect(try abs(cosine.embedding.value.variance().sqrt().item() / 0.01 - 1) < 0.1)
  }

  @Test func `the gate is the chosen expert's probability among all`() throws {
    let router = try cosineRouter(6, projection: 3, experts: 4)
    let decision = try router.decide(tokens, topK: 1, gating: .rawProbability, noise: nil)
    let probabilities = try router.logits(tokens).softmax()
    try expectClose(decision.probabilities, probabilities)
    let best = try probabilities.max(1, keep: true)
    let chosen = try (best - probabilities).equals(0).to(.float64)
    #expect(try chosen.sum().item() == 40)
    try expectClose(decision.gates, chosen * best)
    #expect(try decision.gates.max().item() < 1 && decision.threshold.min().item() > 0.25)
    try expectClose(decision.threshold, best.squeezed(1))
  }

  @Test func `renormalized gates of the two best sum to one, in the proportion of their probabilities`() throws {
    let router = try cosineRouter(6, projection: 3, experts: 4)
    let raw = try router.decide(tokens, topK: 2, gating: .rawProbability, noise: nil)
    let renormalized = try router.decide(tokens, topK: 2, gating: .renormalized, noise: nil)
    let (values, indices) = try raw.probabilities.topK(2)
    try expectClose(raw.gates, raw.gates.zerosLike().scattered(1, indices, values))
    try expectClose(raw.threshold, values.select(1, 1))
    try expectClose(renormalized.gates, raw.gates / values.sum(1, keep: true))
  }

  @Test(arguments: [1, 2, 3])
  func `of equal probabilities the first experts win`(_ topK: Int) throws {
    let router = try cosineRouter(6, projection: 3, experts: 4)
    try withoutGradients { try router.cosine?.embedding.value.fillInPlace(1) }
    let decision = try router.decide(tokens, topK: topK, gating: .rawProbability, noise: nil)
    let row = (0..<4).map { $0 < topK ? 0.25 : 0 }
    try expectClose(decision.gates, (0..<40).flatMap { _ in row }, tolerance: 1e-15)
  }

  @Test func `noise moves the gates and the threshold, not the probabilities`() throws {
    let router = try cosineRouter(6, projection: 3, experts: 4)
    let noise = try Generator(seed: 2).normal(40, 4, deviation: 0.25)
    let clean = try router.decide(tokens, topK: 1, gating: .rawProbability, noise: nil)
    let noisy = try router.decide(tokens, topK: 1, gating: .rawProbability, noise: noise)
    try expectClose(noisy.probabilities, clean.probabilities, tolerance: 0)
    let expected = try (router.logits(tokens) + noise).softmax().max(1)
    try expectClose(noisy.threshold, expected)
    try expectClose(noisy.gates.sum(1), expected)
    #expect(try noisy.gates.distance(to: clean.gates) > 0.01)
  }

  @Test func `the choice is constant, the gate is not: finite differences`() throws {
    let router = try cosineRouter(6, projection: 3, experts: 4)
    let weights = try Generator(seed: 5).normal(40, 4)
    for (topK, gating) in [(1, MixtureOfAdapters.Gating.rawProbability), (2, .rawProbability), (2, .renormalized)] {
      func loss() throws -> Tensor {
        let decision = try router.decide(tokens, topK: topK, gating: gating, noise: nil)
        return try (decision.gates * weights).sum() + decision.threshold.squared().sum()
      }
      let leaves = router.parameters.map(\.value)
      for (gradient, leaf) in zip(try gradients(of: loss(), leaves), leaves) {
        try expectClose(gradient, differences(of: leaf, step: 1e-6, loss), tolerance: 1e-6)
      }
    }
  }

  @Test func `settings out of range are refused`() throws {
    func error(_ configuration: Router.Configuration) throws -> AdapterError {
      try thrown { try configuration.validate() }
    }
    #expect(try error(.cosine(projection: 0)).description == "projection is 0.0; it must be 1 or more.")
    #expect(
      try error(.cosine(projection: 8, initialTemperature: 0.5, minimumTemperature: 0)).description
        == "minimumTemperature is 0.0; it must be a positive number.")
    #expect(
      try error(.cosine(projection: 8, initialTemperature: 0.001, minimumTemperature: 0.01)).description
        == "initialTemperature is 0.001; it must be at least minimumTemperature, 0.01.")
    #expect(throws: AdapterError.self) {
      try Router.Configuration.cosine(projection: 8, initialTemperature: .nan, minimumTemperature: 0.01).validate()
    }
    #expect(throws: AdapterError.self) {
      try Router.Configuration.cosine(projection: 8, initialTemperature: 1, minimumTemperature: .nan).validate()
    }
    #expect(throws: Never.self) { try Router.Configuration.linear.validate() }
  }
}
