import Formats
import Foundation
import Testing

@testable import GraftTool

/// `graft inspect --signs` and `graft prune` as processes, from training on.
@Suite struct EndToEndSignsAndPruningTests {
  private func path(_ fixture: ToolFixture, _ name: String) -> String { fixture.root.appendingPathComponent(name).path }

  /// Two runs of one start, and one of another.
  private func trained(_ method: String = "houlsby", _ runs: [(name: String, seed: Int)]) throws -> ToolFixture {
    let fixture = try ToolFixture()
    for run in runs {
      let finished = try fixture.run(
        fixture.training(method, steps: 4) + ["--seed", "\(run.seed)", "--output", path(fixture, run.name)])
      #expect(finished.status == 0, "\(finished.errors)")
    }
    return fixture
  }

  private func arguments(_ fixture: ToolFixture, _ command: String, _ names: String..., options: [String] = [])
    -> [String]
  { [command] + names.map { path(fixture, $0) } + options }

  // MARK: Signs

  @Test func `adapters of one start agree, of another do not, and are warned of`() throws {
    let fixture = try trained("houlsby", [("one", 1), ("other", 2)])
    let figure = path(fixture, "signs.svg")
    let run = try fixture.run(
      arguments(fixture, "inspect", "one", "other", options: ["--signs", "--figure", figure, "--json"]))
    #expect(run.status == 0, "\(run.errors)")
    let report = try JSONValue(parsing: run.output)
    #expect(report["adapters"] == ["one", "other"])
    let pair = try #require(report["pairs"]?[0]?[1]?.double)
    #expect((0.3...0.7).contains(pair))
    #expect(report["blocks"]?.array?.isEmpty == false)
    #expect(run.errors.contains("2 different initial seeds"))
    let drawing = try String(contentsOfFile: figure, encoding: .utf8)
    #expect(drawing.hasPrefix("<svg") || drawing.contains("<svg"))
    #expect(drawing.contains("other"))
  }

  @Test func `what cannot be compared is refused`() throws {
    let fixture = try trained("houlsby", [("one", 1)])
    for (options, message) in [
      (["--signs"], "Name two or more"), (["--zeros", "exclude"], "go with --signs"),
      ([path(fixture, "one/adapter"), "--signs"], "is named twice"),
    ] {
      let run = try fixture.run(arguments(fixture, "inspect", "one", options: options))
      #expect(run.status != 0)
      #expect(run.errors.contains(message), "\(run.errors)")
    }
  }

  // MARK: Pruning

  @Test func `a pruned adapter is small, predicts, and mixes with a dense one`() throws {
    let fixture = try trained("houlsby", [("one", 1)])
    let sparse = path(fixture, "sparse")
    let run = try fixture.run(
      arguments(fixture, "prune", "one", options: ["--density", "0.1", "--output", sparse, "--json"]))
    #expect(run.status == 0, "\(run.errors)")
    let result = try JSONValue(parsing: run.output)
    #expect(try abs(#require(result["density"]?.double) - 0.1) < 0.02)
    let file = "adapter_model.safetensors"
    func size(_ folder: String) throws -> Int {
      try Data(contentsOf: fixture.root.appendingPathComponent("\(folder)/\(file)")).count
    }
    #expect(try size("sparse") < size("one/adapter"))
    let model = ["--model", fixture.model.path]
    let evaluated = try fixture.run(
      arguments(fixture, "eval", "sparse", options: model + ["--data", fixture.data.path, "--image-size", "16"]))
    #expect(evaluated.status == 0, "\(evaluated.errors)")
    let signs = try fixture.run(arguments(fixture, "inspect", "one", "sparse", options: ["--signs", "--json"]))
    // What is kept keeps its sign, and a zero conflicts with nothing.
    #expect(try JSONValue(parsing: signs.output)["pairs"]?[0]?[1]?.double == 0)
    let mixed = try fixture.run(
      arguments(
        fixture, "mix", "one", "sparse", options: model + ["--space", "factors", "--output", path(fixture, "mixed")]))
    #expect(mixed.status == 0, "\(mixed.errors)")
  }

  @Test func `the curve has every density asked for, and that of one is the adapter's`() throws {
    let fixture = try trained("houlsby", [("one", 1)])
    let figure = path(fixture, "curve.svg")
    let run = try fixture.run(
      arguments(fixture, "prune", "one", options: ["--curve", "1,0.5,0.1", "--figure", figure, "--json"]))
    #expect(run.status == 0, "\(run.errors)")
    let curve = try JSONValue(parsing: run.output)
    #expect(curve["points"]?.array?.compactMap { $0["density"]?.double } == [1, 0.5, 0.1])
    #expect(curve["domains"] == ["ink", "paint", "photo"])
    let evaluated = try JSONValue(parsing: fixture.run(arguments(fixture, "eval", "one", options: ["--json"])).output)
    // Without data of its own it measures what the run held out, and eval measures everything.
    let all = try JSONValue(
      parsing: fixture.run(
        arguments(fixture, "prune", "one", options: ["--curve", "1", "--data", fixture.data.path, "--json"])
      ).output)
    #expect(all["points"]?[0]?["mean"]?.double == evaluated["mean"]?.double)
    #expect(try String(contentsOfFile: figure, encoding: .utf8).contains("density"))
  }

  @Test func `a density that keeps nothing, and criteria without what they compare, are refused`() throws {
    let fixture = try trained("houlsby", [("one", 1)])
    let output = ["--output", path(fixture, "sparse")]
    for (options, message) in [
      (["--density", "0"] + output, "above 0 and at most 1"), (["--density", "nan"] + output, "above 0 and at most 1"),
      (["--curve", "1,0"], "above 0 and at most 1"), (output, "Give --density"),
      (["--density", "0.5", "--criterion", "conflicts-first"] + output, "Name the others by --with"),
      (
        ["--density", "0.5", "--criterion", "consensus", "--with", path(fixture, "one")] + output, "takes no --density"
      ),
    ] {
      let run = try fixture.run(arguments(fixture, "prune", "one", options: options))
      #expect(run.status != 0)
      #expect(run.errors.contains(message), "\(run.errors)")
      #expect(!FileManager.default.fileExists(atPath: path(fixture, "sparse")))
    }
  }

  // MARK: Sparse training

  @Test func `a sparse run trains the fraction that its recipe says`() throws {
    let fixture = try ToolFixture()
    let recipe = try fixture.write("sparsity: {density: 0.25, score: magnitude}\n", to: "sparse.yaml")
    let run = try fixture.run(fixture.training("houlsby") + ["--config", recipe.path])
    #expect(run.status == 0, "\(run.errors)")
    let settings = try String(contentsOf: fixture.output.appendingPathComponent("config.yaml"), encoding: .utf8)
    #expect(settings.contains("density: 0.25"))
    let details = try JSONValue(contentsOf: fixture.output.appendingPathComponent("adapter/graft.json"))
    #expect(details["sparse"]?.object?.members.isEmpty == false)
  }
}
