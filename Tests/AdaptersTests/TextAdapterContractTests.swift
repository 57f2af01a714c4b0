import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// What every method promises on a text encoder, whose blocks normalize behind their sums and whose texts are of different
/// lengths. The cases are those of the contract on images; no method has a line for text.
@Suite struct TextAdapterContractTests {
  typealias Case = AdapterContractTests.Case

  let backbone: TextTransformer
  /// Texts of 5, 3 and 1 tokens.
  let input: Tensor

  init() throws {
    let folder = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/peft/minilm")
    backbone = try TextTransformer(from: folder, pooling: .mean)
    input = try Fixture("peft/minilm/reference")["input"]
  }

  func adapter(_ method: Case) throws -> Adapter {
    let sites = method.parts ? backbone.sites.flatMap { $0.parts.isEmpty ? [$0] : [$0.parts[0], $0.parts[2]] } : nil
    return try Adapter(
      method.configuration, at: sites ?? backbone.sites, of: backbone, generator: Generator(seed: 1))
  }

  func features(_ adapter: Adapter, _ input: Tensor? = nil, pass: ForwardPass = ForwardPass()) throws -> Tensor {
    try backbone.features(input ?? self.input, adaptation: adapter, pass: pass)
  }

  @Test(arguments: AdapterContractTests.cases)
  func `a fresh adapter is the frozen model`(_ method: Case) throws {
    let base = try backbone.features(input)
    let fresh = try features(adapter(method))
    if method.drift == 0 {
      #expect(try fresh.isEqual(to: base))
    } else {
      // A LayerNorm behind every sum makes a small change of a small stream a larger one.
      let drift = try (fresh - base).norm().item() / base.norm().item()
      #expect(drift > 1e-7 && drift < 3 * method.drift)
    }
  }

  @Test(arguments: AdapterContractTests.cases)
  func `every parameter gets a gradient, and no tensor of the backbone does`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    let frozen = try backbone.tensors.map { try $0.tensor.clone() }
    // Six texts, so that none of a few samples' drop paths is closed to all of them.
    let input = try Tensor.concatenated([input, input])
    let weights = try Tensor.normal([6, 12], from: Generator(seed: 5))
    let pass = try ForwardPass(.training(Generator(seed: 3)))
    let loss = try pass.auxiliaryLosses.reduce((features(adapter, input, pass: pass) * weights).sum()) { try $0 + $1 }
    guard !adapter.parameters.isEmpty else {
      #expect(!loss.requiresGradient)
      return
    }
    try loss.backward()
    for parameter in adapter.parameters {
      let gradient = try #require(try parameter.value.gradient(), "\(parameter.name) has no gradient")
      // An expert that no token of this batch was sent to stays where it is.
      let mayRest = method.routes && parameter.name.contains("experts")
      #expect(
        try gradient.isFinite().all().item() == 1 && (gradient.abs().max().item() > 0 || mayRest), "\(parameter.name)")
    }
    for (before, (name, after)) in zip(frozen, backbone.tensors) {
      #expect(
        try after.isEqual(to: before) && !after.requiresGradient && after.gradient().map { _ in true } == nil, "\(name)"
      )
    }
  }

  @Test(arguments: AdapterContractTests.cases)
  func `a text's features depend neither on the texts beside it nor on the padding behind it`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    let together = try features(adapter)
    for (text, length) in [5, 3, 1].enumerated() {
      let alone = try input.narrowed(0, text..<text + 1).narrowed(2, 0..<length)
      try expectClose(features(adapter, alone), together.narrowed(0, text..<text + 1), tolerance: 5e-6)
    }
  }

  @Test(arguments: AdapterContractTests.cases)
  func `merged into the weights, the adapter gives the same features`(_ method: Case) throws {
    let adapter = try adapter(method)
    try adapter.perturb()
    guard method.configuration.obstacleToMerging == nil else { return }
    var merged: [String: Tensor] = [:]
    try withoutGradients {
      for (name, tensor) in backbone.tensors { merged[name] = try adapter.value(of: name, original: tensor) }
      for site in backbone.sites {
        guard let change = try adapter.delta(of: backbone.linear(at: site)) else { continue }
        for (slot, tensor) in [("weight", merged["\(site.name).weight"]), ("bias", merged["\(site.name).bias"])] {
          guard let tensor else { continue }
          merged["\(site.name).\(slot)"] =
            slot == "weight"
            ? try change.weight?.merged(into: tensor) ?? tensor : try change.bias.map { try tensor + $0 } ?? tensor
        }
      }
    }
    let found = try backbone.features(input, adaptation: SubstitutedTensors(tensors: merged), pass: ForwardPass())
    let adapted = try features(adapter)
    try expectClose(found, adapted, tolerance: 2e-5)
    if !(method.configuration is LinearProbe) {
      #expect(try adapted.distance(to: backbone.features(input)) > 0.05)
    }
  }

  @Test(arguments: AdapterContractTests.cases)
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
    #expect(loaded.head?.classes == ["cat", "dog"])
    #expect(try loaded.logits(input).isEqual(to: model.logits(input)))
  }

  @Test func `on BERT-base the methods have the numbers of parameters that are published`() throws {
    let shapes = try ShapesOnly(.bertBase)
    #expect(try shapes.adapted(by: Houlsby()).adapter.parameterCount == 1_789_056)
    #expect(try shapes.adapted(by: Pfeiffer()).adapter.parameterCount == 894_528)
    #expect(try shapes.adapted(by: LoRA(rank: 8), at: .queryAndValue).adapter.parameterCount == 294_912)
  }
}
