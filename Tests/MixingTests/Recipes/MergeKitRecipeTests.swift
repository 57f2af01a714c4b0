import Formats
import Foundation
import Testing

@testable import Mixing

@Suite struct MergeKitRecipeTests {
  private let folder = URL(fileURLWithPath: "/mixes", isDirectory: true)

  private func recipe(_ file: JSONObject) throws -> MixRecipe { try MixRecipe(mergeKit: file, relativeTo: folder) }

  private func models(_ weights: Double...) -> JSONValue {
    .array(
      weights.enumerated().map { index, weight in
        ["model": .string("base+runs/\(index)"), "parameters": ["weight": .double(weight)]]
      })
  }

  @Test func `TIES with a gradient, a filter and settings of a model`() throws {
    let recipe = try recipe([
      "merge_method": "ties", "base_model": "base", "dtype": "bfloat16",
      "models": [
        ["model": "base+runs/a", "parameters": ["weight": [0, 1], "density": 0.5]],
        ["model": "runs/b", "parameters": ["weight": [["filter": "mlp", "value": 0.5], ["value": 2]]]],
      ],
      "parameters": ["normalize": true, "int8_mask": true, "density": 0.25, "lambda": 0.8],
    ])
    #expect(recipe.sources.map(\.folder.path) == ["/mixes/runs/a", "/mixes/runs/b"])
    #expect(recipe.sources.map(\.name) == ["a", "b"])
    #expect(recipe.notes.count == 2)
    #expect(recipe.schedule.conventions == .mergeKit)
    let (rule, weights) = try recipe.schedule.rule(
      at: .init(names: ["blocks.1.mlp.fc1"], depth: 0.75), members: ["a", "b"])
    let ties = try #require(rule as? TIES)
    #expect(ties.density == [0.5, 0.25])
    #expect(ties.lambda == 0.8)
    #expect(weights == [0.75, 0.5])
    #expect(try recipe.schedule.rule(at: .init(names: ["norm"], depth: 0), members: ["a", "b"]).weights == [0, 2])
  }

  @Test func `its defaults are MergeKit's, not ours`() throws {
    let recipe = try recipe(["merge_method": "dare_ties", "base_model": "base", "models": models(1, 2)])
    let rule = try #require(
      try recipe.schedule.rule(at: .init(names: [""], depth: 0), members: ["0", "1"]).rule as? DARE)
    #expect(rule.density.values == [1])
    #expect(rule.rescale == .norm)
    #expect(rule.elect && !rule.normalize)
  }

  @Test func `slerp counts from its base`() throws {
    let recipe = try recipe([
      "merge_method": "slerp", "base_model": "base+runs/1", "models": models(1, 1).strippedOfParameters,
      "parameters": ["t": 0.3],
    ])
    #expect(recipe.sources.map(\.name) == ["1", "0"])
  }

  @Test func `the base among the models is no member`() throws {
    let entries = [["model": "base"] as JSONValue] + (models(1).array ?? [])
    let recipe = try recipe(["merge_method": "task_arithmetic", "base_model": "base", "models": .array(entries)])
    #expect(recipe.sources.count == 1)
  }

  @Test(arguments: ["slices", "modules", "tokenizer_source", "chat_template"])
  func `what is for whole models is refused by name`(_ key: String) throws {
    let error = #expect(throws: MixtureError.self) {
      try recipe(["merge_method": "ties", "models": models(1), key: "x"])
    }
    #expect(error?.description.contains("'\(key)'") == true)
  }

  @Test func `a mistyped method, key or parameter is told`() throws {
    let method = #expect(throws: MixtureError.self) { try recipe(["merge_method": "tise", "models": models(1)]) }
    #expect(method?.description.contains("Did you mean 'ties'?") == true)
    #expect(throws: MixtureError.self) { try recipe(["merge_method": "ties", "model": models(1)]) }
    #expect(throws: MixtureError.self) {
      try recipe(["merge_method": "ties", "models": models(1), "parameters": ["densty": 0.5]])
    }
    #expect(throws: MixtureError.self) { try recipe(["merge_method": "ties", "models": [["model": "a"]]]) }
  }
}

extension JSONValue {
  fileprivate var strippedOfParameters: JSONValue {
    .array((array ?? []).map { ["model": $0["model"] ?? .null] })
  }
}
