import Formats
import Foundation
import Testing

@testable import Training

@Suite struct SparsitySettingsTests {
  private func read(_ json: String) throws -> SparsitySettings? {
    try JSONDecoder().decode(TrainingConfiguration.self, from: Data(#"{"sparsity": \#(json)}"#.utf8)).sparsity
  }

  @Test func `a recipe says the density, and what it wants different`() throws {
    #expect(try read(#"{"density": 0.2}"#) == SparsitySettings(density: 0.2))
    var all = SparsitySettings(density: 0.1, score: .synflow, scope: .tensor)
    (all.batches, all.rounds) = (2, 100)
    let json = #"{"density": 0.1, "score": "synflow", "scope": "tensor", "batches": 2, "rounds": 100}"#
    #expect(try read(json) == all)
    #expect(try read("null") == nil)
    #expect(TrainingConfiguration().sparsity == nil)
  }

  @Test func `it is written as it is read`() throws {
    var configuration = TrainingConfiguration()
    configuration.sparsity = SparsitySettings(density: 0.3, score: .grasp)
    let again = try JSONDecoder().decode(TrainingConfiguration.self, from: JSONEncoder().encode(configuration))
    #expect(again == configuration)
  }

  @Test(arguments: [
    (#"{"density": 0}"#, "sparsity.density"), (#"{"density": 1.1}"#, "sparsity.density"),
    (#"{"density": 0.5, "batches": 0}"#, "sparsity.batches"), (#"{"density": 0.5, "rounds": 0}"#, "sparsity.rounds"),
  ]) func `a setting out of its range is refused by name`(json: String, key: String) throws {
    let error = try #require(#expect(throws: TrainingConfigurationError.self) { try read(json) })
    guard case .range(key, _, _) = error else {
      Issue.record("\(error)")
      return
    }
  }

  @Test func `sparsity by that name, and keys that are not known, are refused`() throws {
    let error = #expect(throws: TrainingConfigurationError.self) { try read(#"{"density": 0.5, "socre": "snip"}"#) }
    #expect(error?.description == "Training has no setting 'sparsity.socre'. Did you mean 'score'?")
    #expect(throws: DecodingError.self) { try read(#"{"score": "snip"}"#) }
    #expect(throws: DecodingError.self) { try read(#"{"density": 0.5, "score": "fisher"}"#) }
  }
}
