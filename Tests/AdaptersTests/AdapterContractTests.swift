import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// What every method promises, whichever it is. A method joins by a line in `cases`.
@Suite struct AdapterContractTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let configuration: any AdapterConfiguration
    /// How far a new adapter may be from the frozen model, relative to it.
    var drift = 0.0
    /// Whether outputs depend on the token through a router.
    var routes = false
    /// Whether some parameter starts at random.
    var draws = true
    /// Whether it sits on the queries and the values in place of the whole qkv map.
    var parts = false
    var testDescription: String { name }
  }

  static let cases: [Case] = {
    func mixture(
      _ experts: MixtureOfAdapters.Experts, _ ranks: [Int] = [1, 2, 4, 8],
      _ change: (inout MixtureOfAdapters) -> Void = { _ in }
    ) -> MixtureOfAdapters {
      var configuration = MixtureOfAdapters(of: experts, ranks: ranks)
      configuration.router = .cosine(projection: 8)
      change(&configuration)
      return configuration
    }
    func kronecker(_ change: (inout KroneckerAdapter) -> Void) -> KroneckerAdapter {
      var configuration = KroneckerAdapter(dimension: 3, rank: 2)
      change(&configuration)
      return configuration
    }
    var loHa = LoHa(rank: 3)
    loHa.rankDropout = 0.3
    var loKr = LoKr(rank: 2, factor: 2)
    loKr.rankDropout = 0.3
    var shallow = PromptTuning(tokens: 2, deep: false)
    shallow.dropout = 0.2
    let twoBranches = Consolidator(groups: [6, 4], dropPath: 0.5)
    var consolidated = Consolidator(groups: [6, 4])
    (consolidated.folded, consolidated.trainBaseBias) = (true, false)
    var bare = Consolidator(groups: [4])
    bare.initialization = .zeros
    (bare.branchBias, bare.trainBaseBias, bare.trainLayerNorm) = (false, false, false)
    var zeros = Consolidator(groups: [4], reorder: true, dropPath: 0.5)
    zeros.initialization = .zeros
    return [
      Case(name: "linear probe", configuration: LinearProbe(), draws: false),
      Case(name: "biases", configuration: BiasTuning(), draws: false),
      Case(name: "biases of linear maps", configuration: BiasTuning(.linear), draws: false),
      Case(name: "LayerNorms", configuration: LayerNormTuning(), draws: false),
      Case(name: "attention", configuration: AttentionTuning(), draws: false),
      Case(name: "the last block", configuration: LastBlocks(1), draws: false),
      Case(name: "everything", configuration: FullFineTuning(), draws: false),
      Case(name: "whole changes", configuration: DeltaTuning(), draws: false),
      Case(name: "whole changes of queries and values", configuration: DeltaTuning(), draws: false, parts: true),
      Case(name: "LoRA", configuration: LoRA(rank: 2, alpha: 6)),
      Case(name: "LoRA on queries and values", configuration: LoRA(rank: 2, alpha: 6), parts: true),
      Case(name: "LoRA with dropout", configuration: LoRA(rank: 2, dropout: 0.3)),
      Case(name: "rank-stabilized LoRA", configuration: LoRA(rank: 4, alpha: 6, rankStabilized: true)),
      Case(name: "DoRA", configuration: DoRA(rank: 2, alpha: 6)),
      Case(name: "DoRA on queries and values", configuration: DoRA(rank: 2, alpha: 6), parts: true),
      Case(name: "DoRA with dropout", configuration: DoRA(rank: 2, dropout: 0.3)),
      Case(name: "LoHa", configuration: LoHa(rank: 2, alpha: 3)),
      Case(name: "LoHa with rank dropout", configuration: loHa),
      Case(name: "LoKr", configuration: LoKr(rank: 1, alpha: 3)),
      Case(name: "LoKr on queries and values", configuration: LoKr(rank: 1, alpha: 3), parts: true),
      Case(name: "LoKr, both factors decomposed", configuration: LoKr(rank: 1, decomposeBoth: true)),
      Case(name: "LoKr with rank dropout", configuration: loKr),
      Case(name: "Houlsby", configuration: Houlsby(width: 4), drift: 0.02),
      Case(name: "Houlsby as first published", configuration: Houlsby.original, drift: 1e-3),
      Case(name: "Pfeiffer", configuration: Pfeiffer(width: 4), drift: 0.02),
      Case(name: "Pfeiffer in NOAH", configuration: Pfeiffer.noah, drift: 0.5),
      Case(name: "parallel adapter", configuration: ParallelAdapter(width: 4)),
      Case(name: "AdaptFormer", configuration: AdaptFormer(width: 4)),
      Case(name: "Adapter+", configuration: AdapterPlus(), drift: 0.02),
      Case(name: "deep prompts", configuration: PromptTuning(tokens: 2), drift: 0.5),
      Case(name: "shallow prompts with dropout", configuration: shallow, drift: 0.5),
      Case(name: "SSF", configuration: SSF(), drift: 0.2),
      Case(name: "SSF from the identity", configuration: SSF(.identity), draws: false),
      Case(name: "(IA)³", configuration: IA3(), draws: false),
      Case(name: "(IA)³ on queries and values", configuration: IA3(), draws: false, parts: true),
      Case(name: "RepAdapter", configuration: RepAdapter(width: 4, scale: 0.5)),
      Case(name: "RepAdapter of one group", configuration: RepAdapter(width: 4, groups: 1, dropout: 0)),
      Case(name: "Consolidator", configuration: Consolidator(groups: [6]), drift: 0.01),
      Case(name: "Consolidator, reordered", configuration: Consolidator(groups: [3], reorder: true), drift: 0.01),
      Case(name: "Consolidator with DropPath", configuration: Consolidator(groups: [6], dropPath: 0.5), drift: 0.01),
      Case(name: "Consolidator of two branches with DropPath", configuration: twoBranches, drift: 0.01),
      Case(name: "Consolidator, consolidated", configuration: consolidated, drift: 0.01),
      Case(name: "Consolidator from zero, with DropPath", configuration: zeros, draws: false),
      Case(name: "Consolidator without biases", configuration: bare, draws: false),
      Case(
        name: "Consolidator on queries and values", configuration: Consolidator(groups: [4]), drift: 0.01, parts: true),
      Case(name: "Kronecker", configuration: kronecker { _ in }, drift: 1e-3),
      Case(name: "Kronecker from zero", configuration: kronecker { $0.initialization = .zeroRight }),
      Case(name: "Kronecker with DropConnect", configuration: kronecker { $0.dropConnect = 0.5 }, drift: 1e-3),
      Case(
        name: "Kronecker on queries and values", configuration: kronecker { $0.initialization = .zeroRight },
        parts: true),
      Case(name: "Kronecker without bias", configuration: kronecker { $0.bias = false }, drift: 1e-3),
      Case(name: "mixture", configuration: mixture(.kronecker(dimension: 3)), drift: 1e-3, routes: true),
      Case(
        name: "mixture from zero",
        configuration: mixture(.kronecker(dimension: 3)) { $0.initialization = .zeroRight }, routes: true),
      Case(
        name: "mixture of two for each token",
        configuration: mixture(.kronecker(dimension: 3)) {
          $0.topK = 2
          $0.gating = .renormalized
          $0.router = .linear
        }, drift: 1e-3, routes: true),
      Case(name: "mixture of LoRA", configuration: mixture(.lora, [1, 2, 3]), routes: true),
      Case(
        name: "fusion of bottlenecks",
        configuration: AdapterFusion(of: [
          CompositionMember("one", Pfeiffer(width: 4)), CompositionMember("both", Houlsby(width: 3)),
        ]), drift: 0.02),
      Case(
        name: "average of outputs",
        configuration: OutputAverage(
          of: [
            CompositionMember("lora", LoRA(rank: 2, alpha: 6)),
            CompositionMember("dora", DoRA(rank: 3), sites: ["blocks.0.attn.qkv.value", "blocks.1.mlp.fc2"]),
            CompositionMember("biases", BiasTuning()),
          ], weights: [1, 2, 1])),
      Case(
        name: "average of outputs with a bottleneck",
        configuration: OutputAverage(of: [
          CompositionMember("lora", LoRA(rank: 2)), CompositionMember("bottleneck", Pfeiffer(width: 4)),
        ]), drift: 0.02),
    ]
  }()

  let backbone: TinyBackbone
  let input: Tensor

  init() throws {
    backbone = try TinyBackbone()
    input = try .normal([6, 5, 12], from: Generator(seed: 7))
  }

  func adapter(_ method: Case, seed: UInt64 = 1) throws -> Adapter {
    let sites = method.parts ? backbone.sites.flatMap { $0.parts.isEmpty ? [$0] : [$0.parts[0], $0.parts[2]] } : nil
    return try Adapter(
      method.configuration, at: sites ?? backbone.sites, of: backbone, generator: Generator(seed: seed))
  }

  func features(_ adapter: Adapter, _ input: Tensor? = nil, pass: ForwardPass = ForwardPass()) throws -> Tensor {
    try backbone.features(input ?? self.input, adaptation: adapter, pass: pass)
  }

  @Test func `every method is under this contract`() {
    let covered = Set(Self.cases.map { type(of: $0.configuration).method })
    #expect(covered == Set(adapterMethods.map { $0.method }))
    #expect(covered.count == adapterMethods.count, "two methods of one name")
  }

  @Test(arguments: cases)
  func `a fresh adapter is the frozen model`(_ method: Case) throws {
    let base = try backbone.features(input)
    let fresh = try features(adapter(method))
    if method.drift == 0 {
      #expect(try fresh.isEqual(to: base))
    } else {
      let drift = try (fresh - base).norm().item() / base.norm().item()
      #expect(drift > 1e-7 && drift < method.drift)
    }
  }

  @Test(arguments: cases)
  func `the same seed gives the same bytes`(_ method: Case) throws {
    let (first, second, other) = (try adapter(method), try adapter(method), try adapter(method, seed: 2))
    #expect(first.stored.map(\.name) == second.stored.map(\.name))
    for (one, two) in zip(first.stored, second.stored) { #expect(try one.value.isEqual(to: two.value)) }
    let differs = try zip(first.stored, other.stored).contains { try !$0.value.isEqual(to: $1.value) }
    #expect(differs == method.draws)
  }

  @Test(arguments: cases)
  func `names of parameters are unique, all train in float32`(_ method: Case) throws {
    let adapter = try adapter(method)
    #expect(Set(adapter.stored.map(\.name)).count == adapter.stored.count)
    #expect(
      adapter.parameters.allSatisfy { $0.value.requiresGradient && $0.value.isLeaf && $0.value.dtype == .float32 })
    #expect(adapter.parameterCount == adapter.parameters.map(\.count).reduce(0, +))
    let trainsNothing = method.configuration is LinearProbe || method.configuration is OutputAverage
    #expect(adapter.parameters.isEmpty == trainsNothing)
    #expect(adapter.frozen.allSatisfy { !$0.value.requiresGradient && $0.value.isLeaf && $0.value.dtype == .float32 })
    #expect(adapter.frozen.isEmpty == !(method.configuration is any Composition))
  }

  @Test(arguments: cases)
  func `a step moves every parameter, and no bit of the backbone`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    let frozen = try backbone.tensors.map { try $0.tensor.clone() }
    let members = try adapter.frozen.map { try $0.value.clone() }
    let base = try backbone.features(input)
    let before = try features(adapter)
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let loss = try pass.auxiliaryLosses.reduce(features(adapter, pass: pass).squared().sum()) { try $0 + $1 }
    guard !adapter.parameters.isEmpty else {
      #expect(!loss.requiresGradient)
      return
    }
    try loss.backward()
    let values = adapter.parameters.map(\.value)
    let found = try adapter.parameters.map { try #require(try $0.value.gradient(), "\($0.name) has no gradient") }
    for (parameter, gradient) in zip(adapter.parameters, found) {
      #expect(try gradient.isFinite().all().item() == 1, "\(parameter.name)")
      // An expert that no token of this batch was sent to stays where it is.
      let mayRest = method.routes && parameter.name.contains("experts")
      #expect(try gradient.abs().max().item() > 0 || mayRest, "\(parameter.name)")
    }
    let old = try values.map { try $0.detached().clone() }
    try withoutGradients {
      try AdamStep(rate: 1e-2)(
        parameters: values, gradients: found, means: values.map { try $0.zerosLike() },
        squares: values.map { try $0.zerosLike() }, steps: values.map { _ in try .zeros([]) })
    }
    for ((old, new), gradient) in zip(zip(old, values), found) {
      #expect(try new.isEqual(to: old) == (gradient.abs().max().item() == 0))
    }
    #expect(try features(adapter).distance(to: before) > 1e-4)
    for (before, parameter) in zip(members, adapter.frozen) {
      #expect(try parameter.value.isEqual(to: before) && parameter.value.gradient().map { _ in true } == nil)
    }
    for (before, (name, after)) in zip(frozen, backbone.tensors) {
      #expect(
        try after.isEqual(to: before) && !after.requiresGradient && after.gradient().map { _ in true } == nil, "\(name)"
      )
    }
    #expect(try backbone.features(input).isEqual(to: base))
  }

  @Test(arguments: cases)
  func `the gradients of two passes add up`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    guard !adapter.parameters.isEmpty else { return }
    try features(adapter).squared().sum().backward()
    let once = try adapter.parameters.map { try #require(try $0.value.gradient()).clone() }
    try features(adapter).squared().sum().backward()
    for (parameter, gradient) in zip(adapter.parameters, once) {
      try expectClose(#require(try parameter.value.gradient()), gradient * 2, tolerance: 1e-5)
    }
  }

  @Test(arguments: cases)
  func `evaluation is deterministic, and training is with a seed`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    let before = try features(adapter)
    func trained(_ seed: UInt64) throws -> Tensor {
      try features(adapter, pass: ForwardPass(.training(Generator(seed: seed))))
    }
    #expect(try trained(1).isEqual(to: trained(1)))
    #expect(try features(adapter).isEqual(to: before))
  }

  @Test(arguments: cases)
  func `an input's features do not depend on the rest of the batch`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    let together = try features(adapter)
    let apart = try (0..<6).map { try features(adapter, input.narrowed(0, $0..<$0 + 1)) }
    try expectClose(Tensor.concatenated(apart), together, tolerance: 2e-6)
  }

  @Test(arguments: cases)
  func `merged into the weights, the adapter gives the same features`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    let changes = try backbone.sites.map { ($0, try adapter.delta(of: backbone.linear(at: $0))) }
    guard method.configuration.obstacleToMerging == nil else {
      #expect(changes.allSatisfy { $0.1 == nil }, "there is an obstacle to merging, and yet a change of the weight")
      return
    }
    let merged = try TinyBackbone(replacing: backbone) { name, original in
      try withoutGradients {
        var tensor = try adapter.value(of: name, original: original)
        for (site, change) in changes {
          if name == "\(site.name).weight", let delta = change?.weight { tensor = try delta.merged(into: tensor) }
          if name == "\(site.name).bias", let shift = change?.bias { tensor = try tensor + shift }
        }
        return tensor
      }
    }
    let adapted = try features(adapter)
    try expectClose(merged.features(input), adapted, tolerance: 2e-5)
    if !(method.configuration is LinearProbe) {
      #expect(try adapted.distance(to: backbone.features(input)) > 0.05)
    }
  }

  @Test(arguments: cases)
  func `bfloat16 products stay near float32's, and every parameter still gets its gradient`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb(deviation: 0.05)
    let exact = try features(adapter)
    let rounded = try withAutocast(.bfloat16, on: .cpu) { try features(adapter) }.to(.float32)
    // A near tie may go the other way after rounding, and take its token along.
    let errors = try ((rounded - exact).norm(1) / exact.norm(1)).doubles().sorted()
    #expect(errors[errors.count / 2] < 0.02)
    guard !adapter.parameters.isEmpty else { return }
    let loss = try withAutocast(.bfloat16, on: .cpu) {
      try features(adapter, pass: ForwardPass(.training(Generator(seed: 3)))).to(.float32).squared().sum()
    }
    for gradient in try gradients(of: loss, adapter.parameters.map(\.value)) {
      #expect(gradient.dtype == .float32)
      #expect(try gradient.isFinite().all().item() == 1)
    }
  }

  @Test(arguments: cases)
  func `its settings, by name, give the same configuration back`(_ method: Case) throws {
    let settings = try method.configuration.settings()
    let again = try adapterConfiguration(named: type(of: method.configuration).method, settings: settings)
    #expect(AnyHashable(again) == AnyHashable(method.configuration))
  }

  @Test(arguments: cases)
  func `saved then loaded, the adapter and its head are the same, bit for bit`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    let head = try Head(classes: ["cat", "dog"], features: 12, generator: Generator(seed: 5))
    let model = AdaptedModel(backbone: backbone, adapter: adapter, head: head)
    let folder = FileManager.default.temporaryDirectory.appending(path: "adapter-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try model.save(to: folder)
    let loaded = try backbone.adapted(from: folder)
    #expect(loaded.parameters.map(\.name) == model.parameters.map(\.name))
    #expect(loaded.adapter.frozen.map(\.name) == adapter.frozen.map(\.name))
    #expect(loaded.head?.classes == ["cat", "dog"])
    #expect(try loaded.logits(input).isEqual(to: model.logits(input)))
    for (one, other) in zip(loaded.parameters + loaded.adapter.frozen, model.parameters + adapter.frozen) {
      #expect(try one.value.isEqual(to: other.value))
    }
  }

  @Test(arguments: [true, false])
  func `a mixture of one expert is that expert`(ofLoRA: Bool) throws {
    var mixture = MixtureOfAdapters(of: ofLoRA ? .lora : .kronecker(dimension: 3), ranks: [2])
    mixture.router = .cosine(projection: 8)
    let alone: any AdapterConfiguration = ofLoRA ? LoRA(rank: 2, alpha: 2) : KroneckerAdapter(dimension: 3, rank: 2)
    let one = try Adapter(mixture, at: backbone.sites, of: backbone, generator: Generator(seed: 1))
    let plain = try Adapter(alone, at: backbone.sites, of: backbone, generator: Generator(seed: 2))
    try one.perturb()
    for parameter in one.parameters where !parameter.name.contains("router") {
      let name = parameter.name.replacing(".experts.0", with: "")
      try plain.parameter(name).load(parameter.value)
    }
    try expectClose(features(one), features(plain), tolerance: 1e-6)
    for site in backbone.sites {
      let (delta, expected) = (
        try #require(try one.delta(of: backbone.linear(at: site))),
        try #require(try plain.delta(of: backbone.linear(at: site)))
      )
      try expectClose(#require(delta.weight).materialized(), #require(expected.weight).materialized(), tolerance: 1e-6)
      #expect((delta.bias == nil) == ofLoRA)
    }
  }

  struct Refusal: Sendable, CustomTestStringConvertible {
    let configuration: any AdapterConfiguration
    let message: String
    var testDescription: String { "\(type(of: configuration).method): \(message)" }
  }

  @Test(arguments: [
    Refusal(
      configuration: LoRA(rank: 13),
      message: """
        Rank 13 does not fit 'blocks.0.attn.qkv', whose ranks go from 1 to 12. Choose a rank in that range, or leave \
        'blocks.0.attn.qkv' out of the targets.
        """),
    Refusal(
      configuration: KroneckerAdapter(dimension: 64),
      message: """
        The Kronecker dimension 64 does not divide both sides of 'blocks.0.attn.qkv', 12 and 36. Common divisors are \
        1, 2, 3, 4, 6, 12.
        """),
    Refusal(
      configuration: MixtureOfAdapters(),
      message: """
        The Kronecker dimension 64 does not divide both sides of 'blocks.0.attn.qkv', 12 and 36. Common divisors are \
        1, 2, 3, 4, 6, 12.
        """),
    Refusal(
      configuration: MixtureOfAdapters(of: .lora, ranks: [4, 16]),
      message: """
        Rank 16 does not fit 'blocks.0.attn.qkv', whose ranks go from 1 to 12. Choose a rank in that range, or leave \
        'blocks.0.attn.qkv' out of the targets.
        """),
  ])
  func `sites that do not fit are refused before anything is made`(_ refusal: Refusal) throws {
    let error = try thrown {
      _ = try Adapter(refusal.configuration, at: backbone.sites, of: backbone, generator: Generator(seed: 1))
    }
    #expect(error.description == refusal.message)
    #expect(try thrown { try refusal.configuration.validate(backbone.sites) } == error)
  }
}
