import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// A mixture's layer with the frozen map beside it, and its tensors by the names of the reference files.
struct ReferenceLayer {
  let layer: MixtureLayer
  let linear: Linear
  let experts: [KroneckerExpert]
  let leaves: [(name: String, tensor: Tensor)]

  /// Reads `prefix…` of a reference file, float64.
  init(
    _ file: Fixture, prefix: String = "", ranks: [Int], slow: KroneckerExpert.Slow,
    _ change: (inout MixtureOfAdapters) -> Void = { _ in }
  ) throws {
    var configuration = MixtureOfAdapters(of: .kronecker(dimension: slow.left.value.shape[0]), ranks: ranks)
    change(&configuration)
    let experts = try ranks.indices.map { index in
      KroneckerExpert(
        slow: slow, left: try file.parameter("\(prefix)experts.\(index).U"),
        right: try file.parameter("\(prefix)experts.\(index).V"))
    }
    let router = Router(
      weight: try file.parameter("\(prefix)router.weight"),
      cosine: (
        bias: try file.parameter("\(prefix)router.bias"), embedding: try file.parameter("\(prefix)router.embedding"),
        logScale: try file.parameter("\(prefix)router.logScale"), largestLogScale: log(100)
      ))
    try self.init(
      configuration, weight: file["\(prefix)base.weight"], linearBias: file["\(prefix)base.bias"], router: router,
      experts: experts, bias: file.parameter("\(prefix)bias"), prefix: prefix)
  }

  init(
    _ configuration: MixtureOfAdapters, weight: Tensor, linearBias: Tensor, router: Router, experts: [KroneckerExpert],
    bias: Parameter, prefix: String = ""
  ) throws {
    self.experts = experts
    let site = Site.lone(weight.shape[1], weight.shape[0])
    linear = Linear(site: site, weight: weight, bias: linearBias)
    layer = try MixtureLayer(
      configuration, at: site, router: router, experts: .kronecker(experts), bias: bias, device: .cpu)
    var leaves: [(name: String, tensor: Tensor)] = [("\(prefix)bias", bias.value)]
    for (index, expert) in experts.enumerated() {
      leaves.append(("\(prefix)experts.\(index).U", expert.left.value))
      leaves.append(("\(prefix)experts.\(index).V", expert.right.value))
    }
    leaves.append(("\(prefix)router.weight", router.weight.value))
    if let cosine = router.cosine {
      leaves.append(("\(prefix)router.bias", cosine.bias.value))
      leaves.append(("\(prefix)router.embedding", cosine.embedding.value))
      leaves.append(("\(prefix)router.logScale", cosine.logScale.value))
    }
    self.leaves = leaves
  }

  func callAsFunction(
    _ input: Tensor, _ draws: MixtureLayer.Draws = .init(), pass: ForwardPass = ForwardPass()
  ) throws -> Tensor {
    try layer.output(of: linear, input: input, draws: draws, pass: pass)
  }

  func decision(_ rows: Tensor, noise: Tensor? = nil) throws -> Router.Decision {
    try layer.router.decide(
      rows, topK: layer.configuration.topK, gating: layer.configuration.gating, noise: noise)
  }

  /// The raw load-balancing loss.
  func auxiliary(_ rows: Tensor, noise: Tensor? = nil) throws -> Tensor {
    let decision = try decision(rows, noise: noise)
    return try LoadBalance.loss(
      probabilities: decision.probabilities, threshold: decision.threshold,
      deviation: layer.configuration.noiseDeviation)
  }
}

/// Random float64 parameters: 6 to 8 by default, dimension 2, `ranks`, router projection 3.
func randomLayer(
  ranks: [Int] = [1, 2, 3, 4], equalExperts: Bool = false, seed: UInt64 = 1,
  _ change: (inout MixtureOfAdapters) -> Void = { _ in }
) throws -> ReferenceLayer {
  let generator = try Generator(seed: seed)
  var configuration = MixtureOfAdapters(of: .kronecker(dimension: 2), ranks: ranks)
  change(&configuration)
  let slow = KroneckerExpert.Slow(
    left: try Parameter("l", generator.normal(2, 2)), right: try Parameter("rho", generator.normal(2, 2)))
  var experts: [KroneckerExpert] = []
  for rank in ranks {
    let (left, right) = (try generator.normal(2, 3, rank), try generator.normal(2, rank, 4))
    experts.append(
      KroneckerExpert(
        slow: slow, left: try Parameter("U", equalExperts ? experts.first?.left.value ?? left : left),
        right: try Parameter("V", equalExperts ? experts.first?.right.value ?? right : right)))
  }
  return try ReferenceLayer(
    configuration, weight: generator.normal(8, 6), linearBias: generator.normal(8),
    router: cosineRouter(6, projection: 3, experts: ranks.count, seed: seed &+ 100), experts: experts,
    bias: Parameter("bias", generator.normal(8)))
}

@Suite struct MixtureLayerTests {
  /// Entry `k` in row-major order is `amplitude · sin(start + k)`.
  static func fill(_ start: Double, _ amplitude: Double, _ shape: Int...) throws -> Tensor {
    let count = shape.reduce(1, *)
    return try Tensor((0..<count).map { amplitude * sin(start + Double($0)) }, shape: shape)
  }

  static func slow(_ file: Fixture) throws -> KroneckerExpert.Slow {
    KroneckerExpert.Slow(left: try file.parameter("shared.l"), right: try file.parameter("shared.rho"))
  }

  @Test func `the official layer in small: every published digit`() throws {
    let fill = Self.fill
    let slow = KroneckerExpert.Slow(
      left: try Parameter("l", fill(0.3, 1, 2, 2)), right: try Parameter("rho", fill(0.4, 1, 2, 2)))
    let experts = try (0..<2).map { e in
      KroneckerExpert(
        slow: slow, left: try Parameter("U", fill(1 + Double(e), 1, 2, 2, e + 1)),
        right: try Parameter("V", fill(2 + Double(e), 1, 2, e + 1, 3)))
    }
    let logScale = try Parameter("logScale", Tensor([log(2.0)]))
    let router = Router(
      weight: try Parameter("weight", fill(3, 1, 3, 4)),
      cosine: (
        bias: try Parameter("bias", fill(4, 0.1, 3)), embedding: try Parameter("embedding", fill(5, 1, 3, 2)),
        logScale: logScale, largestLogScale: log(100)
      ))
    let bias = try Parameter("beta", fill(6, 0.1, 6))
    let layer = try ReferenceLayer(
      MixtureOfAdapters(of: .kronecker(dimension: 2), ranks: [1, 2]), weight: fill(0.1, 0.5, 6, 4),
      linearBias: fill(0.2, 0.1, 6), router: router, experts: experts, bias: bias)
    let x = try fill(7, 1, 3, 4).requiringGradient()
    func published(
      _ tensor: Tensor, _ numbers: [Double], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      try expectClose(tensor, numbers, tolerance: 5.1e-8, sourceLocation: sourceLocation)
    }

    let matrices = try (0..<2).map { try layer.layer.expertDelta($0).materialized().transposed() }
    try published(matrices[0].select(0, 0), [0.0198920, -0.0061956, -0.0265870, 0.2486135, 0.0420959, -0.2031245])
    try published(matrices[0].select(0, 3), [0.2329200, 0.0256176, -0.2052375, 0.8143528, 0.1303689, -0.6734756])
    try published(matrices[1].select(0, 0), [-0.2253360, 0.1470839, 0.3842756, 0.1150053, -0.2549744, -0.3905319])
    try published(matrices[1].select(0, 2), [0.0831848, -0.2690366, -0.3739070, 0.0655513, -0.5481424, -0.6578765])
    try published(router.logits(x), [0.9155465, 1.9340114, 0.2092895, -1.6282863, -1.4718374, 0.4666349])
    let decision = try layer.decision(x)
    try published(decision.gates, [0, 0.7346735, 0.8626618, 0, 0, 0.8741842])
    let (importance, load) = try LoadBalance.statistics(
      probabilities: decision.probabilities, threshold: decision.threshold, deviation: 0.5)
    try published(importance, [1.2538041, 1.7461959])
    try published(load, [0.7411748, 1.0734391])
    try published(LoadBalance.squaredVariation(importance), [0.0538777])
    try published(LoadBalance.squaredVariation(load), [0.0670546])
    try published(layer.auxiliary(x), [0.0604662])

    let y = try layer(x)
    try published(
      y,
      [
        0.6141434, -0.9595731, 0.6475300, 0.2092979, -1.1846436, 0.4689019,
        -0.0172196, 1.1279839, -1.1047496, 1.3119500, 0.4098480, -1.9070007,
        -0.7874350, 0.1861854, 1.7502297, -0.9768592, 0.4580876, 0.8704178,
      ])
    let loss = try y.squared().sum() * 0.5
    try published(loss, [8.5215034])
    let found = try gradients(
      of: loss,
      [
        experts[0].left.value, slow.left.value, slow.right.value, #require(router.cosine).embedding.value,
        logScale.value, bias.value, x,
      ])
    try published(found[0], [0.2863882, 2.0847974, 0.0147661, 0.0101181])
    try published(found[1], [-4.0088118, 5.1003398, 0.7304975, -0.4591555])
    try published(found[2], [2.0655537, 2.9686190, 1.0118553, 0.2594708])
    try published(found[3], [-0.0629096, 0.4712454, -0.4999049, -0.1550930, 0.6505539, -0.5240896])
    try published(found[4], [1.0831808])
    try published(found[5], [-0.1905112, 0.3545961, 1.2930100, 0.5443888, -0.3167080, -0.5676809])
    try published(found[6].select(0, 0), [1.2435373, 1.6322041, 0.9070704, -0.9822670])
  }

  @Test func `the official layer in small: every gradient of the reference`() throws {
    let file = try Fixture("moa_small_layer")
    let slow = try Self.slow(file)
    let layer = try ReferenceLayer(file, ranks: [1, 2], slow: slow)
    let x = try file["x"].clone().requiringGradient()
    let y = try layer(x)
    try expectClose(y, file["y"])
    try expectClose(layer.layer.router.logits(x), file["logits"])
    try expectClose(layer.decision(x).gates, file["gates"])
    try expectClose(layer.auxiliary(x), file["auxiliary"])
    let leaves = layer.leaves + [("shared.l", slow.left.value), ("shared.rho", slow.right.value), ("x", x)]
    for (gradient, leaf) in zip(try gradients(of: y.squared().sum() * 0.5, leaves.map(\.tensor)), leaves) {
      try expectClose(gradient, file["gradient.\(leaf.name)"])
    }
  }

  @Test(arguments: [false, true])
  func `two layers, four experts: the reference's outputs and every gradient`(training: Bool) throws {
    let file = try Fixture(training ? "moa_train" : "moa_eval")
    let slow = try Self.slow(file)
    let layers = try (0..<2).map {
      try ReferenceLayer(file, prefix: "layers.\($0).", ranks: [1, 2, 4, 8], slow: slow)
    }
    let pass = training ? try ForwardPass(.training(Generator(seed: 1))) : ForwardPass()
    var decisions: [ForwardPass.Routing] = []
    pass.onRouting = { decisions.append($0) }
    // The reference's noise is standard normal and its masks keep where 1, with p = 1/2.
    let draws = try (0..<2).map { layer in
      training
        ? MixtureLayer.Draws(
          noise: try file["layers.\(layer).noise"] / 4,
          masks: try (0..<4).map { try file["layers.\(layer).experts.\($0).mask"] * 2 }) : .init()
    }
    let x = try file["x"].clone().requiringGradient()
    let hidden = try layers[0](x, draws[0], pass: pass)
    let y = try layers[1](hidden.gelu(), draws[1], pass: pass)
    try expectClose(hidden, file["layers.0.y"])
    try expectClose(y, file["y"])
    for (index, layer) in layers.enumerated() {
      try expectClose(decisions[index].gates.reshaped(-1, 4), file["layers.\(index).gates"])
      try expectClose(decisions[index].probabilities.reshaped(-1, 4), file["layers.\(index).logits"].softmax())
      let rows = try (index == 0 ? x : hidden.gelu()).reshaped(-1, layer.linear.site.inFeatures)
      try expectClose(layer.auxiliary(rows, noise: draws[index].noise), file["layers.\(index).auxiliary"])
      for expert in 0..<4 {
        try expectClose(
          layer.layer.expertDelta(expert).materialized().transposed(), file["layers.\(index).experts.\(expert).H"])
      }
    }
    #expect(pass.auxiliaryLosses.count == (training ? 2 : 0))
    let loss = try pass.auxiliaryLosses.reduce((y * file["y.weights"]).sum()) { try $0 + $1 }
    try expectClose(loss, file["loss"])
    let leaves =
      layers.flatMap(\.leaves) + [("shared.l", slow.left.value), ("shared.rho", slow.right.value), ("x", x)]
    for (gradient, leaf) in zip(try gradients(of: loss, leaves.map(\.tensor)), leaves) {
      try expectClose(gradient, file["gradient.\(leaf.name)"], tolerance: 1e-10)
    }
  }

  // MARK: Identities

  @Test(arguments: [MixtureOfAdapters.Gating.rawProbability, .renormalized])
  func `one expert is the plain adapter, whatever the router and its noise`(_ gating: MixtureOfAdapters.Gating) throws {
    let mixture = try randomLayer(ranks: [3]) {
      $0.gating = gating
      $0.dropConnect = 0
    }
    let x = try Generator(seed: 3).normal(5, 6)
    let change = try #require(mixture.layer.delta(of: mixture.linear))
    let expected = try mixture.linear(x) + #require(change.weight).apply(to: x) + #require(change.bias)
    try expectClose(mixture(x), expected)
    let noise = try Generator(seed: 4).normal(5, 1, deviation: 10)
    let pass = try ForwardPass(.training(Generator(seed: 1)))
    try expectClose(mixture(x, .init(noise: noise), pass: pass), expected)
    #expect(try pass.auxiliaryLosses.map { try $0.item() } == [0])
    let two = try randomLayer(ranks: [3, 3])
    #expect(two.layer.delta(of: two.linear).map { _ in true } == nil, "a mixture depends on the token")
  }

  @Test func `equal experts make one adapter with renormalized gates, and one scaled by the gate without`() throws {
    let x = try Generator(seed: 3).normal(9, 6)
    for gating in [MixtureOfAdapters.Gating.rawProbability, .renormalized] {
      let mixture = try randomLayer(ranks: [2, 2, 2], equalExperts: true) { $0.gating = gating }
      let change = try mixture.layer.expertDelta(0).apply(to: x)
      let gate = try mixture.layer.router.logits(x).softmax().max(1, keep: true)
      let base = try mixture.linear(x) + #require(mixture.layer.bias).value
      try expectClose(mixture(x), base + (gating == .renormalized ? change : change * gate))
    }
  }

  @Test(arguments: [1, 2, 4])
  func `structured, dispatched and dense evaluation agree, with their gradients`(_ topK: Int) throws {
    let mixture = try randomLayer { $0.topK = topK }
    let x = try Generator(seed: 3).normal(2, 7, 6).requiringGradient()
    let rows = try x.reshaped(-1, 6)
    let ones = MixtureLayer.Draws(masks: [Tensor](repeating: try .ones([6, 8], dtype: .float64), count: 4))
    let gates = try mixture.decision(rows).gates
    var dense = try mixture.linear(rows) + #require(mixture.layer.bias).value
    for expert in 0..<4 {
      let change = try mixture.layer.expertDelta(expert).apply(to: rows)
      dense = try dense + change * gates.narrowed(1, expert..<expert + 1)
    }
    dense = try dense.reshaped(2, 7, 8)
    let structured = try mixture(x)
    let dispatched = try mixture(x, ones)
    try expectClose(structured, dense)
    try expectClose(dispatched, dense)
    let leaves = mixture.leaves.map(\.tensor) + [x]
    let expected = try gradients(of: dense.sin().sum(), leaves)
    for output in [structured, dispatched] {
      for (found, expected) in zip(try gradients(of: output.sin().sum(), leaves), expected) {
        try expectClose(found, expected, tolerance: 1e-11)
      }
    }
  }

  @Test(arguments: [false, true])
  func `finite differences of every parameter, with noise and load balancing`(masked: Bool) throws {
    let mixture = try randomLayer(ranks: [1, 2]) { $0.auxiliaryWeight = 0.5 }
    let generator = try Generator(seed: 3)
    let x = try generator.normal(6, 6).requiringGradient()
    let weights = try generator.normal(6, 8)
    let draws = MixtureLayer.Draws(
      noise: try generator.normal(6, 2, deviation: 0.5),
      masks: masked
        ? try (0..<2).map { _ in try Tensor.ones([6, 8], dtype: .float64).dropout(0.5, from: generator) } : nil)
    func loss() throws -> Tensor {
      let pass = try ForwardPass(.training(Generator(seed: 1)))
      let y = try mixture(x, draws, pass: pass)
      return try pass.auxiliaryLosses.reduce((y * weights).sum()) { try $0 + $1 }
    }
    let experts = mixture.experts
    let slow = [experts[0].slow.left.value, experts[0].slow.right.value]
    let leaves = mixture.leaves.map(\.tensor) + slow + [x]
    #expect(leaves.count == 1 + 4 + 4 + 2 + 1)
    for (gradient, leaf) in zip(try gradients(of: loss(), leaves), leaves) {
      try expectClose(gradient, differences(of: leaf, step: 1e-6, loss), tolerance: 1e-6)
    }
  }

  @Test func `experts permuted together with the router's columns change nothing but the gates' order`() throws {
    let mixture = try randomLayer()
    let experts = mixture.experts
    let cosine = try #require(mixture.layer.router.cosine)
    let order = [2, 0, 3, 1]
    let index = try Tensor(order.map(Int64.init))
    let router = Router(
      weight: mixture.layer.router.weight,
      cosine: (
        bias: cosine.bias, embedding: try Parameter("embedding", cosine.embedding.value.selected(1, index)),
        logScale: cosine.logScale, largestLogScale: cosine.largestLogScale
      ))
    var configuration = mixture.layer.configuration
    configuration.ranks = order.map { mixture.layer.configuration.ranks[$0] }
    let permuted = try ReferenceLayer(
      configuration, weight: mixture.linear.weight, linearBias: #require(mixture.linear.bias), router: router,
      experts: order.map { experts[$0] }, bias: #require(mixture.layer.bias))
    let x = try Generator(seed: 3).normal(30, 6)
    try expectClose(permuted.decision(x).gates, mixture.decision(x).gates.selected(1, index))
    try expectClose(permuted(x), mixture(x))
    try expectClose(permuted.auxiliary(x), mixture.auxiliary(x))
  }

  @Test(arguments: [false, true])
  func `an expert chosen by no token gets a gradient of exactly zero`(masked: Bool) throws {
    let mixture = try randomLayer()
    let x = try Generator(seed: 3).normal(3, 6)
    let masks = masked ? [Tensor](repeating: try .ones([6, 8], dtype: .float64), count: 4) : nil
    let used = try mixture.decision(x).gates.max(0).isGreater(than: 0).integers()
    #expect(used.contains(0) && used.contains(1))
    let experts = mixture.experts
    let loss = try mixture(x, .init(masks: masks)).squared().sum()
    let found = try gradients(of: loss, experts.flatMap { [$0.left.value, $0.right.value] })
    for (index, gradient) in found.enumerated() {
      #expect(try (gradient.abs().max().item() > 0) == (used[index / 2] == 1))
    }
  }

  @Test func `the bias gets the sum over tokens of the output's gradient`() throws {
    let mixture = try randomLayer()
    let generator = try Generator(seed: 3)
    let weights = try generator.normal(2, 5, 8)
    let y = try mixture(generator.normal(2, 5, 6))
    let found = try gradients(of: (y * weights).sum(), [#require(mixture.layer.bias).value])
    try expectClose(found[0], weights.sum(0, 1))
  }

  // MARK: Randomness

  @Test func `training draws, the same from the same seed; evaluation draws nothing`() throws {
    let mixture = try randomLayer()
    let x = try Generator(seed: 3).normal(2, 5, 6)
    let before = try mixture.layer.output(of: mixture.linear, input: x, pass: ForwardPass())
    try expectClose(before, mixture(x), tolerance: 0)
    func trained(_ seed: UInt64) throws -> Tensor {
      try mixture.layer.output(of: mixture.linear, input: x, pass: ForwardPass(.training(Generator(seed: seed))))
    }
    #expect(try trained(1).isEqual(to: trained(1)))
    #expect(try trained(1).distance(to: trained(2)) > 0.01)
    #expect(try mixture.layer.output(of: mixture.linear, input: x, pass: ForwardPass()).isEqual(to: before))
  }

  @Test func `without DropConnect and noise, training is evaluation`() throws {
    let mixture = try randomLayer {
      $0.dropConnect = 0
      $0.noise = 0
    }
    let x = try Generator(seed: 3).normal(2, 5, 6)
    let pass = try ForwardPass(.training(Generator(seed: 1)))
    let trained = try mixture.layer.output(of: mixture.linear, input: x, pass: pass)
    #expect(try trained.isEqual(to: mixture(x)))
    // The load is still smoothed: σ = 1/N.
    let rows = try x.reshaped(-1, 6)
    let decision = try mixture.decision(rows)
    let raw = try LoadBalance.loss(
      probabilities: decision.probabilities, threshold: decision.threshold, deviation: 0.25)
    try expectClose(#require(pass.auxiliaryLosses.first), raw * 0.01)
  }

  @Test func `with DropConnect alone off, only the routing is noisy`() throws {
    let mixture = try randomLayer { $0.dropConnect = 0 }
    let x = try Generator(seed: 3).normal(50, 6)
    let draws = try mixture.layer.draw(tokens: 50, like: x, from: Generator(seed: 1))
    #expect(draws.masks == nil)
    let gates = try mixture.decision(x, noise: draws.noise).gates
    var expected = try mixture.linear(x) + #require(mixture.layer.bias).value
    for expert in 0..<4 {
      expected = try expected + mixture.layer.expertDelta(expert).apply(to: x) * gates.narrowed(1, expert..<expert + 1)
    }
    let pass = try ForwardPass(.training(Generator(seed: 1)))
    try expectClose(mixture.layer.output(of: mixture.linear, input: x, pass: pass), expected)
  }

  @Test func `noise has the deviation 1/N, and masks keep the mean of H`() throws {
    let mixture = try randomLayer()
    let x = try Generator(seed: 3).normal(4000, 6)
    let draws = try mixture.layer.draw(tokens: 4000, like: x, from: Generator(seed: 1))
    let noise = try #require(draws.noise)
    #expect(noise.shape == [4000, 4] && noise.dtype == .float64)
    #expect(try abs(noise.mean().item()) < 0.01)
    #expect(try abs(noise.variance().sqrt().item() - 0.25) < 0.01)
    let generator = try Generator(seed: 2)
    var sum = try Tensor.zeros([6, 8], dtype: .float64)
    var values: Set<Double> = []
    for _ in 0..<400 {
      let masks = try #require(try mixture.layer.draw(tokens: 1, like: x, from: generator).masks)
      #expect(masks.count == 4)
      #expect(try masks[0].distance(to: masks[1]) > 0)
      for mask in masks {
        values.formUnion(try mask.doubles())
        sum = try sum + mask
      }
    }
    #expect(values == [0, 2])
    // 1600 fair coins of 0 or 2: the deviation of each mean is 1/40, and 48 of them stay within five.
    #expect(try (sum / 1600 - 1).abs().max().item() < 5.0 / 40)
    let delta = try mixture.layer.expertDelta(3).materialized().transposed()
    #expect(try (delta * sum / 1600 - delta).norm().item() / delta.norm().item() < 0.06)
  }

  @Test func `the router and its loss run in float32 under bfloat16 autocast`() throws {
    let backbone = try TinyBackbone()
    let adapter = try backbone.adapted(by: .mixture(of: .kronecker(dimension: 3)), at: .qkv).adapter
    try adapter.perturb()
    let linear = try backbone.linear(at: adapter.sites[0])
    let input = try Tensor.normal([4, 9, 12], from: Generator(seed: 3))
    func routed() throws -> (routing: ForwardPass.Routing, loss: Tensor, output: Tensor) {
      let pass = try ForwardPass(.training(Generator(seed: 5)))
      var seen: [ForwardPass.Routing] = []
      pass.onRouting = { seen.append($0) }
      let output = try adapter.output(of: linear, input: input, pass: pass)
      return (try #require(seen.first), try #require(pass.auxiliaryLosses.first), output)
    }
    let exact = try routed()
    let rounded = try withAutocast(.bfloat16, on: .cpu) { try routed() }
    #expect(rounded.routing.gates.dtype == .float32 && rounded.loss.dtype == .float32)
    #expect(rounded.routing.gates.shape == [4, 9, 4])
    #expect(try rounded.routing.gates.isEqual(to: exact.routing.gates))
    #expect(try rounded.routing.probabilities.isEqual(to: exact.routing.probabilities))
    #expect(try rounded.loss.isEqual(to: exact.loss))
  }
}
