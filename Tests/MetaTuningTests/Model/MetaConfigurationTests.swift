import Datasets
import Foundation
import MetaTuning
import Testing
import Training

@Suite struct MetaConfigurationTests {
  private func read(_ json: String) throws -> MetaConfiguration {
    try JSONDecoder().decode(MetaConfiguration.self, from: Data(json.utf8))
  }

  @Test func `presets say what the accounts differ in`() {
    let paper = MetaConfiguration(.smat, preset: .paper)
    let code = MetaConfiguration(.smat, preset: .officialCode)
    let recommended = MetaConfiguration(.smat)
    #expect(paper.divergence == .forward && paper.innerRate == nil && !paper.distillsPretrained)
    #expect(code.divergence == .reverse && code.innerRate == 1e-3 && code.distillsPretrained)
    #expect(recommended.divergence == .forward && recommended.innerRate == nil && !recommended.distillsPretrained)
    // A rate of 1e-3 ruins a pretrained ViT-S/14.
    #expect(recommended.deltaRate == 1e-5)
    #expect(code.deltaRate == 1e-4 && code.deltaDecay == 1e-4 && code.hypernetworkRate == 1e-4)
    #expect(abs(code.maskRatePerWeight * 21_665_664 - 1e6) < 1e-3)
    let pmf = MetaConfiguration(.pmf, preset: .paper)
    #expect(pmf.distillation == 0 && pmf.deltaDecay == 0 && pmf.deltaRate == 5e-5)
    // What is compared decays alike.
    #expect(MetaConfiguration(.pmf).deltaDecay == recommended.deltaDecay)
  }

  @Test func `the code's schedule has the factors of its epochs`() {
    var configuration = MetaConfiguration(.smat, preset: .officialCode)
    configuration.steps = 25_000
    // 500 steps of 4 tasks are an epoch.
    for (epoch, factor) in [(0, 0), (1, 0.2), (5, 1), (10, 0.96985), (25, 0.58682), (50, 0)] {
      #expect(abs(configuration.rateFactor(atStep: epoch * 500) - factor) < 5e-6, "epoch \(epoch)")
    }
    #expect(configuration.rateFactor(atStep: 999) == 0.2)
  }

  @Test func `the cosine rises over its share of the steps and ends near 0`() {
    var configuration = MetaConfiguration(.smat)
    configuration.steps = 100
    configuration.warmup = 0.1
    #expect(abs(configuration.rateFactor(atStep: 0) - 0.1) < 1e-12)
    #expect(configuration.rateFactor(atStep: 9) == 1)
    #expect(configuration.rateFactor(atStep: 10) == 1)
    #expect(abs(configuration.rateFactor(atStep: 55) - 0.5) < 1e-12)
    #expect(abs(configuration.rateFactor(atStep: 99) - 0.000305) < 1e-6)
    configuration.schedule = .constant
    #expect(configuration.rateFactor(atStep: 99) == 1)
    #expect(abs(configuration.rateFactor(atStep: 4) - 0.5) < 1e-12)
  }

  @Test func `the temperature falls by the tasks seen`() {
    let code = MetaConfiguration(.smat, preset: .officialCode)
    for (tasks, temperature) in [(0, 5), (4_000, 4), (18_000, 0.5), (50_000, 0.5)] {
      #expect(abs(code.temperature(after: tasks) - temperature) < 1e-12)
    }
    var recommended = MetaConfiguration(.smat)
    recommended.steps = 100
    recommended.tasksPerStep = 2
    #expect(abs(recommended.temperature(after: 36) - 2.75) < 1e-12)
    #expect(recommended.temperature(after: 72) == 0.5)
  }

  @Test func `every setting survives a file`() throws {
    var configuration = MetaConfiguration(.softMerge, preset: .officialCode)
    configuration.steps = 7
    configuration.schedule = .constant
    configuration.sparsity = nil
    configuration.episodes = .fixed(ways: 5, shots: 1, queries: 3)
    configuration.innerRate = nil
    configuration.augmentation = nil
    configuration.temperatureTasks = 12
    configuration.checkpointInterval = 3
    configuration.precision = .bfloat16
    let data = try JSONEncoder().encode(configuration)
    #expect(try JSONDecoder().decode(MetaConfiguration.self, from: data) == configuration)
    // A key for each property: a setting that coding forgets would be read back as its default.
    let properties = Mirror(reflecting: configuration).children.count
    #expect(MetaConfiguration.keys.count == properties)
  }

  @Test func `a file changes the preset it names`() throws {
    let read = try read(#"{"method": "smat", "preset": "official_code", "experts": 4, "inner_rate": null}"#)
    #expect(read.experts == 4 && read.innerRate == nil && read.divergence == .reverse)
    #expect(try self.read("{}") == MetaConfiguration(.smat))
  }

  @Test func `unknown keys are refused with a suggestion`() throws {
    let error = #expect(throws: MetaConfigurationError.self) { _ = try read(#"{"sparsty": 0.9}"#) }
    #expect(error?.description == "Meta-tuning has no setting 'sparsty'. Did you mean 'sparsity'?")
  }

  @Test(arguments: [
    #"{"sparsity": 0}"#, #"{"sparsity": 1}"#, #"{"sparsity": -0.5}"#, #"{"distillation": 1.5}"#, #"{"steps": 0}"#,
    #"{"temperature_end": 9}"#, #"{"delta_rate": 0}"#, #"{"warmup": 1}"#, #"{"inner_rate": 0}"#,
  ])
  func `values out of their range are refused, naming the key`(_ json: String) throws {
    let error = try #require(#expect(throws: MetaConfigurationError.self) { _ = try read(json) })
    let key = json.split(separator: "\"")[1]
    #expect(error.description.hasPrefix("'\(key)' cannot be "))
    if key == "sparsity" { #expect(error.description.contains("or null for masks that train without a target")) }
  }

  @Test func `the code's schedule is refused where all steps lie in the epoch that trains nothing`() throws {
    for preset in [MetaPreset.paper, .officialCode] {
      var configuration = MetaConfiguration(.smat, preset: preset)
      configuration.steps = 500
      let error = #expect(throws: MetaConfigurationError.nothingTrains(tasks: 2_000, epoch: 2_000)) {
        try configuration.validate()
      }
      #expect(error?.description.contains("or another schedule: cosine") == true)
      configuration.steps = 501
      try configuration.validate()
      #expect(configuration.rateFactor(atStep: 499) == 0 && configuration.rateFactor(atStep: 500) == 0.2)
      configuration.steps = 1
      configuration.schedule = .cosine
      try configuration.validate()
    }
  }

  @Test func `episodes that cannot be are refused`() {
    #expect(throws: EpisodeError.self) { try read(#"{"episodes": {"ways": 1, "shots": 1, "queries": 1}}"#) }
  }
}
