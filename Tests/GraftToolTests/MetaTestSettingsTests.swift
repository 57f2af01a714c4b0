import Foundation
import Graft
import Testing

@testable import GraftTool

@Suite struct MetaTestSettingsTests {
  private func parse(_ more: String = "") throws -> MetaTestSettings {
    let root = FileManager.default.temporaryDirectory.path
    var section = Section()
    try section.add(
      YAMLFile("model: \(root)\ndata: \(root)\n\(more)", name: "test.yaml"), known: MetaTestSettings.keys)
    return try MetaTestSettings(section)
  }

  @Test func `what is left out has its default`() throws {
    let settings = try parse()
    #expect(settings.count == 600 && settings.seed == 0 && settings.episodes == .metaDataset)
    #expect(settings.datasets == nil && settings.inDomain == nil && settings.tuning == nil)
    // What a run names is not what was asked for: the models' own records come before it.
    let root = FileManager.default.temporaryDirectory.path
    var run = Section()
    try run.add(
      YAMLFile("model: \(root)\ndata: \(root)\ntraining: [scripts]", name: "config.yaml"), known: MetaSettings.keys)
    let read = try MetaTestSettings(run)
    #expect(read.inDomain == nil && read.training == ["scripts"])
    guard case .gradientFree = settings.mode(otherClasses: []) else {
      Issue.record("The default tunes.")
      return
    }
  }

  @Test func `an adapter's usual rates are tenfold and given ones as they are, of LoRA unless another is named`()
    throws
  {
    guard
      case .adapter(let lora, let tuning) = try parse("mode: adapter\nrates: [0, 1e-3]\nfolds: 3\ntuning_steps: 7")
        .mode(otherClasses: [])
    else {
      Issue.record("No adapter.")
      return
    }
    #expect(lora.adapter as? LoRA == LoRA(rank: 8, alpha: 32, dropout: 0.1) && lora.targets == .queryAndValue)
    #expect(tuning.rateFactor == 1 && tuning.steps == 7 && tuning.augmentation?.flips == true)
    guard case .supportFolds([0, 1e-3], folds: 3) = tuning.rates else {
      Issue.record("Not searched on folds: \(tuning.rates)")
      return
    }
    for search in ["folds", "official"] {
      guard case .adapter(_, let usual) = try parse("mode: adapter\nrate_search: \(search)").mode(otherClasses: [])
      else {
        Issue.record("No adapter.")
        return
      }
      #expect(usual.rateFactor == 10)
    }
    let other = try parse("adapter: {method: bitfit}\nrate_search: fixed\nrates: [1e-2]\nflips: false")
    guard case .adapter(let bias, let fixed) = other.mode(otherClasses: []), case .fixed(1e-2) = fixed.rates else {
      Issue.record("Not at a fixed rate.")
      return
    }
    #expect(bias.adapter is BiasTuning && fixed.augmentation?.flips == false && fixed.rateFactor == 1)
  }

  @Test func `the official search has the official candidates, and full tuning the rate itself`() throws {
    guard
      case .fullFineTuning(let tuning) = try parse("mode: fine-tuning\nrate_search: official").mode(otherClasses: []),
      case .official(episodes: 5, candidates: RateSearch.officialCandidates) = tuning.rates
    else {
      Issue.record("Not the official protocol.")
      return
    }
    #expect(tuning.rateFactor == 1 && tuning.optimizer == OptimizerSettings(.adamW, weightDecay: 0.01))
  }

  @Test(arguments: [
    ("mode: fine-tunning", "Did you mean 'fine-tuning'"), ("test_episodes: 0", "1 to 1000000"),
    ("mode: adapter\nrate_search: fixed", "--rates 1e-3"), ("mode: adapter\nrates: [-1]", "0 or above"),
    ("mode: adapter\nfolds: 1", "2 to 1000000"), ("mode: adapter\nrate_search: fold", "Did you mean 'folds'"),
    ("test_seed: -3", "0 or more"), ("adapter: {method: lorra}", "Did you mean"),
    ("episodes: {ways: 5}", "shots"), ("mode: fine-tuning\nadapter: {method: lora}", "trains no adapter"),
    ("mode: gradient-free\nadapter: {method: lora}", "Leave the mode out"),
    ("rates: [1e-3]", "'rates' is a setting of tuning"), ("flips: false", "Add --mode fine-tuning"),
  ])
  func `a setting that cannot be is refused, with what can be`(lines: String, remedy: String) throws {
    let error = #expect(throws: ConfigurationError.self) { try parse(lines) }
    #expect("\(try #require(error))".contains(remedy), "\(String(describing: error))")
  }

  @Test func `a row is the frozen network, or a folder with how much of it is taken`() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("rows-\(UUID().uuidString)")
    let run = folder.appendingPathComponent("smat/meta")
    try FileManager.default.createDirectory(at: run, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data("{}".utf8).write(to: run.appendingPathComponent("meta.json"))
    let path = folder.appendingPathComponent("smat").path
    func names(_ rows: String...) throws -> [String] { try MetaTestRow.names(of: rows.map(MetaTestRow.init)) }
    #expect(try names("frozen", path, "\(path)@0.5") == ["Frozen", "smat", "smat × 0.5"])
    #expect(try MetaTestRow(path).scale == 1)
    let half = try MetaTestRow("\(path)@0.5")
    #expect(half.scale == 0.5)
    // Temporary folders may be reached by another path.
    #expect(half.model?.folder.path.hasSuffix("smat/meta") == true)
    for scale in ["half", "2", "-0.5", "nan"] {
      let error = #expect(throws: ConfigurationError.self) { try MetaTestRow("\(path)@\(scale)") }
      #expect(error?.description.contains("from 0, the pretrained network, to 1") == true)
    }
    // The same model, by the folder of its run and by its own.
    let twice = #expect(throws: ConfigurationError.self) { try names(path, "frozen", "\(path)/meta") }
    #expect(twice?.description.contains("'smat' is there twice") == true)
    let other = folder.appendingPathComponent("again/smat")
    try FileManager.default.createDirectory(at: other, withIntermediateDirectories: true)
    try Data("{}".utf8).write(to: other.appendingPathComponent("meta.json"))
    #expect(
      try names("\(path)@0.5", other.path, "frozen")
        == ["\(folder.lastPathComponent)/smat × 0.5", "again/smat", "Frozen"])
    #expect(throws: MetaFolder.Missing.self) { try MetaTestRow(folder.path) }
  }
}
