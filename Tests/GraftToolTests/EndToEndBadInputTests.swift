import Formats
import Foundation
import Testing

/// What the tool says to input that is not right: each message names what, where, and what to do.
@Suite struct EndToEndBadInputTests {
  private func complaint(_ fixture: ToolFixture, _ status: Int32, _ arguments: [String]) throws -> String {
    let run = try fixture.run(arguments)
    #expect(run.status == status, "\(run.errors)")
    #expect(run.output.isEmpty)
    return run.errors
  }

  @Test func `help and version`() throws {
    let fixture = try ToolFixture()
    let help = try fixture.run("--help")
    #expect(help.status == 0)
    for command in ["train", "eval", "benchmark", "predict", "inspect", "merge", "convert"] {
      #expect(help.output.contains("\n  \(command) "))
      let about = try fixture.run(command, "--help")
      #expect(about.status == 0)
      #expect(about.output.contains("USAGE: graft \(command) ") && about.output.contains("--json"))
    }
    #expect(try fixture.run("--version").output.split(separator: ".").count == 3)
  }

  @Test func `an unknown flag and an unknown command are wrong usage`() throws {
    let fixture = try ToolFixture()
    #expect(try fixture.run("train", "--stesp", "3").status == 64)
    #expect(try fixture.run("trian").status == 64)
  }

  @Test func `an unknown key in the configuration`() throws {
    let fixture = try ToolFixture()
    let file = try fixture.write("steps: 3\nlearnin_rate: 0.1\n", to: "a.yaml")
    let text = try complaint(fixture, 64, fixture.training("lora", steps: 1, "--config", file.path))
    #expect(text.contains("a.yaml:2:1: there is no setting 'learnin_rate'. Did you mean 'learning_rate'?"))
  }

  @Test func `an unknown target site`() throws {
    let fixture = try ToolFixture()
    let text = try complaint(fixture, 1, fixture.training("lora", steps: 1, "--targets", "qvk"))
    #expect(
      text == """
        error: The backbone has no site 'qvk'. Did you mean 'qkv'? Its sites are fc1, fc2, key, proj, qkv, query, value.

        """)
  }

  @Test func `a dimension that does not divide`() throws {
    let fixture = try ToolFixture()
    let text = try complaint(fixture, 1, fixture.training("k-moa", steps: 1, "--set", "dimension=5"))
    #expect(text.contains("The Kronecker dimension 5 does not divide both sides of 'blocks.0.attn.qkv', 32 and 96."))
    #expect(text.contains("Common divisors are 1, 2, 4, 8, 16, 32."))
    #expect(!FileManager.default.fileExists(atPath: fixture.output.path + "/config.yaml"))
  }

  @Test func `a rank that is too large`() throws {
    let fixture = try ToolFixture()
    let text = try complaint(fixture, 1, fixture.training("lora", steps: 1, "--rank", "33"))
    #expect(text.contains("Rank 33 does not fit 'blocks.0.attn.qkv', whose ranks go from 1 to 32."))
  }

  @Test func `a folder of images or weights that is not there`() throws {
    let fixture = try ToolFixture()
    var flags = fixture.training()
    flags[4] = "emoji-styles"
    #expect(
      try complaint(fixture, 64, flags)
        == """
        error: --data: there is no folder of images or texts 'emoji-styles'. Give the path of a folder or run \
        'scripts/fetch emoji-styles' if it is one of those that can be fetched.

        """)
    flags[2] = "/nowhere/at/all"
    #expect(try complaint(fixture, 64, flags).contains("--model: there is no folder of weights '/nowhere/at/all'"))
  }

  @Test func `a class without images`() throws {
    let fixture = try ToolFixture()
    for index in 0..<5 {
      try FileManager.default.removeItem(at: fixture.data.appendingPathComponent("paint/red/\(index).png"))
    }
    let text = try complaint(fixture, 1, fixture.training())
    #expect(text.contains("Class 'red' of domain 'paint' in '\(fixture.data.path)' has no image."))
  }

  @Test func `a domain that lacks a class`() throws {
    let fixture = try ToolFixture()
    try FileManager.default.removeItem(at: fixture.data.appendingPathComponent("paint/red"))
    #expect(try complaint(fixture, 1, fixture.training()).contains("'paint' lacks 'red'"))
  }

  @Test func `a corrupt JPEG is named, or skipped and listed in the results`() throws {
    let fixture = try ToolFixture()
    try fixture.write(
      Data([0xFF, 0xD8, 0xFF, 0xE0, 0, 16] + Array(repeating: 7, count: 40)), to: "data/ink/red/bad.jpg")
    let text = try complaint(fixture, 1, fixture.training())
    #expect(text.contains("1 of 31 images cannot be used:\n  ink/red/bad.jpg "))
    let skipped = try fixture.run(
      fixture.training("lora", steps: 1, "--bad-images", "skip")
        .map { $0 == fixture.output.path ? fixture.root.path + "/second" : $0 })
    #expect(skipped.status == 0, "\(skipped.errors)")
    let listed = try #require(try fixture.records("second/results.jsonl")[0]["bad_images"]?.array)
    #expect(listed.count == 1 && listed[0].string?.hasPrefix("ink/red/bad.jpg ") == true)
  }

  @Test func `a pixel bomb is refused before it is decoded`() throws {
    let fixture = try ToolFixture()
    let small = fixture.data.appendingPathComponent("ink/red/0.png")
    var bytes = try Data(contentsOf: small)
    // The header's width and height, 60,000 each, and its checksum.
    bytes.replaceSubrange(16..<24, with: [0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60])
    bytes.replaceSubrange(29..<33, with: [0x0F, 0xB0, 0xE2, 0x15])
    try fixture.write(bytes, to: "data/ink/red/bomb.png")
    let text = try complaint(fixture, 1, fixture.training())
    #expect(text.contains("ink/red/bomb.png has 60000 × 60000 pixels, and the limit is 100000000."))
  }

  @Test func `truncated weights are refused`() throws {
    let fixture = try ToolFixture()
    let file = fixture.model.appendingPathComponent("model.safetensors")
    let bytes = try Data(contentsOf: file)
    try bytes.dropLast(100).write(to: file)
    let text = try complaint(fixture, 1, fixture.training())
    #expect(text.contains("model.safetensors"))
    #expect(text.contains("\(bytes.count - 100)") || text.lowercased().contains("trunc") || text.contains("100 bytes"))
  }

  @Test func `a flipped bit in an adapter's header is refused, one in a checkpoint is found`() throws {
    let fixture = try ToolFixture()
    #expect(try fixture.run(fixture.training(steps: 2)).status == 0)
    let adapter = fixture.output.appendingPathComponent("adapter/adapter_model.safetensors")
    var bytes = try Data(contentsOf: adapter)
    bytes[3] ^= 0x40
    try bytes.write(to: adapter)
    #expect(try complaint(fixture, 1, ["eval", fixture.output.path]).contains("adapter_model.safetensors"))

    let weights = fixture.output.appendingPathComponent("checkpoints/step-2/adapter.safetensors")
    bytes = try Data(contentsOf: weights)
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: weights)
    let text = try complaint(fixture, 1, ["train", "--resume", "--output", fixture.output.path])
    #expect(text.contains("adapter.safetensors"))
  }

  @Test func `an output folder that cannot be written to`() throws {
    let fixture = try ToolFixture()
    // Below a file: nobody can write there, the superuser neither.
    try fixture.write("", to: "file")
    let blocked = fixture.root.appendingPathComponent("file/run").path
    let flags = fixture.training().map { $0 == fixture.output.path ? blocked : $0 }
    #expect(try complaint(fixture, 1, flags).contains("'\(blocked)' cannot be written to: Not a directory."))

    let readOnly = fixture.root.appendingPathComponent("read-only")
    try FileManager.default.createDirectory(
      at: readOnly, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o555])
    if geteuid() != 0 {
      let flags = fixture.training().map { $0 == fixture.output.path ? readOnly.path : $0 }
      #expect(try complaint(fixture, 1, flags).contains("cannot be written to: Permission denied."))
    }
  }

  @Test func `an output folder with something else in it`() throws {
    let fixture = try ToolFixture()
    try fixture.write("dear diary", to: "output/diary.txt")
    #expect(
      try complaint(fixture, 1, fixture.training()).contains("is not empty and holds no run of graft (found diary.txt)")
    )
  }

  @Test func `an absent device`() throws {
    let fixture = try ToolFixture()
    let text = try complaint(fixture, 1, fixture.training("lora", steps: 1, "--device", "cuda:7"))
    #expect(text.hasPrefix("error: The device cuda:7 is not available:"))
    #expect(
      try complaint(fixture, 64, fixture.training("lora", steps: 1, "--device", "gpu")).contains("names no device"))
  }

  @Test func `an adapter on another network than it was trained on`() throws {
    let fixture = try ToolFixture()
    #expect(try fixture.run(fixture.training(steps: 1)).status == 0)
    let file = fixture.model.appendingPathComponent("model.safetensors")
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: file)
    #expect(try complaint(fixture, 1, ["eval", fixture.output.path]).contains("was trained on another network"))
  }

  @Test func `something that is no adapter`() throws {
    let fixture = try ToolFixture()
    #expect(try complaint(fixture, 1, ["eval", fixture.model.path]).contains("There is no adapter in"))
  }
}
