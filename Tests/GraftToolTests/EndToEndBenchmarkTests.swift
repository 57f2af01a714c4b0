import Formats
import Foundation
import Testing

/// `graft benchmark` as a process.
@Suite struct EndToEndBenchmarkTests {
  private func settings(_ fixture: ToolFixture, _ more: String = "") throws -> String {
    try fixture.write(
      """
      model: \(fixture.model.path)
      data: \(fixture.data.path)
      output: \(fixture.output.path)
      image_size: 16
      trials: 2
      steps: 6
      evaluation_interval: 3
      batch_per_domain: 2
      learning_rate: 1e-2
      methods:
        - {name: Linear probe, method: linear-probe}
        - {name: LoRA, method: lora, settings: {rank: 2}}
        - {name: K-MoA, method: k-moa, settings: {dimension: 8, ranks: [1, 2]}}
      \(more)
      """, to: "benchmark.yaml"
    ).path
  }

  @Test func `tables, drawings, ensembles and routing`() throws {
    let fixture = try ToolFixture()
    let file = try settings(fixture, "leave_out: [photo, ink]")
    let run = try fixture.run("benchmark", "--config", file, "--json")
    #expect(run.status == 0, "\(run.errors)")
    let result = try JSONValue(parsing: run.output)
    let table = try #require(result["tables"]?[0])
    #expect(table["targets"] == ["photo", "ink"])
    #expect(table["rows"]?.array?.map { $0["method"]?.string } == ["Linear probe", "LoRA", "K-MoA"])
    #expect(table["rows"]?[1]?["average"]?["trials"] == 2)
    #expect(result["tables"]?[1]?["rows"]?[0]?["method"] == "Linear probe, ensemble")
    let files = try FileManager.default.contentsOfDirectory(atPath: fixture.output.path + "/results").sorted()
    #expect(
      files == [
        "accuracy.svg", "loss.svg", "routing-k-moa.svg", "routing-load-k-moa.svg", "routing.json", "table.json",
        "table.md", "table.tex",
      ])
    #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.output.path + "/runs").count == 12 + 2)
    let routing = try JSONValue(contentsOf: fixture.output.appendingPathComponent("results/routing.json"))
    #expect(routing["K-MoA"]?["target"] == "photo")

    // Everything is done: the same call only reads.
    let again = try fixture.run("benchmark", "--config", file, "--markdown")
    #expect(again.status == 0, "\(again.errors)")
    #expect(again.errors.contains("12 of 12 runs are done already"))
    #expect(again.output.contains("| Method | photo | ink | Avg |"))
  }

  @Test func `an interrupted benchmark goes on with what is missing, to the same results`() throws {
    let fixture = try ToolFixture()
    let file = try settings(fixture)
    let whole = fixture.root.appendingPathComponent("whole").path
    #expect(try fixture.run("benchmark", "--config", file, "--output", whole).status == 0)

    let running = try fixture.start(["benchmark", "--config", file])
    #expect(running.wait { running.errors.contains("[3/18]") })
    running.process.interrupt()
    #expect(running.wait().status == 130)
    let resumed = try fixture.run("benchmark", "--config", file)
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("of 18 runs are done already"))
    let runs = try FileManager.default.contentsOfDirectory(atPath: whole + "/runs").filter { $0.count == 32 }
    #expect(runs.count == 18)
    for run in runs {
      #expect(
        try fixture.records("output/runs/\(run)/results.jsonl") == fixture.records("whole/runs/\(run)/results.jsonl"))
    }
  }

  @Test func `learning rates are searched on one fold and used for all`() throws {
    let fixture = try ToolFixture()
    let file = try settings(
      fixture, "leave_out: [photo]\ntune: {learning_rates: [1e-5, 1e-1], leave_out: ink, steps: 3}")
    let run = try fixture.run("benchmark", "--config", file, "--trials", "1")
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.errors.contains("LoRA: learning rate "))
    let tuning = try FileManager.default.contentsOfDirectory(atPath: fixture.output.path + "/tuning")
    #expect(tuning.filter { $0.count == 32 }.count == 6)
  }

  @Test func `a dry run lists methods, sites and time`() throws {
    let fixture = try ToolFixture()
    let run = try fixture.run("benchmark", "--config", settings(fixture), "--dry-run")
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("blocks.0.attn.qkv"))
    #expect(run.output.contains("18 runs: 3 methods, 3 targets (ink, paint, photo), 2 trials, 6 steps each"))
    #expect(run.output.contains("time: about "))
    #expect(!FileManager.default.fileExists(atPath: fixture.output.path))
  }

  @Test func `other settings in the same folder are refused`() throws {
    let fixture = try ToolFixture()
    let file = try settings(fixture, "leave_out: [photo]")
    #expect(try fixture.run("benchmark", "--config", file, "--trials", "1").status == 0)
    let changed = try fixture.run("benchmark", "--config", file, "--trials", "1", "--steps", "7")
    #expect(changed.status == 1)
    #expect(changed.errors.contains("steps: 6 then, 7 now"))
  }

  @Test func `a key that no method has is named with its place`() throws {
    let fixture = try ToolFixture()
    let file = try settings(fixture, "tune: {learning_rate: [1]}")
    let run = try fixture.run("benchmark", "--config", file)
    #expect(run.status == 64)
    #expect(
      run.errors.contains("benchmark.yaml:14:8: there is no setting 'learning_rate'. Did you mean 'learning_rates'?"))
  }
}
