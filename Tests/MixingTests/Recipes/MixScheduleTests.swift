import Formats
import Testing

@testable import Mixing

@Suite struct MixScheduleTests {
  private func rule(_ own: [String: MixSchedule.Setting], method: String = "ties") throws -> any MixingRule {
    try MixSchedule(method: method, shared: [:], own: ["a": own]).rule(at: .init(names: [""], depth: 0), members: ["a"])
      .rule
  }

  @Test func `a mistyped key of a member is told`() throws {
    let error = #expect(throws: MixtureError.self) { try rule(["wieght": .value(0.5)]) }
    #expect(error == .unknownSetting("wieght", of: "a", known: ["density", "epsilon", "gamma", "weight"]))
    #expect(error?.description.contains("Did you mean 'weight'?") == true)
  }

  @Test func `a setting that holds for all is refused of one`() throws {
    let error = #expect(throws: MixtureError.self) { try rule(["lambda": .value(0.5)]) }
    #expect(error == .sharedSetting("lambda", of: "a", known: ["density", "epsilon", "gamma", "weight"]))
    #expect(error?.description.contains("under 'settings'") == true)
  }

  @Test func `a member's own setting that its rule has not, or of another kind, is refused`() throws {
    #expect(throws: MixtureError.unknownSetting("gamma", of: "uniform", known: [])) {
      try rule(["gamma": .value(0.5)], method: "uniform")
    }
    #expect(throws: MixtureError.settingType("density", of: "a", value: "\"much\"")) {
      try rule(["density": .value("much")])
    }
    #expect((try rule(["density": .value(0.5)]) as? TIES)?.density.values == [0.5])
  }

  @Test func `a tensor belongs to the longest name that it begins with`() throws {
    let names = ["blocks.0.attn.qkv": ["all"], "blocks.0.attn.qkv.query": ["q"], "blocks.0.attn": ["block"]]
    // Dictionaries of one content come in different orders.
    for count in 0..<20 {
      let padded = names.merging((0..<count).map { ("blocks.1.x\($0)", ["other"]) }) { $1 }
      let depth = MixSchedule.Depth(modules: padded)
      #expect(depth.place(of: "blocks.0.attn.qkv.query.bias").names == ["blocks.0.attn.qkv.query.bias", "q"])
      #expect(depth.place(of: "blocks.0.attn.qkv.bias").names == ["blocks.0.attn.qkv.bias", "all"])
    }
  }
}
