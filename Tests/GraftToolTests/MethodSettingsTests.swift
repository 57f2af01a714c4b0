import Adapters
import Formats
import NeuralNetworks
import Testing

@testable import GraftTool

@Suite struct MethodSettingsTests {
  private func method(_ text: String) throws -> MethodSettings {
    var section = Section()
    try section.add(YAMLFile(text, name: "a.yaml"), known: MethodSettings.keys)
    return try MethodSettings(section)
  }

  @Test func `K-MoA is a mixture of Kronecker experts on qkv of every second block`() throws {
    let found = try method(
      "method: k-moa\nsettings: {dimension: 32, ranks: [1, 2], auxiliary_weight: 0.1, router: linear}")
    var expected = MixtureOfAdapters(of: .kronecker(dimension: 32), ranks: [1, 2])
    expected.auxiliaryWeight = 0.1
    expected.router = .linear
    #expect(found.configuration as? MixtureOfAdapters == expected)
    #expect(found.targets == nil && found.blocks == nil)
    #expect(MixtureOfAdapters.placement == .linearMaps(.qkv, .everySecond))
    #expect(found.name == "k-moa")
  }

  @Test func `LoRA-MoA has LoRA experts`() throws {
    #expect(try method("method: lora-moa").configuration as? MixtureOfAdapters == MixtureOfAdapters(of: .lora))
  }

  @Test func `settings, targets and blocks are as written`() throws {
    let found = try method(
      "{name: L, method: LoRA, settings: {rank: 4, rank_stabilized: true}, targets: [mlp, qkv], blocks: last 2}")
    #expect(found.configuration as? LoRA == LoRA(rank: 4, alpha: 16, rankStabilized: true))
    #expect(found.targets?.roles == [.fc1, .fc2, .qkv])
    #expect(found.blocks == .last(2))
  }

  @Test func `an unknown method and an unknown setting are named with their place`() {
    #expect {
      try method("method: loar")
    } throws: {
      "\($0)".hasPrefix("a.yaml:1:1: There is no method 'loar'. Did you mean 'lora' or 'lokr'?")
    }
    #expect {
      try method("method: lora\nsettings: {rnk: 4}")
    } throws: {
      "\($0)".hasPrefix("a.yaml:2:1: lora has no setting 'rnk'. Did you mean 'rank'?")
    }
  }

  @Test(arguments: [
    ("all", Blocks.all), ("every-second", .everySecond), ("every_second", .everySecond), ("last:3", .last(3)),
    ("0,2,4-6", .only([0, 2, 4, 5, 6])), ("7", .only([7])),
  ])
  func `blocks are read from words`(_ text: String, _ expected: Blocks) throws {
    #expect(try Placement.blocks(text, place: "--blocks") == expected)
  }

  @Test(arguments: ["", "some", "last:", "1-", "3-1", "0-99999", "1,,2"])
  func `blocks that make no sense are refused`(_ text: String) {
    #expect(
      throws: ConfigurationError.value(
        place: "--blocks",
        problem: "blocks cannot be '\(text)'. Write all, every-second, last:4, or indices as in 0,2,4-6.")
    ) { try Placement.blocks(text, place: "--blocks") }
  }

  @Test(arguments: [
    "method: lora", "{name: K, method: k-moa, settings: {dimension: 32, router: linear, noise: 0.1}, blocks: [0, 1]}",
    "{method: bias, settings: {scope: linear}, learning_rate: 1e-3}",
  ])
  func `what is resolved reads back the same`(_ text: String) throws {
    let first = try method(text)
    let second = try method(JSONValue.object(first.resolved()).yaml())
    #expect(try second.resolved() == first.resolved())
  }
}
