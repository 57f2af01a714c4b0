import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// Adapters to the real PEFT and back, in the environment that `scripts/setup-peft` puts in the cache.
@Suite struct EndToEndPEFTTests {
  /// As `scripts/support/cache.py` chooses it.
  private static func python() throws -> URL {
    let environment = ProcessInfo.processInfo.environment
    func folder(_ variable: String) -> String? { environment[variable].flatMap { $0.isEmpty ? nil : $0 } }
    let parent = ((folder("XDG_CACHE_HOME") ?? "~/.cache") as NSString).expandingTildeInPath
    let cache =
      folder("GRAFT_CACHE").map { URL(fileURLWithPath: ($0 as NSString).expandingTildeInPath) }
      ?? URL(fileURLWithPath: parent).appendingPathComponent("graft")
    let python = cache.appendingPathComponent("python/peft/bin/python")
    try #require(
      FileManager.default.isExecutableFile(atPath: python.path),
      "PEFT is not in \(python.path). Run `make test`, or `scripts/setup-peft` and this test again.")
    return python
  }

  private struct Case {
    let name: String
    let backbone: any Backbone
    let family: String
    let model: AdaptedModel
  }

  /// Every method that PEFT has, on maps that its network lets it adapt.
  private static func cases(_ family: String, _ backbone: any Backbone) throws -> [Case] {
    var lora = LoRA(rank: 2, alpha: 3)
    lora.overrides["blocks.0.mlp.fc1"] = SiteOverride(rank: 3)
    lora.overrides["blocks.1.mlp.fc2"] = SiteOverride(alpha: 7)
    var owning = LoRA(rank: 2, alpha: 3)
    owning.hasBias = true
    var norms = LayerNormTuning()
    norms.only = ["blocks.1.norm2", "blocks.0.norm1"]
    let fused = ["timm", "open-clip"].contains(family)
    // PEFT wraps open_clip's attention whole, and for LoRA alone.
    let everything: Targets = family == "open-clip" ? .mlp : .allLinear
    let some: Targets = family == "open-clip" ? .mlp : [.query, .value, .fc2]
    var biased = LoRA(rank: 2, alpha: 3)
    biased.tunedTensors =
      family == "open-clip" ? [] : backbone.sites.filter { $0.role == .fc1 }.map { "\($0.name).bias" }
    var all: [(String, any AdapterConfiguration, Targets?)] = [
      ("lora", lora, .allLinear), ("lora-qkv", LoRA(rank: 2, alpha: 3), .qkv),
      ("lora-parts", LoRA(rank: 2, alpha: 5), .queryAndValue),
      ("rslora-proj", LoRA(rank: 2, alpha: 3, rankStabilized: true), .proj), ("lora-own-bias", owning, .mlp),
      ("lora-bias", biased, .fc1), ("dora", DoRA(rank: 2, alpha: 3), everything),
      ("dora-parts", DoRA(rank: 2, alpha: 3), some), ("loha", LoHa(rank: 2, alpha: 3), everything),
      ("loha-parts", LoHa(rank: 2, alpha: 3), some), ("ia3", IA3(), family == "open-clip" ? .mlp : nil),
      ("layer-norm", LayerNormTuning(), nil), ("layer-norm-two", norms, nil),
    ]
    let kronecker: Targets = family == "open-clip" ? .mlp : fused ? .allLinear : [.query, .value, .proj, .fc1, .fc2]
    for (name, configuration) in [
      ("lokr", LoKr(rank: 1, alpha: 2)), ("lokr-both", LoKr(rank: 1, alpha: 2, decomposeBoth: true)),
      ("lokr-factor", LoKr(rank: 2, alpha: 3, factor: 2)), ("lokr-whole", LoKr(rank: 8, alpha: 12)),
    ] { all.append((name, configuration, kronecker)) }
    return try all.flatMap { name, configuration, targets -> [Case] in
      var model = try adapted(backbone, configuration, targets)
      try model.adapter.perturb()
      var cases = [Case(name: "\(family)-\(name)", backbone: backbone, family: family, model: model)]
      if ["timm", "vit", "bert"].contains(family),
        ["lora", "lora-parts", "loha", "lokr", "ia3", "layer-norm"].contains(name)
      {
        model.head = try Head(classes: ["ant", "bee", "cow"], features: 12, generator: Generator(seed: 4))
        cases.append(Case(name: "\(family)-\(name)-head", backbone: backbone, family: family, model: model))
      }
      return cases
    }
  }

  private static func adapted(
    _ backbone: any Backbone, _ configuration: some AdapterConfiguration, _ targets: Targets?
  ) throws -> AdaptedModel { try backbone.adapted(by: configuration, at: targets) }

  @Test func `what Graft saves gives the same numbers in PEFT, and what PEFT saves the same in Graft`() throws {
    let fixtures = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/peft")
    let work = FileManager.default.temporaryDirectory.appending(path: "peft-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: work, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: work) }
    var cases: [Case] = []
    for family in PEFTFormatTests.families {
      cases += try Self.cases(family, VisionTransformer(from: fixtures.appending(path: family)))
    }
    for family in PEFTTextTests.families {
      let pooling = family == "bert" ? TextTransformerConfiguration.Pooling.pooler : .classToken
      cases += try Self.cases(family, TextTransformer(from: fixtures.appending(path: family), pooling: pooling))
    }
    func folder(_ name: String, _ kind: String) -> URL { work.appending(path: "\(name)-\(kind)") }
    var jobs: [JSONValue] = []
    for item in cases {
      // Graft's own folder is read by PEFT as it is.
      try item.model.save(to: folder(item.name, "adapter"))
      jobs.append([
        "backbone": .string(item.family), "adapter": .string(folder(item.name, "adapter").path),
        "changed": .string(folder(item.name, "changed").path),
        "output": .string(folder(item.name, "output.safetensors").path),
      ])
    }
    let list = work.appending(path: "jobs.json")
    try JSONValue.array(jobs).data().write(to: list)
    let process = Process()
    process.executableURL = try Self.python()
    process.arguments = ["-B", fixtures.appending(path: "round_trip.py").path, list.path]
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let said = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(said.suffix(2_000))")

    for item in cases {
      let theirs = try SafetensorsFile(contentsOf: folder(item.name, "output.safetensors"))
      let input = try Fixture("peft/\(item.family)/reference")["input"]
      try expectClose(item.model.features(input), theirs.tensor("features"), tolerance: 1e-5)
      if item.model.head != nil { try expectClose(item.model.logits(input), theirs.tensor("logits"), tolerance: 1e-5) }
      let changed = try AdapterFolder.read(from: folder(item.name, "changed"), onto: item.backbone)
      #expect(changed.format == .peft && changed.writer == "PEFT 0.21.2")
      try expectClose(changed.model.features(input), theirs.tensor("changed.features"), tolerance: 1e-5)
      #expect(try theirs.tensor("changed.features").distance(to: theirs.tensor("features")) > 1e-3, "\(item.name)")
      #expect((changed.model.head != nil) == (item.model.head != nil))
      if changed.model.head != nil {
        try expectClose(changed.model.logits(input), theirs.tensor("changed.logits"), tolerance: 1e-5)
      }
    }
    #expect(cases.count == 8 * 17 + 3 * 6)
  }
}
