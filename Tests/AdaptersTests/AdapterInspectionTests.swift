import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct AdapterInspectionTests {
  let backbone: TinyBackbone

  init() throws { backbone = try TinyBackbone() }

  private func changes(_ configuration: any AdapterConfiguration, at targets: Targets? = nil) throws
    -> [AdapterInspection.Change]
  {
    let model = try backbone.adapted(by: configuration, at: targets)
    try model.adapter.perturb()
    return try AdapterInspection(of: model).changes
  }

  @Test func `norms are those of the dense change, beside the weight's, with the rank`() throws {
    let model = try backbone.adapted(by: LoRA(rank: 2, alpha: 6), at: [.query, .fc2])
    try model.adapter.perturb()
    let inspection = try AdapterInspection(of: model)
    #expect(
      inspection.changes.map(\.place)
        == (0..<2).flatMap { ["blocks.\($0).attn.qkv.query", "blocks.\($0).mlp.fc2"] })
    #expect(inspection.changes.map(\.shape) == [[12, 12], [12, 24], [12, 12], [12, 24]])
    #expect(inspection.changes.allSatisfy { $0.rank == 2 && $0.kind == .map })
    #expect(inspection.changes.map(\.parameters) == [48, 72, 48, 72])
    let site = try #require(model.adapter.sites.last)
    let linear = try backbone.linear(at: site)
    let dense = try #require(try model.adapter.delta(of: linear)?.weight).materialized().detached().to(.float64)
    let (norm, size): (Double, Double) = (try dense.norm().item(), try linear.weight.to(.float64).norm().item())
    let last = try #require(inspection.changes.last)
    #expect(abs(try #require(last.norm) - norm) < 1e-6 * norm)
    #expect(abs(try #require(last.relative) - norm / size) < 1e-6)
    let total = try inspection.changes.map { try #require($0.norm) * #require($0.norm) }.reduce(0, +).squareRoot()
    #expect(abs(inspection.norm - total) < 1e-9)
  }

  @Test func `tuned tensors, branches and the sequence are places too, and every parameter has one`() throws {
    let biases = try changes(BiasTuning(.linear))
    #expect(biases.map(\.place) == backbone.sites.map { "\($0.name).bias" })
    #expect(biases.allSatisfy { $0.kind == .tensor && ($0.norm ?? 0) > 0.1 && $0.rank == nil })
    for method in AdapterContractTests.cases where !method.parts {
      let adapter = try Adapter(
        method.configuration, at: backbone.sites, of: backbone, generator: Generator(seed: 1))
      let model = AdaptedModel(backbone: backbone, adapter: adapter)
      let changes = try AdapterInspection(of: model).changes
      #expect(changes.isEmpty == (method.configuration is LinearProbe), "\(method.name)")
      let hasNorms = changes.allSatisfy { $0.norm != nil }
      #expect(hasNorms == (method.configuration.obstacleToMerging == nil), "\(method.name)")
    }
  }
}
