import Formats
import Foundation
import Testing

@testable import GraftTool

/// `graft mix` as a process: runs trained, mixed, looked at and evaluated.
@Suite struct EndToEndMixTests {
  private let fixture: ToolFixture

  init() throws {
    fixture = try ToolFixture()
    for (name, seed) in [("one", "1"), ("two", "2")] {
      let run = try fixture.run(fixture.training("lora", steps: 3) + ["--seed", seed, "--output", path(name)])
      try #require(run.status == 0, "\(run.errors)")
    }
  }

  private func path(_ name: String) -> String { fixture.root.appendingPathComponent(name).path }

  private func mix(_ more: String...) throws -> ToolFixture.Finished {
    try fixture.run(
      ["mix", path("one"), path("two"), "--model", fixture.model.path, "--output", path("mixed")] + more)
  }

  @Test func `a soup is exact, predicts, and says what it is made of`() throws {
    let run = try mix("--method", "weighted", "--weights", "3,1", "--head", "one", "--json")
    #expect(run.status == 0, "\(run.errors)")
    let json = try JSONValue(parsing: run.output)
    #expect(json["report"]?["relative_error"]?.double == 0)
    #expect(json["mix"]?["members"]?.array?.compactMap { $0["weight"]?.double } == [3, 1])
    #expect(json["mix"]?["members"]?[0]?["name"] == "one")
    #expect(try JSONValue(contentsOf: fixture.root.appendingPathComponent("mixed/mix.json")) == json["mix"])

    let inspected = try fixture.run("inspect", path("mixed"), "--model", fixture.model.path)
    #expect(inspected.output.contains("mixed     weighted of one (3.0), two (1.0) in the space of delta\n"))
    let image = fixture.data.appendingPathComponent("photo/red/0.png").path
    let predicted = try fixture.run(
      "predict", path("mixed"), "--model", fixture.model.path, "--image-size", "16", image, "--quiet")
    #expect(predicted.status == 0, "\(predicted.errors)")
    #expect(predicted.output.hasPrefix("\(image)\t"))
  }

  @Test func `TIES of limited rank states its error`() throws {
    let run = try mix("--method", "ties", "--density", "0.3", "--rank", "2")
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("result   lora"))
    #expect(!run.output.contains("error    0.00e+00"))
  }

  @Test func `outputs are averaged by a folder that predicts`() throws {
    let run = try mix("--method", "output-average", "--weights", "3,1", "--head", "one")
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("result   output_average"))
    #expect(run.errors.contains("costs as much as its 2 members together"))
    let record = try JSONValue(contentsOf: fixture.root.appendingPathComponent("mixed/mix.json"))
    #expect(record["space"] == "outputs")
    #expect(record["members"]?.array?.compactMap { $0["weight"]?.double } == [3, 1])
    let image = fixture.data.appendingPathComponent("photo/red/0.png").path
    let predicted = try fixture.run(
      "predict", path("mixed"), "--model", fixture.model.path, "--image-size", "16", image, "--quiet")
    #expect(predicted.status == 0, "\(predicted.errors)")
    #expect(predicted.output.hasPrefix("\(image)\t"))
  }

  @Test func `a mistyped method, a weight too few and a full folder write nothing`() throws {
    let method = try mix("--method", "tise")
    #expect(method.status != 0)
    #expect(method.errors.contains("Did you mean 'ties'?"))
    let weights = try mix("--weights", "1")
    #expect(weights.errors.contains("'1' is not one number for each of the 2 adapters."))
    let density = try mix("--method", "ties", "--density", "0")
    #expect(density.errors.contains("its density is zero for every member"))
    #expect(!FileManager.default.fileExists(atPath: path("mixed")))
    let full = try fixture.run(
      "mix", path("one"), path("two"), "--model", fixture.model.path, "--output", path("one"))
    #expect(full.errors.contains("is not empty"))
  }

  @Test func `a configuration of MergeKit is carried out`() throws {
    let file = try fixture.write(
      """
      merge_method: dare_ties
      base_model: \(fixture.model.path)
      models:
        - model: \(fixture.model.path)+\(path("one"))/adapter
          parameters: {weight: [0.2, 0.8], density: 0.5}
        - model: \(path("two"))/adapter
          parameters: {weight: 0.5}
      parameters: {density: 0.7, int8_mask: true}
      dtype: float16
      """, to: "mergekit.yaml")
    let run = try fixture.run("mix", "--config", file.path, "--output", path("mixed"), "--json")
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.errors.contains("int8_mask has no effect"))
    #expect(try JSONValue(parsing: run.output)["mix"]?["rule"]?["method"] == "dare_ties")
    let dry = try fixture.run("mix", "--config", file.path, "--dry-run", "--json")
    #expect(try JSONValue(parsing: dry.output)["adapters"]?.array?.count == 2)
  }
}
