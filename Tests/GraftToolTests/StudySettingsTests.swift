import Foundation
import Graft
import Testing

@testable import GraftTool

@Suite struct StudySettingsTests {
  private func parse(_ more: String = "") throws -> StudySettings {
    let root = FileManager.default.temporaryDirectory.path
    let text = """
      model: \(root)
      data: \(root)
      kinds:
        - {name: Pfeiffer, method: pfeiffer, learning_rate: 1e-3}
        - {name: LoRA, method: lora, settings: {rank: 2}, targets: [query], space: delta}
      steps: 7
      batch_size: 5
      \(more)
      """
    var section = Section()
    try section.add(YAMLFile(text, name: "study.yaml"), known: StudySettings.keys)
    return try StudySettings(section)
  }

  @Test func `what a file says is what is studied`() throws {
    let settings = try parse(
      """
      seeds: [3, 4]
      sets: {up_to: 3, sampled: 9, seed: 2}
      evaluation_precision: bfloat16
      pruning: {densities: [1, 0.5], sizes: [2], criteria: [magnitude]}
      attacks: {methods: [deepwordbug], sizes: [1, 2], examples: 6, queries: 40, edits: 3}
      """)
    #expect(settings.kinds.map(\.space) == [.factors, .delta])
    #expect(settings.kinds.map(\.method.name) == ["Pfeiffer", "LoRA"])
    #expect(settings.study.recipe.steps == 7 && settings.study.recipe.batchPerDomain == 5)
    #expect(settings.study.recipe.augmentation == nil)
    #expect(settings.study.seeds == [3, 4])
    #expect(settings.study.sets == .sampled(upTo: 3, count: 9, seed: 2))
    #expect(settings.study.precision == .bfloat16)
    #expect(settings.study.pruning?.densities == [1, 0.5] && settings.study.pruning?.criteria == [.magnitude])
    #expect(settings.study.robustness?.queries == 40 && settings.attacks?.edits == 3)
  }

  @Test func `what is left out has its default`() throws {
    let settings = try parse()
    #expect(settings.study.sets == .all && settings.study.seeds == [0, 1, 2])
    #expect(settings.study.pruning == nil && settings.attacks == nil)
    #expect(settings.split.largestTest == 100 && settings.split.largestTraining == nil)
  }

  @Test(arguments: [
    ("sets: some", "Write all"), ("pruning: {criteria: [magnitud]}", "Did you mean"),
    ("attacks: {methods: [deepwordbag]}", "Did you mean"), ("seeds: [1.5]", "whole number"),
    ("evaluation_precision: float16", "float32 or bfloat16"), ("pruning: {densities: [0]}", "above 0"),
    ("seed: 4", "there is no setting 'seed'"),
  ])
  func `a setting that cannot be is refused, with what can be`(line: String, remedy: String) throws {
    let error = #expect(throws: ConfigurationError.self) { try parse(line) }
    #expect("\(try #require(error))".contains(remedy))
  }

  @Test func `the settings that are written are read back as they are`() throws {
    let settings = try parse("sets: {up_to: 2, sampled: 4}\npruning: {densities: [0.5]}")
    var section = Section()
    try section.add(
      YAMLFile(JSONValue.object(settings.resolved()).yaml(), name: "config.yaml"), known: StudySettings.keys)
    let again = try StudySettings(section)
    #expect(again.study == settings.study)
    #expect(try again.resolved() == settings.resolved())
  }
}
