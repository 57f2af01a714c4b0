import Formats
import Foundation
import Testing

/// `graft meta train`, `test`, `adapt` and `inspect` as processes, on a tiny network and tiny pictures.
@Suite struct EndToEndMetaTests {
  /// Two data sets of classes that are colours, each class divided among the splits.
  private func makeData(_ fixture: ToolFixture) throws {
    var splits = JSONObject()
    for dataset in ["cloth", "paper"] {
      for label in 0..<8 {
        for index in 0..<6 {
          try fixture.writeImage("\(dataset)/c\(label)/\(index).png", label: label % 2, seed: 40 * label + index)
        }
      }
      splits[dataset] = [
        "training": ["c0", "c1", "c2", "c3"], "validation": ["c4", "c5"], "test": ["c6", "c7"],
      ]
    }
    // The colours of the fixture are no part of it.
    for domain in ["ink", "paint", "photo"] {
      try FileManager.default.removeItem(at: fixture.data.appendingPathComponent(domain))
    }
    try fixture.write(try JSONValue.object(splits).text(), to: "data/splits.json")
  }

  private func training(_ fixture: ToolFixture, steps: Int = 3, _ more: String...) -> [String] {
    [
      "meta", "train", "--model", fixture.model.path, "--data", fixture.data.path, "--training", "cloth",
      "--image-size", "16", "--steps", "\(steps)", "--set", "episodes={ways: 2, shots: 2, queries: 2}", "--set",
      "experts=2", "--set", "tasks_per_step=2", "--set", "validation_episodes=3", "--set", "augmentation=none",
      "--output", fixture.output.path,
    ] + more
  }

  @Test func `a run is tested, adapted to a task that predict reads, and inspected`() throws {
    let fixture = try ToolFixture()
    try makeData(fixture)
    let trained = try fixture.run(training(fixture))
    #expect(trained.status == 0, "\(trained.errors)")
    let files = try FileManager.default.contentsOfDirectory(atPath: fixture.output.path).sorted()
    #expect(files == [".lock", "checkpoints", "config.yaml", "meta", "training.jsonl"])
    let log = try fixture.records("output/training.jsonl")
    #expect(log.compactMap { $0["loss"] == nil ? nil : $0["step"]?.integer } == [1, 2, 3])
    #expect(log.last?["validation"]?["sets"]?[0]?["name"] == "cloth")

    let results = fixture.root.appendingPathComponent("results").path
    let tested = try fixture.run(
      "meta", "test", "frozen", fixture.output.path, "\(fixture.output.path)@0", "--episodes", "5", "--output", results,
      "--json")
    #expect(tested.status == 0, "\(tested.errors)")
    let table = try JSONValue(parsing: tested.output)
    let rows = try #require(table["rows"]?.array)
    #expect(rows.map { $0["name"]?.string } == ["Frozen", "output", "output × 0.0"])
    // Nothing of what was trained is the floor.
    func accuracies(_ row: Int) -> [JSONValue?] {
      (0..<2).map { rows[row]["datasets"]?[$0]?["accuracies"] }
    }
    #expect(accuracies(0) == accuracies(2))
    #expect(rows[0]["datasets"]?.array?.map { $0["in_domain"]?.bool } == [true, false])
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: results).sorted()
        == ["task-tree.svg", "test.csv", "test.json", "test.md"])

    let tuned = try fixture.run(
      "meta", "test", fixture.output.path, "--episodes", "2", "--mode", "adapter", "--rates", "0,1e-3",
      "--tuning-steps", "2", "--datasets", "paper", "--rate-search", "other-classes")
    #expect(tuned.status == 0, "\(tuned.errors)")
    #expect(tuned.output.contains("Learning rate of tuning: 5 episodes of other classes, of 0, 0.001."))
    #expect(
      tuned.output.contains(
        "Tuned on each support: LoRA on query, value (alpha 32, dropout 0.1, initialization kaiming, rank 8), 2 steps"))
    let usual = try fixture.run(
      "meta", "test", fixture.output.path, "--episodes", "1", "--mode", "adapter", "--tuning-steps", "1", "--datasets",
      "paper", "--rate-search", "other-classes")
    #expect(usual.output.contains("of 0, 0.001, 0.01, 0.1 (multiplied by 10)."), "\(usual.errors)")

    for index in 0..<3 {
      try fixture.writeImage("../support/blue/\(index).png", label: 0, seed: 900 + index)
      try fixture.writeImage("../support/red/\(index).png", label: 1, seed: 930 + index)
    }
    let support = fixture.root.appendingPathComponent("support").path
    let task = fixture.root.appendingPathComponent("task").path
    let adapted = try fixture.run(
      "meta", "adapt", "--meta", fixture.output.path, "--support", support, "--output", task, "--merged", "--json")
    #expect(adapted.status == 0, "\(adapted.errors)")
    let record = try JSONValue(parsing: adapted.output)
    #expect(record["task"]?["support"]?[1] == ["class": "red", "examples": 3])
    let mixing = (record["task"]?["mixing"]?.array ?? []).compactMap(\.double)
    #expect(mixing.count == 2 && abs(mixing.reduce(0, +) - 1) < 1e-6)

    let image = "\(support)/red/1.png"
    let predicted = try fixture.run("predict", task, image, "--quiet")
    #expect(predicted.status == 0, "\(predicted.errors)")
    #expect(predicted.output.hasPrefix("\(image)\tred\t"))
    // The whole network with the task in its weights says the same.
    let merged = try fixture.run("predict", "\(task)/model/head", image, "--quiet")
    #expect(merged.status == 0, "\(merged.errors)")
    #expect(merged.output == predicted.output)

    let figures = fixture.root.appendingPathComponent("figures").path
    let inspected = try fixture.run(
      "meta", "inspect", fixture.output.path, "--test", "\(results)/test.json", "--figures", figures, "--json")
    #expect(inspected.status == 0, "\(inspected.errors)")
    let found = try JSONValue(parsing: inspected.output)
    #expect(found["tasks_seen"] == 6)
    #expect(found["sparsity"]?["asked"] == 0.9 && found["sparsity"]?["reached"]?.array?.count == 2)
    #expect(inspected.errors.contains("less sparse than was asked for"), "\(inspected.errors)")
    #expect(found["masks"]?["intersection_over_union"]?[0]?[0]?.double == 1)
    #expect(found["task_tree"]?["names"] == ["cloth", "paper"])
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: figures).sorted()
        == ["density-by-block.svg", "density-by-type.svg", "expert-overlap.svg", "task-tree.svg"])
  }

  @Test func `a run that is resumed at its end stays as it is, and a dry run writes nothing`() throws {
    let fixture = try ToolFixture()
    try makeData(fixture)
    let dry = try fixture.run(training(fixture) + ["--dry-run"])
    #expect(dry.status == 0, "\(dry.errors)")
    #expect(dry.output.contains(/cloth +training +4 +24/) && dry.output.contains("3 of 2 tasks"))
    // A schedule by which the steps of a trial alone would train nothing.
    let long = try fixture.run(training(fixture, steps: 2_000) + ["--preset", "paper", "--dry-run"])
    #expect(long.status == 0 && long.output.contains("2000 of 2 tasks"), "\(long.errors)")
    #expect(!FileManager.default.fileExists(atPath: fixture.output.path))

    #expect(try fixture.run(training(fixture)).status == 0)
    let model = try Data(contentsOf: fixture.output.appendingPathComponent("meta/meta.safetensors"))
    let again = try fixture.run("meta", "train", "--resume", "--output", fixture.output.path)
    #expect(again.status == 0, "\(again.errors)")
    #expect(try Data(contentsOf: fixture.output.appendingPathComponent("meta/meta.safetensors")) == model)
    #expect(try fixture.records("output/training.jsonl").count { $0["loss"] != nil } == 3)
    let refused = try fixture.run(training(fixture))
    #expect(refused.status == 1 && refused.errors.contains("holds a run already"))
  }

  @Test func `a run says how long it takes, and where it is stopped how to go on`() throws {
    let fixture = try ToolFixture()
    try makeData(fixture)
    let run = try fixture.start(training(fixture, steps: 100_000))
    let log = fixture.output.appendingPathComponent("training.jsonl")
    let isUnderWay = run.wait {
      ((try? String(contentsOf: log, encoding: .utf8)) ?? "").split(separator: "\n").count > 4
    }
    #expect(isUnderWay, "\(run.errors)")
    run.process.interrupt()
    let stopped = run.wait()
    #expect(stopped.status == 130, "\(stopped.errors)")
    #expect(stopped.errors.contains(/about .+ to go, without validation/))
    let checkpoint = try #require(
      try FileManager.default.contentsOfDirectory(atPath: fixture.output.appendingPathComponent("checkpoints").path)
        .first { $0.hasPrefix("step-") })
    #expect(stopped.errors.contains("\(fixture.output.path)/checkpoints/\(checkpoint)"), "\(stopped.errors)")
    #expect(stopped.errors.contains("to go on: graft meta train --resume --output \(fixture.output.path)\n"))
    let settings = try String(contentsOf: fixture.output.appendingPathComponent("config.yaml"), encoding: .utf8)
    #expect(settings.hasPrefix("# What this run was started with. 'graft meta train --resume"))
  }

  @Test func `masks that miss the sparsity asked for are told, with what to raise`() throws {
    let fixture = try ToolFixture()
    try makeData(fixture)
    // Masks begin open, and three small steps close hardly any.
    let missed = try fixture.run(training(fixture, steps: 3))
    #expect(
      missed.output.contains(/sparsity of the experts' masks 0\.\d+ 0\.\d+, of 0\.900 asked for/), "\(missed.output)")
    #expect(missed.errors.contains("2 of 2 masks did not become as sparse as asked for: raise mask_rate_per_weight"))
    let other = fixture.root.appendingPathComponent("other").path
    let reached = try fixture.run(training(fixture, steps: 1, "--set", "sparsity=0.005", "--output", other))
    #expect(reached.output.contains("of 0.005 asked for") && !reached.errors.contains("as sparse"), "\(reached.errors)")
    let dense = try fixture.run(
      training(fixture, steps: 1, "--method", "pmf", "--output", fixture.root.appendingPathComponent("dense").path))
    #expect(dense.status == 0 && !dense.output.contains("sparsity"))
  }

  @Test func `a run that died before its first checkpoint begins again, and its log with it`() throws {
    let fixture = try ToolFixture()
    try makeData(fixture)
    #expect(try fixture.run(training(fixture)).status == 0)
    let log = fixture.output.appendingPathComponent("training.jsonl")
    let folder = fixture.output
    let whole = try fixture.records("output/training.jsonl")
    let model = try Data(contentsOf: folder.appendingPathComponent("meta/meta.safetensors"))
    func resume() throws {
      for name in ["checkpoints", "meta"] {
        try FileManager.default.removeItem(at: folder.appendingPathComponent(name))
      }
      let resumed = try fixture.run("meta", "train", "--resume", "--output", folder.path)
      #expect(resumed.status == 0, "\(resumed.errors)")
      let records = try fixture.records("output/training.jsonl")
      #expect(records.map { $0["step"]?.integer } == [1, 2, 3, 3])
      #expect(records.map { $0["loss"] } == whole.map { $0["loss"] })
      #expect(try Data(contentsOf: folder.appendingPathComponent("meta/meta.safetensors")) == model)
    }
    // With a line that was cut off.
    let file = try FileHandle(forWritingTo: log)
    try file.seekToEnd()
    try file.write(contentsOf: Data(#"{"step": 4, "lo"#.utf8))
    try file.close()
    try resume()
    // Before it said anything.
    try FileManager.default.removeItem(at: log)
    try resume()
  }

  @Test func `what a model was trained on decides what is in domain, and what it is not tested on`() throws {
    let fixture = try ToolFixture()
    try makeData(fixture)
    #expect(try fixture.run(training(fixture, steps: 1)).status == 0)
    let other = fixture.root.appendingPathComponent("other").path
    // Later flags go over earlier ones.
    let paper = try fixture.run(training(fixture, steps: 1, "--training", "paper", "--output", other))
    #expect(paper.status == 0, "\(paper.errors)")
    func test(_ rows: String...) throws -> ToolFixture.Finished {
      try fixture.run(["meta", "test"] + rows + ["--episodes", "1", "--json"])
    }
    let meta = try JSONValue(contentsOf: fixture.output.appendingPathComponent("meta/meta.json"))
    #expect(
      meta["trained_on"] == [
        ["name": "cloth", "training": ["c0", "c1", "c2", "c3"], "validation": ["c4", "c5"]]
      ])
    func inDomain(_ text: String) throws -> [String?] {
      let datasets = try JSONValue(parsing: text)["rows"]?[0]?["datasets"]?.array ?? []
      return datasets.filter { $0["in_domain"]?.bool == true }.map { $0["name"]?.string }
    }
    let both = try test("frozen", other, fixture.output.path)
    #expect(try both.status == 0 && inDomain(both.output) == ["paper"])
    #expect(
      both.errors.contains(
        "'output' was trained on cloth of the tested data sets, and the tables call paper in domain"),
      "\(both.errors)")
    let one = try test("frozen", fixture.output.path)
    #expect(try inDomain(one.output) == ["cloth"] && !one.errors.contains("was trained on"))

    // Divided in another way: the model has been chosen by c5.
    try fixture.write(
      #"{"cloth": {"training": ["c0", "c1", "c2"], "validation": ["c3"], "test": ["c4", "c5", "c6", "c7"]}}"#,
      to: "data/splits.json")
    let refused = try test("frozen", fixture.output.path)
    #expect(refused.status == 1 && refused.output.isEmpty)
    #expect(
      refused.errors.contains("'output' was trained on 2 of the classes that data set 'cloth'"), "\(refused.errors)")
    #expect(refused.errors.contains("'c4', 'c5'"))
  }

  @Test func `bad input is told, and nothing is written`() throws {
    let fixture = try ToolFixture()
    try makeData(fixture)
    func refusal(_ arguments: [String]) throws -> String {
      let run = try fixture.run(arguments)
      #expect(run.status == 1 || run.status == 64, "\(run.output)")
      return run.errors
    }
    #expect(try refusal(training(fixture) + ["--set", "sparsity=1"]).contains("above 0 and below 1"))
    #expect(try refusal(training(fixture) + ["--set", "sparsity=0"]).contains("above 0 and below 1"))
    #expect(
      try refusal(training(fixture) + ["--set", "episodes={ways: 9, shots: 1, queries: 1}"]).contains(
        "has 4 classes, fewer than the 9"))
    #expect(try refusal(training(fixture) + ["--training", "clothe"]).contains("Did you mean 'cloth'"))
    #expect(
      try refusal(training(fixture) + ["--method", "smta"]).contains(
        "--method: 'method': There is no method 'smta'. Did"))
    #expect(try refusal(training(fixture) + ["--image-size", "20"]).contains("patch size 8. Take 16 or 24."))
    let low = try refusal(training(fixture) + ["--data", fixture.data.appendingPathComponent("cloth").path])
    #expect(low.contains("Data set 'c0'") && low.contains("give the folder above"), "\(low)")
    #expect(!FileManager.default.fileExists(atPath: fixture.output.path))

    #expect(try fixture.run(training(fixture, steps: 1)).status == 0)
    let other = fixture.root.appendingPathComponent("other")
    try TinyVisionTransformer.write(to: other)
    var weights = try Data(contentsOf: other.appendingPathComponent("model.safetensors"))
    weights[weights.count - 1] ^= 1
    try weights.write(to: other.appendingPathComponent("model.safetensors"))
    #expect(
      try refusal(["meta", "inspect", fixture.output.path, "--model", other.path]).contains("on another backbone"))

    try fixture.write(#"{"title": "", "rows": []}"#, to: "empty.json")
    let empty = try refusal([
      "meta", "inspect", fixture.output.path, "--test", fixture.root.appendingPathComponent("empty.json").path,
    ])
    #expect(empty.contains("is no test.json of graft meta test: A table needs at least one row."), "\(empty)")

    let adaptation = [
      "meta", "adapt", "--meta", fixture.output.path, "--support", "\(fixture.root.path)/support", "--output",
      "\(fixture.root.path)/task",
    ]
    func adapt(_ more: String...) throws -> String { try refusal(adaptation + more) }
    for scale in ["2", "-0.5", "nan"] { #expect(try adapt("--scale", scale).contains("--scale must be 0 to 1.")) }
    #expect(try adapt("--image-size", "20").contains("--image-size: the images' side, 20 pixels"))
    #expect(try adapt("--support", fixture.data.path).contains("/cloth' holds folders ('c0', 'c1', 'c2', …) where"))
    #expect(try adapt().contains("There is no folder"))
    try fixture.writeImage("../support/blue/0.png", label: 0, seed: 1)
    #expect(try adapt().contains("one class, 'blue'"))
    try FileManager.default.createDirectory(
      at: fixture.root.appendingPathComponent("support/red"), withIntermediateDirectories: true)
    #expect(try adapt().contains("The class 'red'"))
    try fixture.write("no picture", to: "support/red/0.png")
    #expect(try adapt().contains("red/0.png"))
    #expect(try adapt("--bad-images", "skip").contains("No image of the class 'red'"))
    #expect(!FileManager.default.fileExists(atPath: "\(fixture.root.path)/task"))
    try fixture.writeImage("../support/red/1.png", label: 1, seed: 2)
    let without = try fixture.run(adaptation + ["--bad-images", "skip"])
    #expect(without.status == 0 && without.output.contains("2 classes, 2 examples"), "\(without.errors)")
    #expect(without.errors.contains("1 examples cannot be used and are left out:\n  red/0.png"))

    try fixture.write("no picture", to: "data/cloth/c6/0.png")
    #expect(
      try refusal(["meta", "test", "frozen", fixture.output.path, "--episodes", "2"]).contains("cloth/c6/0.png"))
    let skipped = try fixture.run(
      "meta", "test", "frozen", fixture.output.path, "--episodes", "2", "--bad-images", "skip")
    #expect(skipped.status == 0, "\(skipped.errors)")
    #expect(try refusal(["meta", "test", fixture.data.path]).contains("no meta-tuned model"))
  }
}
