import Datasets
import Formats
import Foundation
import NeuralNetworks
import Studies
import Training

/// `graft meta study`: the pieces of work that are missing, then tables and drawings of everything recorded.
struct FewShotStudyRunner {
  let settings: FewShotStudySettings
  let console: Console

  func run(reportOnly: Bool) async throws {
    guard let folder = settings.output else { throw ConfigurationError.missing("output", flag: "--output") }
    let output = try OutputFolder(shared: folder, settings: settings.resolved())
    let study = try study(output: output.folder("runs"))
    let report = try await reportOnly ? study.report() : console.follow(study)
    let results = output.folder("results")
    try report.write(to: results)
    console.result(report.markdown)
    try console.json(report.json.text(.readable))
    console.note("tables and drawings in \(results.path)")
    guard report.failures.isEmpty else { throw StudyRunsFailed(report.failures) }
  }

  /// What would be done.
  func list() throws {
    let study = try study(output: FileManager.default.temporaryDirectory.appendingPathComponent("none"))
    var table = TextTable(header: ["Data set", "images", "training classes", "validation", "test"])
    for name in study.configuration.training + study.configuration.unseen {
      func classes(_ split: ClassSplit) -> String {
        let found = try? study.data.pools(split, named: [name])
        return Quantity.count(found?.first?.classes.count ?? 0)
      }
      let images = study.data.folder.domains.firstIndex(of: name).map { study.data.folder.ranges[$0].count } ?? 0
      table.rows.append([name, Quantity.count(images), classes(.training), classes(.validation), classes(.test)])
    }
    console.result("Data: \(settings.data.path)\n\(table.text)\n\(study.runs.count) pieces of work:")
    for run in study.runs { console.result("  \(run)") }
    try console.json(JSONValue.array(study.runs.map { .string($0.folderName) }).text(.readable))
  }

  private func study(output: URL) throws -> FewShotStudy {
    let data = try FewShotFolder(at: settings.data.resolvingSymlinksInPath())
    let networks = try settings.networks.map { network in
      let source: FewShotNetwork.Source =
        switch network.source {
        case .model(let model): .pretrained(try model.loadForImages("graft meta study"))
        case .pretraining(let pretraining): .pretraining(pretraining)
        }
      return FewShotNetwork(network.name, source, imageSize: network.imageSize, methods: network.methods)
    }
    return try FewShotStudy(
      of: networks, on: data, configuration: settings.study,
      images: { size, normalization, augmentation in
        let cache = try await ImageCache.open(for: data.folder, size: size, in: AssetFolder.imageCache, policy: .error)
        return try ImageExamples(
          data.folder, from: cache, size: size, normalization: normalization, augmentation: augmentation)
      }, output: output)
  }
}
