import Formats
import Foundation
import Testing

/// `graft train`, `eval`, `predict` and `inspect` as processes.
@Suite struct EndToEndTrainTests {
  @Test func `a run leaves settings, results, a checkpoint and an adapter that eval, predict and inspect read`() throws
  {
    let fixture = try ToolFixture()
    let trained = try fixture.run(
      fixture.training("lora", steps: 30, "--rank", "2", "--targets", "attention"))
    #expect(trained.status == 0, "\(trained.errors)")
    // 2 blocks × (qkv: 2·(32 + 96), proj: 2·(32 + 32)) and a head of 2·32 + 2; the network has 18,560 numbers.
    #expect(trained.output.hasPrefix("trainable params: 834 || all params: "))
    let files = try FileManager.default.contentsOfDirectory(atPath: fixture.output.path).sorted()
    #expect(files == [".lock", "adapter", "checkpoints", "config.yaml", "results.jsonl"])
    let records = try fixture.records("output/results.jsonl")
    #expect(records.map { $0["step"]?.integer } == [30])
    #expect(records[0]["args"]?["test_envs"] == [2])
    #expect(records[0]["env2_in_n"] == 8)

    let evaluated = try fixture.run("eval", fixture.output.path, "--json")
    #expect(evaluated.status == 0, "\(evaluated.errors)")
    let scores = try JSONValue(parsing: evaluated.output)
    #expect(scores["domains"]?.array?.map { $0["domain"]?.string } == ["ink", "paint", "photo"])
    // Red and blue are easily told apart.
    #expect(scores["mean"]?.double == 1)

    let image = fixture.data.appendingPathComponent("photo/red/0.png").path
    let predicted = try fixture.run("predict", fixture.output.path, image, "--quiet")
    #expect(predicted.status == 0, "\(predicted.errors)")
    #expect(predicted.output.hasPrefix("\(image)\tred\t"))
    #expect(predicted.errors.isEmpty)

    let inspected = try fixture.run("inspect", fixture.output.path, "--json")
    #expect(inspected.status == 0, "\(inspected.errors)")
    let contents = try JSONValue(parsing: inspected.output)
    #expect(contents["classes"] == ["blue", "red"])
    let sites = try #require(contents["sites"]?.array)
    #expect(sites.map { $0["parameters"]?.integer } == [256, 128, 256, 128])
    #expect(sites.allSatisfy { ($0["change_norm"]?.double ?? 0) > 0 })
  }

  @Test func `without a domain left out, all are trained on`() throws {
    let fixture = try ToolFixture()
    let flags = fixture.training().filter { $0 != "--leave-out" && $0 != "photo" }
    let trained = try fixture.run(flags + ["--json"])
    #expect(trained.status == 0, "\(trained.errors)")
    #expect(try JSONValue(parsing: trained.output)["selected"]?["target"] == nil)
    let records = try fixture.records("output/results.jsonl")
    #expect(records[0]["args"]?["test_envs"] == [])
    #expect(records[0]["env2_out_n"] == 2)
  }

  @Test func `the same seed gives the same results, another seed others`() throws {
    let fixture = try ToolFixture()
    func results(_ name: String, seed: String) throws -> [JSONValue] {
      let flags = fixture.training("k-moa", steps: 6, "--set", "dimension=8", "--seed", seed)
      let run = try fixture.run(flags.map { $0 == fixture.output.path ? fixture.root.path + "/" + name : $0 })
      #expect(run.status == 0, "\(run.errors)")
      return try fixture.records("\(name)/results.jsonl")
    }
    let first = try results("one", seed: "3")
    #expect(first.count == 1)
    #expect(try results("two", seed: "3") == first)
    #expect(try results("three", seed: "4")[0]["loss"] != first[0]["loss"])
  }

  @Test func `a run stopped by Ctrl-C writes a checkpoint and goes on to the same end`() throws {
    let fixture = try ToolFixture()
    let settings = try fixture.write("evaluation_interval: 10\ncheckpoint_interval: 1000000\n", to: "a.yaml")
    let flags = fixture.training("lora", steps: 60, "--config", settings.path)
    let whole = try fixture.run(flags.map { $0 == fixture.output.path ? fixture.root.path + "/whole" : $0 })
    #expect(whole.status == 0, "\(whole.errors)")

    let running = try fixture.start(flags)
    #expect(running.wait { running.errors.contains("12/60") })
    running.process.interrupt()
    let stopped = running.wait()
    #expect(stopped.status == 130, "\(stopped.errors)")
    #expect(stopped.errors.contains("note: stopped by Ctrl-C"))
    #expect(try fixture.checkpoints().count == 1)
    #expect(!FileManager.default.fileExists(atPath: fixture.output.path + "/adapter"))

    let refused = try fixture.run(flags)
    #expect(refused.status == 1)
    #expect(refused.errors.contains("holds a run already. Go on with it by --resume"))
    let resumed = try fixture.run("train", "--resume", "--output", fixture.output.path)
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("going on after step"))
    #expect(try fixture.records("output/results.jsonl") == fixture.records("whole/results.jsonl"))
    let file = "adapter/adapter_model.safetensors"
    #expect(
      try Data(contentsOf: fixture.root.appendingPathComponent("whole/\(file)"))
        == Data(contentsOf: fixture.output.appendingPathComponent(file)))
  }

  @Test func `SIGTERM ends with 143`() throws {
    let fixture = try ToolFixture()
    let running = try fixture.start(fixture.training("lora", steps: 200))
    #expect(running.wait { running.errors.contains("20/200") })
    running.process.terminate()
    let stopped = running.wait()
    #expect(stopped.status == 143, "\(stopped.errors)")
    #expect(try fixture.checkpoints().count == 1)
  }

  @Test func `going on with a finished run finds it finished`() throws {
    let fixture = try ToolFixture()
    #expect(try fixture.run(fixture.training(steps: 2)).status == 0)
    let weights = fixture.output.appendingPathComponent("adapter/adapter_model.safetensors")
    let before = try Data(contentsOf: weights)
    let records = try fixture.records("output/results.jsonl")
    let again = try fixture.run("train", "--resume", "--output", fixture.output.path)
    #expect(again.status == 0, "\(again.errors)")
    #expect(try Data(contentsOf: weights) == before)
    #expect(try fixture.records("output/results.jsonl") == records)
  }

  @Test func `going on with other settings is refused with the difference`() throws {
    let fixture = try ToolFixture()
    #expect(try fixture.run(fixture.training(steps: 2)).status == 0)
    let changed = try fixture.run(
      "train", "--resume", "--output", fixture.output.path, "--learning-rate", "0.5")
    #expect(changed.status == 1)
    #expect(changed.errors.contains("learning_rate: 0.01 then, 0.5 now"))
  }

  @Test func `two runs in one folder at once are refused`() throws {
    let fixture = try ToolFixture()
    let running = try fixture.start(fixture.training(steps: 200))
    #expect(running.wait { fixture.hasStarted })
    let second = try fixture.run("train", "--resume", "--output", fixture.output.path)
    #expect(second.status == 1)
    #expect(second.errors.contains("is in use by the process \(running.process.processIdentifier)"))
    running.process.terminate()
    _ = running.wait()
  }

  @Test func `a dry run tells what would be done and writes nothing`() throws {
    let fixture = try ToolFixture()
    let dry = try fixture.run(fixture.training("lora", steps: 4, "--rank", "2", "--dry-run", "--json"))
    #expect(dry.status == 0, "\(dry.errors)")
    let plan = try #require(try JSONValue(parsing: dry.output)["plan"])
    #expect(plan["sites"]?.array?.map { $0["name"]?.string } == ["blocks.0.attn.qkv", "blocks.1.attn.qkv"])
    #expect(plan["adapter_parameters"] == 512)
    #expect(plan["head_parameters"] == 66)
    #expect(try JSONValue(parsing: dry.output)["data"]?["images"] == [10, 10, 10])
    #expect(!FileManager.default.fileExists(atPath: fixture.output.path))
    #expect(!FileManager.default.fileExists(atPath: fixture.root.path + "/cache"))
  }

  @Test func `what the router does is reported and drawn`() throws {
    let fixture = try ToolFixture()
    let trained = try fixture.run(fixture.training("k-moa", steps: 2, "--set", "dimension=8"))
    #expect(trained.status == 0, "\(trained.errors)")
    let pictures = fixture.root.appendingPathComponent("pictures")
    let routed = try fixture.run("inspect", fixture.output.path, "--routing", "--pictures", pictures.path, "--json")
    #expect(routed.status == 0, "\(routed.errors)")
    let layers = try #require(try JSONValue(parsing: routed.output)["layers"]?.array)
    #expect(layers.map { $0["layer"]?.string } == ["blocks.0.attn.qkv"])
    #expect(layers[0]["experts"] == 4)
    #expect(layers[0]["domains"]?.array?.count == 3)
    // 30 images of a class token and 4 patches.
    #expect(layers[0]["overall"]?["tokens"] == 150)
    let drawn = try String(contentsOf: pictures.appendingPathComponent("routing.svg"), encoding: .utf8)
    #expect(drawn.contains("expert 3 (rank 8)") && drawn.contains("photo: "))

    let none = try fixture.run("inspect", fixture.output.path, "--pictures", pictures.path)
    #expect(none.status == 64)
  }
}

extension ToolFixture {
  func checkpoints() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: output.appendingPathComponent("checkpoints").path)
      .filter { $0.hasPrefix("step-") }
  }

  /// Whether the run in the output folder takes steps already: then its first evaluation may take time.
  var hasStarted: Bool {
    FileManager.default.fileExists(atPath: output.appendingPathComponent("config.yaml").path)
      && FileManager.default.fileExists(atPath: root.appendingPathComponent("cache/images").path)
  }
}
