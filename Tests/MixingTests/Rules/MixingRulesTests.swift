import Formats
import Testing

@testable import Mixing

/// What every rule holds to.
@Suite struct MixingRulesTests {
  private static let names = mixingRules.map { $0.name }.filter { $0 != "knots" } + mixingAliases.map { $0.name }
  /// Settings with which a rule drops nothing.
  private static let keepingAll: [String: JSONObject] = [
    "magnitude_prune": ["density": 1.0], "ties": ["density": 1.0], "dare": ["density": 1.0],
    "dare_linear": ["density": 1.0],
    "dare_ties": ["density": 1.0], "della": ["density": 1.0], "della_linear": ["density": 1.0],
    "breadcrumbs": ["density": 1.0], "breadcrumbs_ties": ["density": 1.0],
  ]

  @Test(arguments: names) func `one member stays as it is`(_ name: String) throws {
    let rule = try mixingRule(named: name, settings: Self.keepingAll[name] ?? [:])
    let vector = try AdapterVector.random(50, seed: 1)
    let mixed = try rule.mix([vector])
    for (one, other) in zip(mixed.values, vector.values) { #expect(abs(one - other) <= 1e-6) }
  }

  @Test(arguments: [
    "uniform", "weighted", "consensus", "ties", "slerp", "nuslerp", "model_stock", "sce", "della",
  ])
  func `equal members are their mixture`(_ name: String) throws {
    let rule = try mixingRule(named: name, settings: Self.keepingAll[name] ?? [:])
    let vector = try AdapterVector.random(50, seed: 1)
    let count = name.hasSuffix("slerp") ? 2 : 3
    let weights = type(of: rule).usesWeights ? [0.5, 1.25, 2].prefix(count) : [1, 1, 1].prefix(count)
    let mixed = try rule.mix(Array(repeating: vector, count: count), weights: Array(weights))
    for (one, other) in zip(mixed.values, vector.values) { #expect(abs(one - other) <= 2e-6) }
  }

  @Test(arguments: names) func `settings survive a file`(_ name: String) throws {
    let rule = AnyMixingRule(try mixingRule(named: name))
    let object = try rule.json()
    var settings = object
    settings["method"] = nil
    let again = try mixingRule(named: #require(object["method"]?.string), settings: settings)
    #expect(AnyMixingRule(again) == rule)
  }

  @Test func `the same seed draws the same mixture, and another seed another`() throws {
    let vectors = try (0..<3).map { try AdapterVector.random(200, seed: $0) }
    let rule = DARE(density: 0.5)
    let first = try rule.mix(vectors, seed: 1)
    #expect(try rule.mix(vectors, seed: 1).values == first.values)
    #expect(try rule.mix(vectors, seed: 2).values != first.values)
  }

  @Test func `a mistyped method is told with the nearest one`() throws {
    let error = #expect(throws: MixtureError.self) { try mixingRule(named: "tie") }
    #expect(error?.description.contains("Did you mean 'ties'?") == true)
  }

  @Test func `an unknown setting is refused, with those there are`() throws {
    let error = #expect(throws: MixtureError.self) { try mixingRule(named: "ties", settings: ["densty": 0.5]) }
    guard case .unknownSetting("densty", of: "ties", let known) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(known == ["agreement", "density", "lambda", "normalize", "scope", "sign"])
  }

  @Test func `a setting of the wrong type names itself`() throws {
    #expect(throws: MixtureError.settingType("density", of: "ties", value: "\"much\"")) {
      try mixingRule(named: "ties", settings: ["density": "much"])
    }
  }

  @Test func `weights that are not finite, all zero, or too few are refused`() throws {
    let vectors = [try AdapterVector.row([1]), try AdapterVector.row([2])]
    #expect(throws: MixtureError.weight("1", .infinity)) { try Weighted().mix(vectors, weights: [1, .infinity]) }
    #expect(throws: MixtureError.noWeight(0)) { try TaskArithmetic().mix(vectors, weights: [0, 0]) }
    #expect(throws: MixtureError.noWeight(0)) { try Weighted().mix(vectors, weights: [1, -1]) }
    #expect(throws: MixtureError.perMember("weight", 1, members: 2)) { try Weighted().mix(vectors, weights: [1]) }
    #expect(throws: MixtureError.empty) { try Uniform().mix([]) }
    #expect(throws: MixtureError.weightsUnused("model_stock")) { try ModelStock().mix(vectors, weights: [1, 2]) }
  }

  @Test func `a density that keeps nothing of any member is refused`() throws {
    let vectors = [try AdapterVector.row([1]), try AdapterVector.row([2])]
    #expect(throws: MixtureError.nothingKept("ties")) { try TIES(density: 0.0).mix(vectors) }
    #expect(throws: MixtureError.setting("density", of: "ties", value: 1.5, range: "0.0 to 1.0")) {
      try TIES(density: 1.5).mix(vectors)
    }
    #expect(throws: MixtureError.perMember("density", 3, members: 2)) {
      try TIES(density: [0.1, 0.2, 0.3]).mix(vectors)
    }
  }

  @Test func `NaN is refused, by the member and the tensor`() throws {
    let vectors = [try AdapterVector.row([1, 2]), try AdapterVector.row([1, .nan])]
    #expect(throws: MixtureError.notFinite("weight", member: "1")) { try Uniform().mix(vectors) }
  }

  @Test func `biases and gains are averaged by any rule, and neither trimmed nor put to a vote`() throws {
    let layout = AdapterLayout([("down", [1, 2], 0, true), ("bias", [2], 0, false)])
    let vectors = try [[3, 0.1, 4, -0.2], [-2, 0.3, -8, 0.6]].map { try AdapterVector(layout, $0.map { Float($0) }) }
    let mixed = try TIES(density: 0.5).mix(vectors)
    #expect(mixed.values[0...1] == [3, 0])
    #expect(mixed.values[2] == -2)
    #expect(abs(mixed.values[3] - 0.2) < 1e-7)
  }
}
