import Datasets
import Formats
import Foundation
import Reports
import Testing
import Training

@testable import GraftTool

@Suite struct TaskSettingsTests {
  /// The settings of a file with these lines beside those that every file needs.
  private func settings(_ more: String) throws -> TaskSettings {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("graft-settings-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("tasks.yaml")
    let text = "model: \(folder.path)\ndata: \(folder.path)\nmethods: [{method: lora}]\n\(more)\n"
    try Data(text.utf8).write(to: file)
    var section = Section()
    try section.add(YAMLFile(contentsOf: file), known: TaskSettings.keys)
    return try TaskSettings(section)
  }

  private func message(_ more: String) -> String {
    do {
      _ = try settings(more)
      return "nothing was refused"
    } catch { return "\(error)" }
  }

  @Test func `what is left out has VTAB's sizes, and images are not varied`() throws {
    let settings = try settings("")
    #expect(settings.split.training == 800 && settings.split.validation == 200 && settings.split.test == nil)
    #expect(settings.taskProtocol == .validation && settings.trials == 3 && settings.learningRates.isEmpty)
    #expect(settings.experiment.recipe.augmentation == nil)
    #expect(try self.settings("augmentation: default").experiment.recipe.augmentation != nil)
  }

  @Test func `groups, split, batch and grid are read`() throws {
    let settings = try settings(
      """
      groups: {Natural: [a, b], Structured: c}
      split: {training: 80, validation: 20, test: 50, test_share: 0.5, seed: 7}
      protocol: paper
      batch_size: 12
      tune: {learning_rates: [1e-3, 1e-2]}
      """)
    guard case .named(let groups) = settings.groups else {
      Issue.record("no groups")
      return
    }
    #expect(groups.groups == [.init("Natural", ["a", "b"]), .init("Structured", ["c"])])
    #expect(settings.split == .init(training: 80, validation: 20, test: 50, testShare: 0.5, seed: 7))
    #expect(settings.taskProtocol == .paper && settings.learningRates == [1e-3, 1e-2])
    #expect(settings.experiment.recipe.batchPerDomain == 12)
    let resolved = try settings.resolved()
    #expect(resolved["batch_size"] == 12 && resolved["holdout"] == nil && resolved["protocol"] == "paper")
    #expect(resolved["groups"]?["Natural"]?[1] == "b" && resolved["split"]?["test"] == 50)
  }

  @Test func `what is wrong is named with its place`() {
    #expect(
      message("protocol: papper").contains("tasks.yaml:4:1: the protocol cannot be 'papper'. Write validation or"))
    #expect(
      message("split: {trainig: 8}").contains("tasks.yaml:4:9: there is no setting 'trainig'. Did you mean 'training'"))
    #expect(message("split: {test: 0}").contains("tasks.yaml:4:9: 'test' must be 1 to 1000000000."))
    #expect(message("groups: vtab").contains("tasks.yaml:4:1: groups cannot be 'vtab'. Write vtab-1k"))
    #expect(message("groups: {A: [a], B: [a]}").contains("The task 'a' stands in the groups twice."))
    #expect(message("holdout: 0.3").contains("there is no setting 'holdout'"))
    #expect(message("tune: {learning_rates: [0]}").contains("learning rates must be above 0"))
    #expect(message("trials: 0").contains("the number of trials must be 1 to 1000"))
  }
}
