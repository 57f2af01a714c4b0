import Formats
import Foundation
import Testing

@testable import GraftTool

/// `graft merge` as a process, from training to a prediction by the merged network.
@Suite struct EndToEndMergeTests {
  private func path(_ fixture: ToolFixture, _ name: String) -> String { fixture.root.appendingPathComponent(name).path }

  private func trained(_ method: String = "lora", _ more: String...) throws -> ToolFixture {
    let fixture = try ToolFixture()
    try fixture.write(#"{"architecture": "vit_tiny", "model_args": {"num_heads": 4}}"#, to: "model/config.json")
    let run = try fixture.run(fixture.training(method, steps: 6) + more)
    #expect(run.status == 0, "\(run.errors)")
    return fixture
  }

  private func merge(_ fixture: ToolFixture, _ more: String...) -> [String] {
    [
      "merge", "--model", fixture.model.path, "--adapter", fixture.output.path, "--output", path(fixture, "merged"),
    ] + more
  }

  private func complaint(_ fixture: ToolFixture, _ status: Int32, _ arguments: [String]) throws -> String {
    let before = try FileManager.default.contentsOfDirectory(atPath: fixture.root.path).filter { !$0.contains("-") }
    let run = try fixture.run(arguments)
    #expect(run.status == status, "\(run.errors)")
    #expect(run.output.isEmpty)
    let after = try FileManager.default.contentsOfDirectory(atPath: fixture.root.path).filter { !$0.contains("-") }
    #expect(Set(after) == Set(before), "something was left behind")
    return run.errors
  }

  @Test func `a merged network predicts what the adapted one does, and comes apart again`() throws {
    let fixture = try trained("lora", "--targets", "attention")
    let merged = try fixture.run(
      merge(fixture, "--data", fixture.data.path, "--probe", "5", "--keep-originals", "--json"))
    #expect(merged.status == 0, "\(merged.errors)")
    let record = try #require(try JSONValue(parsing: merged.output)["merge"])
    #expect(record["adapters"]?[0]?["method"] == "LORA" && record["adapters"]?[0]?["weight"]?.double == 1)
    #expect(record["probe"]?["source"] == .string(fixture.data.path))
    #expect(record["probe"]?["shape"] == [5, 3, 16, 16])
    #expect(record["changed"]?.array?.count == 4)
    let deviation = try #require(record["deviation"])
    #expect(try #require(deviation["logits"]?.double) <= 1e-4 && deviation["agreement"]?.double == 1)
    #expect(try JSONValue(contentsOf: fixture.root.appendingPathComponent("merged/graft_merge.json")) == record)

    let image = fixture.data.appendingPathComponent("photo/red/0.png").path
    let adapted = try fixture.run("predict", fixture.output.path, image, "--quiet")
    let alone = try fixture.run("predict", path(fixture, "merged/head"), image, "--quiet")
    #expect(alone.status == 0, "\(alone.errors)")
    #expect(alone.output == adapted.output && adapted.output.hasPrefix("\(image)\tred\t"))
    // The merged network may have been moved, and is named then.
    let named = try fixture.run(
      "predict", path(fixture, "merged/head"), "--model", path(fixture, "merged"), image, "--quiet")
    #expect(named.output == adapted.output)
    let evaluated = try fixture.run("eval", path(fixture, "merged/head"), "--data", fixture.data.path)
    #expect(try evaluated.output == fixture.run("eval", fixture.output.path).output && evaluated.status == 0)

    let text = try fixture.run(
      "merge", "--unmerge", "--model", path(fixture, "merged"), "--output", path(fixture, "restored"))
    #expect(text.status == 0, "\(text.errors)")
    #expect(text.output.contains("restored   4 tensors from the originals that were kept\n"))
    #expect(text.output.contains("the base's: bit-exact\n"))
    for name in ["model.safetensors", "config.json"] {
      #expect(
        try Data(contentsOf: fixture.root.appendingPathComponent("restored/\(name)"))
          == Data(contentsOf: fixture.model.appendingPathComponent(name)))
    }
  }

  @Test func `the size of the classifier's images is that of the run or of the flag, and not made up`() throws {
    let fixture = try trained("lora", "--pooling", "mean-patch")
    #expect(try fixture.run(merge(fixture)).status == 0)
    func settings(_ name: String) throws -> String {
      try String(contentsOf: fixture.root.appendingPathComponent("\(name)/head/config.yaml"), encoding: .utf8)
    }
    let run = try settings("merged")
    #expect(run.contains("image_size: 16\n") && run.contains("pooling: mean-patch\n"), "\(run)")
    #expect(run.contains("model: \(path(fixture, "merged"))\n"), "\(run)")
    // An adapter that no run's settings lie beside.
    let lone = fixture.root.appendingPathComponent("lone")
    try FileManager.default.copyItem(at: fixture.output.appendingPathComponent("adapter"), to: lone)
    func mergeLone(_ output: String, _ more: String...) throws -> ToolFixture.Finished {
      try fixture.run(
        ["merge", "--model", fixture.model.path, "--adapter", lone.path, "--output", path(fixture, output)]
          + ["--pooling", "mean-patch"] + more)
    }
    #expect(try mergeLone("silent").status == 0)
    #expect(try !settings("silent").contains("image_size"))
    #expect(try mergeLone("said", "--image-size", "24").status == 0)
    #expect(try settings("said").contains("image_size: 24\n"))
  }

  @Test func `without originals the recorded adapter is subtracted, or the base restores all`() throws {
    let fixture = try trained()
    let merged = try fixture.run(merge(fixture))
    #expect(merged.status == 0, "\(merged.errors)")
    #expect(merged.output.contains("merged     lora from \(fixture.output.path)/adapter, weight 1.0\n"))
    #expect(merged.output.contains("compared   16 inputs, normal pixels of seed 0\n"))
    #expect(merged.output.contains("classifier 2 classes in \(path(fixture, "merged/head"))\n"))
    let near = try fixture.run(
      "merge", "--unmerge", "--model", path(fixture, "merged"), "--output", path(fixture, "near"), "--json")
    #expect(near.status == 0, "\(near.errors)")
    let outcome = try JSONValue(parsing: near.output)
    #expect(try #require(outcome["deviation"]?.double) < 1e-4)
    #expect(outcome["exact"]?.bool == (outcome["sha256"] == outcome["base_sha256"]))
    let exact = try fixture.run(
      "merge", "--unmerge", "--model", path(fixture, "merged"), "--base", fixture.model.path, "--output",
      path(fixture, "exact"), "--json")
    #expect(exact.status == 0, "\(exact.errors)")
    #expect(try JSONValue(parsing: exact.output)["exact"] == true)
    #expect(
      try Data(contentsOf: fixture.root.appendingPathComponent("exact/model.safetensors"))
        == Data(contentsOf: fixture.model.appendingPathComponent("model.safetensors")))
  }

  @Test func `several adapters with weights, whose classifiers are told of and not written`() throws {
    let fixture = try trained()
    let second = fixture.training("lora", steps: 3, "--targets", "mlp", "--seed", "5")
      .map { $0 == fixture.output.path ? path(fixture, "second") : $0 }
    #expect(try fixture.run(second).status == 0)
    let merged = try fixture.run(
      "merge", "--model", fixture.model.path, "--adapter", fixture.output.path + "@0.5", "--adapter",
      path(fixture, "second") + "@-1e-1", "--output", path(fixture, "merged"))
    #expect(merged.status == 0, "\(merged.errors)")
    #expect(merged.errors.contains("warning: the adapters have 2 classifiers, which do not add up: none is written"))
    #expect(merged.output.contains("weight 0.5\n") && merged.output.contains("weight -0.1\n"))
    #expect(!FileManager.default.fileExists(atPath: path(fixture, "merged/head")))
  }

  @Test func `a mixture is refused, and merged approximately where that is asked for`() throws {
    let fixture = try trained("k-moa", "--set", "dimension=8")
    let text = try complaint(fixture, 1, merge(fixture))
    #expect(
      text == """
        error: A mixture-of-adapters adapter does not merge into the weights: the gates depend on the token, so no one \
        weight gives the same outputs; an export with mean gates is approximate. Ask for it with --approximate.

        """)
    let merged = try fixture.run(merge(fixture, "--approximate", "--data", fixture.data.path))
    #expect(merged.status == 0, "\(merged.errors)")
    #expect(
      merged.output.contains("error      features ") && merged.output.contains("mean gates in place of the router\n"))
  }

  // MARK: Bad input

  @Test func `an output that is not empty, or a file`() throws {
    let fixture = try trained()
    try fixture.write("dear diary", to: "merged/diary.txt")
    #expect(
      try complaint(fixture, 1, merge(fixture))
        == """
        error: '\(path(fixture, "merged"))' is not empty (found diary.txt). Choose a new folder for the result.

        """)
    try fixture.write("", to: "file")
    let onFile = merge(fixture).map { $0 == path(fixture, "merged") ? path(fixture, "file") : $0 }
    #expect(try complaint(fixture, 1, onFile).contains("is a file. Give a folder for the results."))
  }

  @Test func `an adapter of another network`() throws {
    let fixture = try trained()
    let file = fixture.model.appendingPathComponent("model.safetensors")
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count - 2] ^= 1
    try bytes.write(to: file)
    #expect(try complaint(fixture, 1, merge(fixture)).contains("was trained on another network"))
  }

  @Test func `NaN in the adapter's weights, and a missing tensor`() throws {
    let fixture = try trained()
    let file = fixture.output.appendingPathComponent("adapter/adapter_model.safetensors")
    let opened = try SafetensorsFile(contentsOf: file)
    let name = "base_model.model.blocks.1.attn.qkv.lora_B.weight"
    let start = try #require(opened[name]).byteRange.lowerBound
    var bytes = try Data(contentsOf: file)
    bytes.replaceSubrange(start..<start + 4, with: [0, 0, 0xC0, 0x7F])
    try bytes.write(to: file)
    #expect(try complaint(fixture, 1, merge(fixture)).contains("'\(name)' in \(file.path) holds NaN or infinity"))
    var writer = SafetensorsWriter(metadata: opened.metadata)
    for tensor in opened.tensors.dropLast() {
      try writer.add(
        tensor.name, tensor.dtype, shape: tensor.shape, opened.withBytes(of: tensor.name) { Data($0) })
    }
    try writer.write(to: file)
    #expect(try complaint(fixture, 1, merge(fixture)).contains("does not hold this adapter. Missing (1): "))
  }

  @Test func `a shard outside the model's folder`() throws {
    let fixture = try trained()
    let weights = fixture.model.appendingPathComponent("model.safetensors")
    let names = try SafetensorsFile(contentsOf: weights).names
    try FileManager.default.moveItem(at: weights, to: fixture.root.appendingPathComponent("outside.safetensors"))
    let map = names.map { #""\#($0)": "../outside.safetensors""# }.joined(separator: ", ")
    try fixture.write("{\"weight_map\": {\(map)}}", to: "model/model.safetensors.index.json")
    let text = try complaint(fixture, 1, merge(fixture))
    #expect(text.contains("\"../outside.safetensors\" is refused: it holds '..'"))
  }

  @Test func `an adapter that is merged already, one that is not there, a weight that is none`() throws {
    let fixture = try trained()
    #expect(try fixture.run(merge(fixture)).status == 0)
    let again = merge(fixture).map { $0 == fixture.model.path ? path(fixture, "merged") : $0 }
      .map { $0 == path(fixture, "merged") ? $0 : $0 }
    var twice = again
    twice[twice.count - 1] = path(fixture, "twice")
    let text = try complaint(fixture, 1, twice)
    #expect(text.contains("is merged into '\(path(fixture, "merged"))' already, with weight 1.0."))
    #expect(try fixture.run(twice + ["--again"]).status == 0)
    var absent = merge(fixture)
    absent[4] = path(fixture, "nothing")
    absent[absent.count - 1] = path(fixture, "third")
    #expect(try complaint(fixture, 1, absent).contains("There is no adapter in '\(path(fixture, "nothing"))'."))
    absent[4] = fixture.output.path + "@half"
    #expect(try complaint(fixture, 64, absent).contains("ends in no weight. Write FOLDER@WEIGHT, as in runs/a@0.5."))
    #expect(
      try complaint(fixture, 1, ["merge", "--unmerge", "--model", fixture.model.path, "--output", absent[6]])
        .contains("holds no merge (graft_merge.json is missing)"))
  }

  @Test func `flags that do not go together are wrong usage`() throws {
    let fixture = try ToolFixture()
    let output = path(fixture, "merged")
    #expect(try fixture.run("merge", "--model", fixture.model.path, "--output", output).status == 64)
    #expect(try fixture.run(merge(fixture, "--base", fixture.model.path)).status == 64)
    #expect(try fixture.run("merge", "--unmerge", "--output", output).status == 64)
    #expect(
      try fixture.run("merge", "--unmerge", "--model", fixture.model.path, "--output", output, "--approximate").status
        == 64)
  }

  @Test func `a weight is what follows the last at sign, unless a folder is called so`() throws {
    let fixture = try ToolFixture()
    #expect(try MergeCommand.term("runs/a") == ("runs/a", 1))
    #expect(try MergeCommand.term("runs/a@0.5") == ("runs/a", 0.5))
    #expect(try MergeCommand.term("me@home/a@-2") == ("me@home/a", -2))
    try fixture.write("", to: "a@2/x")
    #expect(try MergeCommand.term(path(fixture, "a@2")) == (path(fixture, "a@2"), 1))
    #expect(throws: ConfigurationError.self) { try MergeCommand.term("runs/a@inf") }
  }
}
