import Adapters
import Formats
import NeuralNetworks
import Reports
import Tensors
import Testing

@testable import Mixing

@Suite struct SignReportTests {
  @Test func `the report says what was counted, and how`() throws {
    let vectors = [
      try AdapterVector.row([1, -2, 3, -4]), try .row([1, 2, -3, -4]), try .row([-1, 2, 3, 0]),
    ]
    let options = SignOptions(reducer: .any)
    let report = SignReport(
      try SignStatistics(vectors, names: ["a", "b", "c"], options: options),
      cosines: try AdapterCosines.between(vectors))
    let json = try JSONValue(parsing: report.json())
    #expect(json["adapters"] == ["a", "b", "c"])
    #expect(json["options"]?["reducer"] == "any")
    #expect(json["weights"] == 4)
    #expect(json["pairs"]?[0]?[1]?.double == 0.5)
    #expect(json["whole"]?["pairwise"]?.double == 0.5)
    #expect(json["whole"]?["any"]?.double == 0.75)
    #expect(json["whole"]?["minority"]?.double == 0.25)
    #expect(json["entries"]?[0]?["name"] == "weight")
    #expect(json["entries"]?[0]?["value"]?.double == 0.75)
    #expect(json["cosines"]?[0]?[0]?.double == 1)
    #expect(json["warnings"] == [])
  }

  @Test func `the picture has the pairs, none with itself`() throws {
    let signs = try SignStatistics([.row([1, 1, 1, 1]), .row([1, -1, -1, -1])], names: ["news", "mail"])
    let map = SignReport(signs).heatMap
    #expect(map.values == [[nil, 0.75], [0.75, nil]])
    #expect(map.range == 0...0.75)
    #expect(map.svg.contains("news") && map.svg.contains("0.75"))
  }

  // MARK: Warnings

  @Test func `adapters with the signs of chance are warned of, pruned or not`() throws {
    let vectors = try (UInt64(0)..<3).map { try AdapterVector.random(40_000, seed: $0) }
    let warnings = try SignReport(SignStatistics(vectors)).warnings
    #expect(warnings.count == 1)
    #expect(warnings.first?.contains(".49 to .51") == true)
    let sparse = try vectors.map { try Pruning(density: 0.5, criterion: .random, seed: 1)($0).vector }
    #expect(try SignStatistics(sparse).pair(0, 1) < 0.3)
    #expect(try SignReport(SignStatistics(sparse)).warnings.count == 1)
    // One pair that agrees is enough.
    #expect(try SignReport(SignStatistics([vectors[0], vectors[1], vectors[0]])).warnings == [])
    #expect(try SignReport(SignStatistics([vectors[0]])).warnings == [])
  }

  @Test func `different starts are warned of, unknown ones are not`() throws {
    let signs = try SignStatistics([.row([1, 1]), .row([1, 1]), .row([1, 1])])
    #expect(SignReport(signs, initialSeeds: [7, 7, nil]).warnings == [])
    let warnings = SignReport(signs, initialSeeds: [7, 8, nil]).warnings
    #expect(warnings.count == 1)
    #expect(warnings.first?.contains("2 different initial seeds") == true)
  }

  @Test func `the report of models has the cosines of their space and overlaps where changes are linear`() throws {
    let backbone = try MixingBackbone()
    let models = try (UInt64(0)..<2).map { seed in
      let model = try backbone.adapted(by: LoRA.small, at: .fc1, seed: seed)
      try model.adapter.perturb(seed: seed)
      return model
    }
    let names = ["a", "b"]
    let factors = try SignReport(of: models, names: names)
    #expect(factors.cosines == (try AdapterCosines.between(models.map { try AdapterVector($0.adapter) })))
    #expect(factors.overlaps == (try SubspaceOverlap.between(models, names: names)))
    #expect(factors.warnings.count == 1)
    let changes = try SignReport(of: models, names: names, options: SignOptions(space: .delta))
    #expect(changes.cosines == (try AdapterCosines.between(changesOf: models, names: names)))
    let bottleneck = try backbone.adapted(by: Pfeiffer(width: 4), seed: 1)
    #expect(try SignReport(of: [bottleneck, bottleneck], names: names).overlaps.isEmpty)
  }
}
