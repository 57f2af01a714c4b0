import Formats
import Foundation
import Testing

/// `graft tasks` as a process.
@Suite struct EndToEndTasksTests {
  /// Two tasks of 24 images: colours as folders of classes, and as lists.
  private func settings(_ fixture: ToolFixture) throws -> String {
    for (label, name) in ["blue", "red"].enumerated() {
      for index in 0..<12 { try fixture.writeImage("colors/\(name)/\(index).png", label: label, seed: index) }
    }
    var lists = ["train800.txt": "", "val200.txt": "", "test.txt": ""]
    for index in 0..<24 {
      try fixture.writeImage("listed/images/\(index).png", label: index % 2, seed: 100 + index)
      lists[index < 10 ? "train800.txt" : index < 16 ? "val200.txt" : "test.txt"]? +=
        "images/\(index).png \(index % 2)\n"
    }
    for (name, text) in lists { try fixture.write(text, to: "data/listed/\(name)") }
    return try fixture.write(
      """
      model: \(fixture.model.path)
      data: \(fixture.data.path)
      output: \(fixture.output.path)
      groups: {Drawn: [colors], Listed: [listed]}
      split: {training: 10, validation: 6, test: 6}
      image_size: 16
      trials: 2
      steps: 4
      batch_size: 4
      tune: {learning_rates: [1e-5, 1e-1]}
      methods:
        - {name: Linear probe, method: linear-probe}
        - {name: LoRA, method: lora, settings: {rank: 2}}
      """, to: "tasks.yaml"
    ).path
  }

  @Test func `one table, from calls that share the work, interrupted and gone on with`() throws {
    let fixture = try ToolFixture(images: 0)
    let file = try settings(fixture)
    let whole = fixture.root.appendingPathComponent("whole").path
    let all = try fixture.run("tasks", "--config", file, "--output", whole, "--json")
    #expect(all.status == 0, "\(all.errors)")
    let result = try JSONValue(parsing: all.output)
    #expect(result["is_complete"] == true && result["protocol"] == "validation")
    #expect(result["rows"]?.array?.map { $0["method"]?.string } == ["Linear probe", "LoRA"])
    #expect(result["rows"]?[1]?["score"]?["trials"] == 2)
    #expect(result["groups"]?[0] == ["name": "Drawn", "tasks": ["colors"]])
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: whole + "/results").sorted() == [
        "results.jsonl", "runs.csv", "table.json", "table.md",
      ])

    // In parts: one method to its end, the other stopped half-way.
    let first = try fixture.run("tasks", "--config", file, "--methods", "Linear probe")
    #expect(first.status == 0, "\(first.errors)")
    #expect(first.errors.contains("some runs are missing"))
    let running = try fixture.start(["tasks", "--config", file, "--methods", "LoRA"])
    #expect(running.wait { running.errors.contains("[2/8]") })
    running.process.interrupt()
    #expect(running.wait().status == 130)
    let last = try fixture.run("tasks", "--config", file, "--markdown")
    #expect(last.status == 0, "\(last.errors)")
    #expect(last.errors.contains("of 16 runs are done already"))
    #expect(last.output.contains("| Method | Parameters | Drawn | Listed | Mean | Score |"))
    for name in ["table.md", "runs.csv"] {
      let (one, other) = (whole + "/results/" + name, fixture.output.path + "/results/" + name)
      #expect(
        try String(contentsOfFile: one, encoding: .utf8) == String(contentsOfFile: other, encoding: .utf8), "\(name)")
    }

    // Everything is done: this only reads.
    let report = try fixture.run("tasks", "--config", file, "--report", "--json")
    #expect(report.status == 0, "\(report.errors)")
    #expect(report.output == all.output)
  }

  @Test func `a dry run lists tasks, methods and time`() throws {
    let fixture = try ToolFixture(images: 0)
    let run = try fixture.run("tasks", "--config", settings(fixture), "--dry-run")
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("16 runs: 2 methods, 2 tasks, 2 learning rates, 2 trials, 4 steps of 4 images each"))
    #expect(run.output.contains("time: about "))
    #expect(!FileManager.default.fileExists(atPath: fixture.output.path))
  }

  @Test func `what is wrong is said before any work`() throws {
    let fixture = try ToolFixture(images: 0)
    let file = try settings(fixture)
    let method = try fixture.run("tasks", "--config", file, "--methods", "Lora")
    #expect(method.status == 64)
    #expect(method.errors.contains("--methods: there is no method 'Lora'. Did you mean 'LoRA'?"))
    let task = try fixture.run("tasks", "--config", file, "--tasks", "colours")
    #expect(task.status != 0)
    #expect(task.errors.contains("There is no task 'colours'. Did you mean 'colors'?"))
    try fixture.write("images/0.png 0\nimages/nine.png 1\n", to: "data/listed/val200.txt")
    let list = try fixture.run("tasks", "--config", file)
    #expect(list.status == 1)
    #expect(list.errors.contains("listed/val200.txt:2: there is no image 'images/nine.png'"))
    #expect(!FileManager.default.fileExists(atPath: fixture.output.path))
  }
}
