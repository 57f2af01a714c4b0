import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct MeanGatesTests {
  let backbone: TinyBackbone
  let input: Tensor

  init() throws {
    backbone = try TinyBackbone()
    input = try .normal([4, 5, 12], from: Generator(seed: 7))
  }

  private func mixture() throws -> AdaptedModel {
    var mixture = MixtureOfAdapters(of: .kronecker(dimension: 3), ranks: [1, 2])
    mixture.router = .cosine(projection: 8)
    mixture.topK = 2
    let model = try backbone.adapted(by: mixture, at: .fc1)
    try model.adapter.perturb()
    return model
  }

  @Test func `gates are averaged over all tokens, and the experts added up by them`() throws {
    let model = try mixture()
    let gates = try model.meanGates(over: input)
    // As published, a mixture goes to every second block.
    #expect(Array(gates.keys) == ["blocks.0.mlp.fc1"])
    var rows: [[Double]] = []
    for index in 0..<4 {
      let one = try model.meanGates(over: input.narrowed(0, index..<index + 1))
      rows.append(try #require(one["blocks.0.mlp.fc1"]))
    }
    for expert in 0..<2 {
      let mean = rows.map { $0[expert] }.reduce(0, +) / 4
      #expect(abs(try #require(gates["blocks.0.mlp.fc1"])[expert] - mean) < 1e-6)
    }
    let layer = try #require(model.adapter.corrections["blocks.0.mlp.fc1"] as? MixtureLayer)
    let sum =
      try layer.expertDelta(0).materialized().detached() * 0.25 + layer.expertDelta(1).materialized().detached() * 3
    try expectClose(#require(layer.delta(gates: [0.25, 3]).weight).materialized().detached(), sum, tolerance: 1e-6)
    #expect(throws: MergeError.noGates("blocks.0.mlp.fc1")) { try layer.delta(gates: [1]) }
  }

  @Test func `for an input of one token the mean gates are its own, and the merge is exact at the first mixture`()
    throws
  {
    var configuration = MixtureOfAdapters(of: .kronecker(dimension: 3), ranks: [1, 2])
    configuration.router = .cosine(projection: 8)
    let model = try backbone.adapted(by: configuration, at: .fc1, blocks: .only([1]))
    try model.adapter.perturb()
    let token = try input.narrowed(0, 0..<1).narrowed(1, 0..<1)
    let merge = try Merge([.init(model, gates: model.meanGates(over: token))], into: backbone)
    let merged = try TinyBackbone(replacing: backbone) { name, original in merge.tensors[name] ?? original }
    try expectClose(merged.features(token), model.features(token).detached(), tolerance: 2e-5)
    // Other tokens have other gates.
    #expect(try merged.features(input).distance(to: model.features(input).detached()) > 1e-4)
    #expect(throws: MergeError.noGates("blocks.1.mlp.fc1")) { try Merge([.init(model, gates: [:])], into: backbone) }
  }
}
