import Datasets
import Foundation
import MetaTuning
import NeuralNetworks
import Reports
import Testing
import Training

@testable import Studies

@Suite struct FewShotStudyTests {
  /// Three data sets of six classes of six pictures; a class is a colour.
  private static func data(in root: URL) throws -> FewShotFolder {
    var generator = Xoshiro256(seed: 7)
    for (index, dataset) in ["ours", "theirs", "known"].enumerated() {
      for label in 0..<6 {
        let folder = root.appendingPathComponent("\(dataset)/class-\(label)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let colour = (0..<3).map { channel in 40 * ((label + index * channel) % 6) }
        for number in 0..<6 {
          let pixels = (0..<16 * 16).flatMap { _ in colour.map { UInt8($0 + generator.below(40)) } }
          try PixelImage(width: 16, height: 16, pixels: pixels).png.write(
            to: folder.appendingPathComponent("\(number).png"))
        }
      }
    }
    let classes = (0..<6).map { "\"class-\($0)\"" }
    func list(_ range: Range<Int>) -> String { "[\(classes[range].joined(separator: ", "))]" }
    try """
    {"ours": {"training": \(list(0..<2)), "validation": \(list(2..<4)), "test": \(list(4..<6))},
     "theirs": {"test": \(list(0..<6))},
     "known": {"training": \(list(0..<6))}}
    """.write(to: root.appendingPathComponent("splits.json"), atomically: true, encoding: .utf8)
    return try FewShotFolder(at: root)
  }

  private static func study(_ data: FewShotFolder, _ output: URL) throws -> FewShotStudy {
    var recipe = TrainingConfiguration(steps: 4)
    recipe.batchPerDomain = 6
    recipe.imageSize = 16
    recipe.augmentation = nil
    var pmf = MetaConfiguration(.pmf)
    pmf.steps = 3
    pmf.tasksPerStep = 1
    pmf.episodes = .fixed(ways: 2, shots: 2, queries: 2)
    pmf.augmentation = nil
    pmf.imageSize = 16
    pmf.validationInterval = 1_000
    var smat = MetaConfiguration(.smat)
    smat.steps = 3
    smat.tasksPerStep = 1
    smat.episodes = pmf.episodes
    smat.augmentation = nil
    smat.imageSize = 16
    smat.experts = 2
    var configuration = FewShotStudyConfiguration(training: ["ours"], unseen: ["theirs"])
    configuration.seeds = [0, 1]
    configuration.testEpisodes = .fixed(ways: 2, shots: 2, queries: 3)
    configuration.testCount = 5
    configuration.validationCount = 3
    configuration.reference = "PMF"
    let network = FewShotNetwork(
      "tiny",
      .pretraining(
        .init(
          UntrainedVisionTransformer(imageSize: 16, patchSize: 8, width: 12, depth: 1, heads: 2), on: ["known"],
          recipe: recipe)), imageSize: 16,
      methods: [
        FewShotMethod("PMF", pmf, rates: [0.05], scales: [1, 0]), FewShotMethod("SMAT", smat, rates: [0.05]),
      ])
    return try FewShotStudy(
      of: [network], on: data, configuration: configuration,
      images: { size, normalization, augmentation in
        try ImageExamples(
          data.folder, from: ImageFiles(paths: data.folder.samples.map { data.folder.path(of: $0) }), size: size,
          normalization: normalization, augmentation: augmentation)
      }, output: output)
  }

  @Test func `a study pretrains, meta-tunes and tests, and a second one finds all of it done`() async throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("few-shot-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    let study = try Self.study(Self.data(in: root.appendingPathComponent("data")), root.appendingPathComponent("runs"))
    #expect(study.runs.map(\.phase) == Array([[.pretraining, .frozen, .tuning, .tuning]].flatMap { $0 + $0 }))
    let first = try #require(try await Self.finished(study))
    #expect(first.report.isComplete && first.report.failures.isEmpty && first.done == 0)

    func row(_ method: String, _ scale: Double) throws -> FewShotReport.Row {
      try #require(first.report.rows.first { $0.method == method && $0.scale == scale })
    }
    let frozen = try row("", 1)
    #expect(frozen.seeds == [0, 1] && Set(frozen.datasets.keys) == ["ours", "theirs"])
    // Without its offset a meta-tuned network is the pretrained one.
    #expect(try row("PMF", 0).seen == frozen.seen && row("PMF", 0).unseen == frozen.unseen)
    #expect(try row("PMF", 0).validation == frozen.validation)
    let comparison = try #require(first.report.comparisons.first)
    #expect(comparison.method == "SMAT" && comparison.unseen.seeds.count == 2)
    let difference = try row("SMAT", 1).unseen.mean - row("PMF", 1).unseen.mean
    #expect(abs(comparison.unseen.mean - difference) < 1e-12)
    let experts = try #require(first.report.experts.first)
    #expect(experts.method == "SMAT" && experts.specialization.count == 2)
    // Masks begin almost fully open, and three steps close few of their gates.
    let overlap = try #require(experts.overlap)
    #expect(experts.union > 0.99 && overlap > 0.99 && experts.sparsity.upperBound < 0.01)
    #expect(!FileManager.default.fileExists(atPath: study.checkpoints(of: study.runs[2]).path))

    let second = try #require(try await Self.finished(study))
    #expect(second.done == study.runs.count && second.report.rows == first.report.rows)
    #expect(try study.report().markdown == first.report.markdown)
  }

  private static func finished(_ study: FewShotStudy) async throws -> (report: FewShotReport, done: Int)? {
    var done = 0
    for try await event in study {
      if case .planned(_, let before) = event { done = before }
      if case .failed(let run, let error) = event { Issue.record("\(run): \(error)") }
      if case .completed(let report) = event { return (report, done) }
    }
    return nil
  }

  @Test func `what does not fit is refused before anything starts`() throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("few-shot-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    let good = try Self.study(Self.data(in: root.appendingPathComponent("data")), root.appendingPathComponent("runs"))
    func study(_ change: (inout FewShotStudyConfiguration) -> Void) throws -> FewShotStudy {
      var configuration = good.configuration
      change(&configuration)
      return try FewShotStudy(
        of: good.networks, on: good.data, configuration: configuration, images: good.images, output: good.output)
    }
    #expect(throws: StudyError.noReference("LoRA", network: "tiny")) { try study { $0.reference = "LoRA" } }
    #expect(throws: StudyError.seeds([1, 1])) { try study { $0.seeds = [1, 1] } }
    #expect(throws: StudyError.range(setting: "test_count", value: "0", allowed: "1 to 1000000")) {
      try study { $0.testCount = 0 }
    }
    #expect(throws: StudyError.names(["ours", "ours"], of: "data sets")) { try study { $0.unseen = ["ours"] } }
    let methods = good.networks[0].methods
    func network(_ rates: [Double], _ scales: [Double]) -> FewShotNetwork {
      var network = good.networks[0]
      network.methods = [FewShotMethod("PMF", methods[0].configuration, rates: rates, scales: scales)]
      return network
    }
    for (rates, scales) in [([0.1, 0.1], [1.0]), ([], [1]), ([0.1], [1, 1]), ([0.1], [0.5])] {
      #expect(throws: StudyError.self) {
        try FewShotStudy(
          of: [network(rates, scales)], on: good.data, configuration: good.configuration, images: good.images,
          output: good.output)
      }
    }
    #expect(throws: EpisodeError.self) { try study { $0.testEpisodes = .fixed(ways: 3, shots: 1, queries: 1) } }
    #expect(!FileManager.default.fileExists(atPath: root.appendingPathComponent("runs").path))
  }

  @Test func `other groups of classes or other settings are other runs`() throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("few-shot-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    let folder = root.appendingPathComponent("data")
    let good = try Self.study(Self.data(in: folder), root)
    let names = Set(good.runs.map(\.folderName))
    #expect(names.count == good.runs.count)
    var configuration = good.configuration
    configuration.testCount += 1
    let other = try FewShotStudy(
      of: good.networks, on: good.data, configuration: configuration, images: good.images, output: root)
    // Pretraining is the same.
    #expect(Set(other.runs.map(\.folderName)).intersection(names).count == 2)
    let file = folder.appendingPathComponent("splits.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    let groups = "\"groups\": {\"all\": [" + (0..<6).map { "\"class-\($0)\"" }.joined(separator: ", ") + "]}, "
    try text.replacing(
      "{\"training\": [\"class-0\", \"class-1\"]", with: "{\(groups)\"training\": [\"class-0\", \"class-1\"]"
    )
    .write(to: file, atomically: true, encoding: .utf8)
    let grouped = try Self.study(FewShotFolder(at: folder), root)
    #expect(Set(grouped.runs.map(\.folderName)).isDisjoint(with: names))
  }
}
