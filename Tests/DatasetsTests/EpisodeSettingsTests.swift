import Foundation
import Testing

@testable import Datasets

@Suite struct EpisodeSettingsTests {
  private func decode(_ json: String) throws -> EpisodeSettings {
    try JSONDecoder().decode(EpisodeSettings.self, from: Data(json.utf8))
  }

  @Test func `settings come back from their file as they were`() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let fixed = EpisodeSettings.fixed(ways: 5, shots: 1, queries: 15)
    #expect(String(decoding: try encoder.encode(fixed), as: UTF8.self) == #"{"queries":15,"shots":1,"ways":5}"#)
    let variable = EpisodeSettings.variable(
      .init(ways: 3...9, maximumQueries: 4, maximumSupport: 40, maximumContribution: 7))
    for settings in [fixed, variable, .metaDataset] {
      #expect(try JSONDecoder().decode(EpisodeSettings.self, from: encoder.encode(settings)) == settings)
    }
  }

  @Test func `an empty object is Meta-Dataset's settings, and a key left out keeps its default`() throws {
    #expect(try decode("{}") == .metaDataset)
    var ten = VariableEpisodes()
    ten.maximumWays = 10
    #expect(try decode(#"{"maximum_ways": 10}"#) == .variable(ten))
    #expect(EpisodeSettings.metaDataset.minimumWays == 5 && EpisodeSettings.metaDataset.minimumExamples == 2)
    #expect(EpisodeSettings.fixed(ways: 7, shots: 5, queries: 15).minimumExamples == 20)
  }

  @Test func `unknown and contradicting keys are refused`() {
    #expect(throws: EpisodeError.unknownKey("shot", suggestion: " Did you mean 'shots'?")) {
      try decode(#"{"ways": 5, "shot": 5}"#)
    }
    #expect(throws: EpisodeError.mixedKeys(fixed: "ways", variable: "maximum_support")) {
      try decode(#"{"ways": 5, "maximum_support": 100}"#)
    }
    #expect(throws: DecodingError.self) { try decode(#"{"ways": 5, "shots": 5}"#) }
    #expect(throws: EpisodeError.setting("ways", value: 1, range: 2...1 << 20)) {
      try decode(#"{"ways": 1, "shots": 5, "queries": 2}"#)
    }
  }
}
