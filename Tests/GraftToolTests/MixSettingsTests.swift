import ArgumentParser
import Formats
import Foundation
import Mixing
import Testing

@testable import GraftTool

@Suite final class MixSettingsTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "graft-mix-\(UUID().uuidString)")

  init() throws {
    for name in ["one", "two"] {
      let folder = root.appending(path: name)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try Data("{}".utf8).write(to: folder.appending(path: "adapter_config.json"))
    }
  }

  deinit { try? FileManager.default.removeItem(at: root) }

  private func settings(_ second: String, _ more: String...) throws -> MixSettings {
    let file = root.appending(path: "mix.yaml")
    try Data(
      """
      adapters:
        - \(root.path)/one
        - {adapter: \(root.path)/two, \(second)}
      """.utf8
    ).write(to: file)
    return try MixSettings(MixCommand.parse(["--config", file.path] + more))
  }

  @Test func `an adapter's name and weight are its own`() throws {
    let recipe = try settings("name: second, weight: 0.5").recipe
    #expect(recipe.sources.map(\.name) == ["one", "second"])
    #expect(recipe.schedule.own == ["second": ["weight": .value(0.5)]])
  }

  @Test func `a name that is no text is refused`() throws {
    let error = #expect(throws: ConfigurationError.self) { try settings("name: [1]") }
    guard case .type("name", _, expected: "a text", _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(arguments: ["wieght: 0.5", "lambda: 0.5"]) func `what an adapter cannot have for itself is refused`(
    _ entry: String
  ) throws {
    let recipe = try settings(entry, "--method", "ties").recipe
    #expect(throws: MixtureError.self) { try MixPlan(recipe) }
  }

  @Test(arguments: ["output_average", "output-average"]) func `averaging outputs is a weighted mean of them`(
    _ method: String
  ) throws {
    let recipe = try settings("weight: 2", "--method", method).recipe
    #expect(recipe.space == .outputs)
    #expect(recipe.schedule.method == "weighted")
    #expect(throws: ConfigurationError.self) { try settings("weight: 2", "--method", method, "--space", "delta") }
  }
}
