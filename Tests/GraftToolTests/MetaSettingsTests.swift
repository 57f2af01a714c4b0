import Foundation
import Graft
import Testing

@testable import GraftTool

@Suite struct MetaSettingsTests {
  private func parse(_ more: String = "") throws -> MetaSettings {
    let root = FileManager.default.temporaryDirectory.path
    var section = Section()
    try section.add(
      YAMLFile("model: \(root)\ndata: \(root)\n\(more)", name: "meta.yaml"), known: MetaSettings.keys)
    return try MetaSettings(section)
  }

  @Test func `what a file says is what is trained`() throws {
    let settings = try parse(
      """
      training: [scripts, emoji]
      validation: []
      method: soft_merge
      experts: 3
      episodes: {ways: 5, shots: 2, queries: 4}
      image_size: 56
      sparsity: null
      augmentation: {brightness: 0.1, grayscale_probability: 0.2}
      leave_out_small_classes: true
      """)
    #expect(settings.training == ["scripts", "emoji"] && settings.validation == [])
    #expect(settings.configuration.method == .softMerge && settings.configuration.experts == 3)
    #expect(settings.configuration.episodes == .fixed(ways: 5, shots: 2, queries: 4))
    #expect(settings.configuration.sparsity == nil && settings.fewShot.imageSize == 56)
    var augmentation = MetaConfiguration.paperAugmentation
    augmentation.brightness = 0.1
    augmentation.grayscaleProbability = 0.2
    #expect(settings.configuration.augmentation == augmentation)
    #expect(settings.fewShot.leavesOutSmallClasses)
  }

  @Test(arguments: [
    "", "augmentation: none\nsparsity: null\nepisodes: {maximum_ways: 7}\nvalidation: [digits]\npreset: paper",
  ])
  func `what is written beside a run is read as the same`(lines: String) throws {
    let settings = try parse(lines)
    var section = Section()
    let text = try JSONValue.object(settings.resolved()).yaml()
    try section.add(YAMLFile(text, name: "config.yaml"), known: MetaSettings.keys)
    let again = try MetaSettings(section)
    #expect(again.configuration == settings.configuration)
    #expect(again.training == settings.training && again.validation == settings.validation)
    #expect(again.fewShot.data == settings.fewShot.data && again.fewShot.splitSeed == settings.fewShot.splitSeed)
  }

  @Test func `records, which are read as episodes draw them, are not to be skipped`() throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("records-\(UUID().uuidString)")
    let dataset = root.appendingPathComponent("birds")
    try FileManager.default.createDirectory(at: dataset, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: root) }
    func settings(_ policy: String) throws -> MetaSettings {
      var section = Section()
      try section.add(
        YAMLFile("model: \(root.path)\ndata: \(root.path)\nbad_images: \(policy)", name: "meta.yaml"),
        known: MetaSettings.keys)
      return try MetaSettings(section)
    }
    #expect(try settings("skip").fewShot.badImages == .skip)
    try Data("{}".utf8).write(to: dataset.appendingPathComponent("dataset_spec.json"))
    #expect(try settings("error").fewShot.badImages == .error)
    let error = #expect(throws: ConfigurationError.self) { try settings("skip") }
    let text = "\(try #require(error))"
    #expect(text.contains("meta.yaml:3") && text.contains("none can be skipped. Take error"), "\(text)")
  }

  @Test(arguments: [
    ("sparsity: 1", "above 0 and below 1"), ("sparsity: 0", "above 0 and below 1"), ("experts: 0", "1 to 256"),
    ("episodes: {way: 5}", "Did you mean 'ways'"), ("episodes: {ways: 1, shots: 1, queries: 1}", "'s ways cannot be 1"),
    ("training: []", "leave the key out"), ("expert: 4", "Did you mean 'experts'"),
    ("method: smta", "Did you mean 'smat'"),
    ("preset: pape", "Did you mean 'paper'? The presets are paper, official_code, recommended."),
    ("bad_images: ignore", "neither error nor skip"), ("split_seed: -1", "0 or more"),
    ("augmentation: {brightnes: 1}", "Did you mean"),
  ])
  func `a setting that cannot be is refused at its line, with what can be`(line: String, remedy: String) throws {
    let error = #expect(throws: ConfigurationError.self) { try parse(line) }
    let text = "\(try #require(error))"
    #expect(text.contains(remedy) && text.contains("meta.yaml:3"), "\(text)")
  }
}
