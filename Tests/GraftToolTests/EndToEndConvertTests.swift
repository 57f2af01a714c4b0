import Formats
import Foundation
import Testing

/// `graft convert` and what `graft inspect` says of the folders of several programs.
@Suite struct EndToEndConvertTests {
  private func path(_ fixture: ToolFixture, _ name: String) -> String { fixture.root.appendingPathComponent(name).path }

  private func trained(_ method: String, _ more: String...) throws -> ToolFixture {
    let fixture = try ToolFixture()
    let run = try fixture.run(fixture.training(method, steps: 4) + more)
    #expect(run.status == 0, "\(run.errors)")
    return fixture
  }

  private func convert(_ fixture: ToolFixture, _ from: String, to format: String, as name: String, _ more: String...)
    throws -> JSONValue
  {
    let run = try fixture.run(
      ["convert", from, "--model", fixture.model.path, "--to", format, "--output", path(fixture, name), "--json"] + more
    )
    #expect(run.status == 0, "\(run.errors)")
    return try JSONValue(parsing: run.output)
  }

  private func inspect(_ fixture: ToolFixture, _ name: String, _ more: String...) throws -> JSONValue {
    let run = try fixture.run(["inspect", path(fixture, name), "--json"] + more)
    #expect(run.status == 0, "\(run.errors)")
    return try JSONValue(parsing: run.output)
  }

  @Test func `from here to PEFT, to mlx-lm and back, an adapter stays what it is`() throws {
    let fixture = try trained("lora", "--rank", "3")
    let peft = try convert(fixture, fixture.output.path, to: "peft", as: "peft")
    #expect(peft["format"] == "graft" && peft["to"] == "peft" && peft["method"] == "lora")
    #expect(try #require(peft["deviation"]?.double) <= 1e-5)
    #expect(!FileManager.default.fileExists(atPath: path(fixture, "peft/graft.json")))
    let mlx = try convert(
      fixture, path(fixture, "peft"), to: "mlx", as: "mlx", "--without-head", "--labels", "blue,red")
    #expect(mlx["format"] == "peft" && mlx["writer"] == "PEFT 0.21.2")
    let own = try convert(fixture, path(fixture, "mlx"), to: "graft", as: "own")
    #expect(own["format"] == "mlx")

    let model = ["--model", fixture.model.path]
    let (before, after) = (
      try inspect(fixture, "output"), try inspect(fixture, "own", model[0], model[1])
    )
    func norms(_ contents: JSONValue) -> [Double] {
      contents["sites"]?.array?.compactMap { $0["change_norm"]?.double } ?? []
    }
    #expect(norms(before).count == 2 && norms(before).allSatisfy { $0 > 0 })
    for (one, other) in zip(norms(before), norms(after)) { #expect(abs(one - other) <= 1e-6 * one) }
    #expect(after["sites"]?.array?.map { $0["rank"]?.integer } == [3, 3])
    #expect(before["fingerprint"] == after["fingerprint"] && before["fingerprint"]?.string?.count == 64)
  }

  @Test func `without a network, inspect lists the tensors of any program's files`() throws {
    let fixture = try trained("lora", "--rank", "3")
    _ = try convert(fixture, fixture.output.path, to: "mlx", as: "mlx", "--without-head")
    let contents = try inspect(fixture, "mlx")
    #expect(contents["format"] == "mlx" && contents["method"] == "lora" && contents["sites"] == [])
    #expect(contents["fingerprint"] == .null)
    let tensors = try #require(contents["tensors"]?.array)
    #expect(tensors.contains { $0["name"] == "blocks.0.attn.qkv.lora_a" })
    #expect(tensors.contains { $0["shape"] == [32, 3] } && tensors.count == 4)
    #expect(tensors.allSatisfy { ($0["norm"]?.double ?? 0) > 0 && $0["file"] == "adapters.safetensors" })
    let text = try fixture.run("inspect", path(fixture, "mlx"))
    #expect(text.output.contains("format    mlx-lm\n") && text.output.contains("\nblocks.0.attn.qkv.lora_a"))
    #expect(text.errors.contains("give --model to see sites and norms of what changes"))
  }

  @Test func `what changes besides maps is listed too`() throws {
    let fixture = try trained("bitfit")
    let contents = try inspect(fixture, "output")
    let places = try #require(contents["sites"]?.array)
    #expect(places.allSatisfy { $0["kind"] == "tensor" && $0["rank"] == .null })
    #expect(places.contains { $0["name"] == "blocks.1.norm2.bias" })
    let mixture = try trained("k-moa", "--set", "dimension=8")
    let text = try mixture.run("inspect", mixture.output.path)
    #expect(text.output.contains("by input") && text.output.contains("classes   blue, red\n"))
  }

  // MARK: Bad input

  private func complaint(_ fixture: ToolFixture, _ status: Int32, _ arguments: String...) throws -> String {
    let run = try fixture.run(arguments + ["--output", path(fixture, "new")])
    #expect(run.status == status && run.output.isEmpty, "\(run.errors)")
    #expect(!FileManager.default.fileExists(atPath: path(fixture, "new")))
    return run.errors
  }

  @Test func `what another program has no place for is refused, and nothing is written`() throws {
    let fixture = try trained("lora")
    let (adapter, model) = (fixture.output.path, fixture.model.path)
    #expect(
      try complaint(fixture, 1, "convert", adapter, "--model", model, "--to", "mlx")
        == """
        error: The adapter cannot be written for mlx-lm: mlx-lm has no place for a head (leave it out), or for biases that train.

        """)
    #expect(try complaint(fixture, 64, "convert", adapter, "--model", model, "--to", "onnx").contains("'onnx'"))
    #expect(
      try complaint(fixture, 1, "convert", model, "--model", model, "--to", "peft").contains("There is no adapter in"))
    let mixture = try trained("k-moa", "--set", "dimension=8")
    #expect(
      try complaint(mixture, 1, "convert", mixture.output.path, "--model", mixture.model.path, "--to", "peft")
        .contains("PEFT has no method mixture_of_adapters."))
  }

  @Test func `an adapter of another network, a renamed key, a pickle`() throws {
    let fixture = try trained("lora")
    _ = try convert(fixture, fixture.output.path, to: "peft", as: "peft")
    let model = fixture.model.path
    let file = fixture.root.appendingPathComponent("peft/adapter_model.safetensors")
    var bytes = try Data(contentsOf: file)
    let name = try #require(bytes.range(of: Data("lora_A".utf8)))
    bytes.replaceSubrange(name, with: Data("lora_C".utf8))
    try bytes.write(to: file)
    let renamed = try complaint(fixture, 1, "convert", path(fixture, "peft"), "--model", model, "--to", "graft")
    #expect(renamed.contains("lora_C") && renamed.contains("lora_A"))
    try FileManager.default.moveItem(at: file, to: fixture.root.appendingPathComponent("peft/adapter_model.bin"))
    let pickle = try complaint(fixture, 1, "convert", path(fixture, "peft"), "--model", model, "--to", "graft")
    #expect(pickle.contains("is a pickle, which can run any program when it is opened, so it is not read."))
    let weights = fixture.model.appendingPathComponent("model.safetensors")
    var other = try Data(contentsOf: weights)
    other[other.count - 2] ^= 1
    try other.write(to: weights)
    #expect(
      try complaint(fixture, 1, "convert", fixture.output.path, "--model", model, "--to", "peft")
        .contains("was trained on another network"))
  }
}
