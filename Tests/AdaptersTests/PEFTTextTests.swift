import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// Adapters that PEFT wrote for BERT, RoBERTa, DistilBERT and a BERT without prefix or head, with what each computes there.
@Suite final class PEFTTextTests {
  let fixtures: URL
  let folder = FileManager.default.temporaryDirectory.appending(path: "peft-\(UUID().uuidString)")

  init() throws { fixtures = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/peft") }

  deinit { try? FileManager.default.removeItem(at: folder) }

  static let families = ["bert", "minilm", "roberta", "distilbert"]
  /// What PEFT has in its file and Graft refuses, with the reason tested below.
  static let refused: Set<String> = ["bert/lora-all-linear"]

  static let cases: [String] = {
    let root = Bundle.module.resourceURL?.appending(path: "Fixtures/peft")
    return families.flatMap { family -> [String] in
      let names = try? FileManager.default.contentsOfDirectory(atPath: root?.appending(path: family).path ?? "")
      return (names ?? []).sorted().map { "\(family)/\($0)" }.filter { name in
        let folder = root?.appending(path: name)
        return !refused.contains(name)
          && FileManager.default.fileExists(atPath: folder?.appending(path: "adapter_config.json").path ?? "")
      }
    }
  }()

  func family(_ name: String) -> String { name.split(separator: "/").first.map(String.init) ?? "" }

  func backbone(_ family: String) throws -> TextTransformer {
    try TextTransformer(from: fixtures.appending(path: family), pooling: family == "bert" ? .pooler : .classToken)
  }

  func expectParity(_ model: AdaptedModel, _ name: String) throws {
    let shared = try Fixture("peft/\(family(name))/reference")
    let reference = try Fixture("peft/\(name)/reference")
    let features = try model.features(shared["input"])
    try expectClose(features, reference["features"], tolerance: 1e-5)
    #expect(try features.distance(to: shared["features"]) > 1e-2)
    guard family(name) == "bert" else { return }
    var model = model
    if model.head == nil {
      let classifier = try #require((model.backbone as? TextTransformer)?.classifier)
      let head = try Head(classes: ["a", "b", "c"], features: 12, generator: Generator(seed: 1))
      try head.weight.load(classifier.weight)
      try head.bias.load(#require(classifier.bias))
      model.head = head
    }
    try expectClose(model.logits(shared["input"]), reference["logits"], tolerance: 1e-5)
  }

  @Test func `all four families are there`() {
    #expect(Set(Self.cases.map(family)) == Set(Self.families))
    #expect(Self.cases.count == 19 + 10 + 2 * 18)
  }

  @Test(arguments: cases) func `an adapter that PEFT wrote gives its numbers`(_ name: String) throws {
    let loaded = try AdapterFolder.read(from: fixtures.appending(path: name), onto: backbone(family(name)))
    #expect(loaded.format == .peft && loaded.writer == "PEFT 0.21.2")
    let isBERT = family(name) == "bert"
    let hasHead = name.hasSuffix("-head") || name.hasSuffix("-task") || name.hasSuffix("all-biases")
    #expect((loaded.model.head != nil) == (isBERT && hasHead))
    // The heads of two layers are left out, and that is said.
    let said = loaded.notes.filter { $0.contains("a classifier of two layers") }
    #expect(said.isEmpty == !(hasHead && ["roberta", "distilbert"].contains(family(name))), "\(loaded.notes)")
    try expectParity(loaded.model, name)
  }

  @Test(arguments: cases) func `written for PEFT again, the files hold the same tensors under the same names`(
    _ name: String
  ) throws {
    let source = fixtures.appending(path: name)
    let backbone = try backbone(family(name))
    let loaded = try AdapterFolder.read(from: source, onto: backbone)
    try AdapterFolder.save(loaded.model, to: folder, as: .peft)
    let theirs = try SafetensorsFile(contentsOf: source.appending(path: "adapter_model.safetensors"))
    let ours = try SafetensorsFile(contentsOf: folder.appending(path: "adapter_model.safetensors"))
    let aside = ["minilm": ["pooler."], "roberta": ["classifier."], "distilbert": ["classifier."]][family(name)] ?? []
    func bare(_ name: String) -> String {
      ["bert.", "roberta.", "distilbert."].reduce(name) {
        $0.replacing("base_model.model.\($1)", with: "base_model.model.")
      }
    }
    let wanted = theirs.names.filter { name in !aside.contains { name.contains($0) } }
    // A head is written whole, where PEFT trained its bias alone.
    let head = name == "bert/lora-all-biases" ? ["base_model.model.classifier.weight"] : []
    #expect(Set(ours.names.map(bare)) == Set(wanted.map(bare) + head))
    let again = try AdapterFolder.read(from: folder, onto: backbone)
    try expectParity(again.model, name)
  }

  @Test(arguments: cases) func `saved in our own format, the adapter comes back as it was`(_ name: String) throws {
    let backbone = try backbone(family(name))
    let model = try AdapterFolder.load(from: fixtures.appending(path: name), onto: backbone)
    try model.save(to: folder)
    let again = try AdapterFolder.load(from: folder, onto: backbone)
    #expect(again.parameters.map(\.name) == model.parameters.map(\.name))
    for (one, other) in zip(again.parameters, model.parameters) {
      #expect(try one.value.isEqual(to: other.value), "\(one.name)")
    }
  }

  @Test func `LoRA on the pooler, which PEFT counts among all linear maps, is refused by name`() throws {
    let source = fixtures.appending(path: "bert/lora-all-linear")
    let error = try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: source, onto: backbone("bert")) }
    #expect(
      error
        == .names(
          source.appending(path: "adapter_model.safetensors").path, missing: [],
          unexpected: ["A", "B"].map { "base_model.model.bert.pooler.dense.lora_\($0).weight" }))
  }

  @Test func `what trained in the pooler is left out where features do not come from it, and that is said`() throws {
    let backbone = try backbone("minilm")
    let loaded = try AdapterFolder.read(from: fixtures.appending(path: "minilm/lora-all-biases"), onto: backbone)
    #expect(loaded.notes == ["1 tensor left out: the pooler, which the backbone's features do not come from"])
  }

  @Test func `a classifier on the pooler is refused on a backbone whose features are not the pooler's`() throws {
    let source = fixtures.appending(path: "bert/lora-head")
    let backbone = try TextTransformer(from: fixtures.appending(path: "bert"), pooling: .mean)
    let error = try thrown(AdapterFolderError.self) { _ = try AdapterFolder.load(from: source, onto: backbone) }
    #expect(
      error.description.hasSuffix(
        """
        its classifier 'classifier' is one on the pooler's output, and this backbone's features are pooled otherwise. Open \
        the backbone with the pooling "pooler".
        """))
  }

  @Test func `a head that the library has no place for stays in Graft's own file`() throws {
    for (family, pooling, isPEFTs) in [
      ("bert", TextTransformerConfiguration.Pooling.pooler, true), ("bert", .mean, false),
      ("roberta", .classToken, false),
      ("distilbert", .classToken, false),
    ] {
      let backbone = try TextTransformer(from: fixtures.appending(path: family), pooling: pooling)
      var model = try backbone.adapted(by: LoRA(rank: 2), at: .queryAndValue)
      model.head = try Head(classes: ["a", "b", "c"], features: 12, generator: Generator(seed: 1))
      try? FileManager.default.removeItem(at: folder)
      try model.save(to: folder)
      let names = try SafetensorsFile(contentsOf: folder.appending(path: "adapter_model.safetensors")).names
      #expect(names.contains("base_model.model.classifier.weight") == isPEFTs, "\(family) \(pooling)")
      #expect(FileManager.default.fileExists(atPath: folder.appending(path: "head.safetensors").path) != isPEFTs)
      #expect(try backbone.adapted(from: folder).head?.classes == ["a", "b", "c"])
    }
  }
}
