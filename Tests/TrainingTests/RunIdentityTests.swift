import Formats
import Testing

@testable import Training

@Suite struct RunIdentityTests {
  @Test func `differences name the setting and both values, in order`() {
    let then = RunIdentity(settings: ["steps": 5, "clip": .null, "old": "x"])
    let now = RunIdentity(settings: ["steps": 6, "clip": .null, "new": true])
    let expected = ["new: nothing then, true now", "old: \"x\" then, nothing now", "steps: 5 then, 6 now"]
    #expect(now.differences(from: then) == expected)
    #expect(then.differences(from: then).isEmpty)
  }

  @Test func `what a run is survives the file it is written to`() throws {
    let examples = try tinyExamples()
    let identity = try RunIdentity(
      model: tinyModel(noisyMixture()), examples: examples, fold: Fold(of: examples, target: 1, trialSeed: 0),
      configuration: tinyConfiguration())
    let read = RunIdentity(json: try JSONValue(parsing: identity.json.text(.readable)))
    #expect(read == identity)
    #expect(identity.settings["adapter"] == "MIXTURE_OF_ADAPTERS")
    #expect(identity.settings["sites"] == ["blocks.0.attn.qkv", "blocks.1.attn.qkv"])
    #expect(identity.settings["learning_rate"] == 0.01)
    #expect(identity.settings["checkpoint_interval"] == nil)
  }
}
