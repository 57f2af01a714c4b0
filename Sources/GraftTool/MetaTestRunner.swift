import Datasets
import Formats
import Foundation
import MetaTuning
import NeuralNetworks
import Tensors
import Training

/// `graft meta test`: rows become a table, its files and, of a model that mixes experts, a tree of the data sets.
struct MetaTestRunner: Sendable {
  let rows: [MetaTestRow]
  /// Of the rows.
  let names: [String]
  let settings: MetaTestSettings
  let console: Console

  init(rows: [MetaTestRow], settings: MetaTestSettings, console: Console) throws {
    names = try MetaTestRow.names(of: rows)
    (self.rows, self.settings, self.console) = (rows, settings, console)
  }

  private struct Prepared: Sendable {
    let network: any PretrainedNetwork
    let test: MetaTest
    let mode: TestMode
  }

  func run() async throws {
    if let output = settings.output { try OutputFolder.checkIsFree(output) }
    let network = try settings.fewShot.backbone.load()
    let data = try await settings.fewShot.load(for: network, console)
    let prepared = try prepare(network, data)
    let frozen = FrozenFeatures(of: data.examples, by: network)
    var results: [MetaTestResult] = []
    for (row, name) in zip(rows, names) { results.append(try await measure(row, name, prepared, frozen)) }
    try report(results)
  }

  // Not inlined into the asynchronous caller: Swift 6.3's optimizer crashed on the two in one function.
  @inline(never)
  private func prepare(_ network: any PretrainedNetwork, _ data: FewShotData) throws -> Prepared {
    let pools = try data.pools(.test, named: settings.datasets)
    let records = try records()
    let known = try inDomain(records, data)
    let needsOthers = settings.tuning?.search == .otherClasses
    let others = needsOthers ? try data.poolsWhereThereAre(.validation, among: nil) : []
    if needsOthers, others.isEmpty { throw FewShotError.noClasses(.validation, datasets: data.domains) }
    let test = try MetaTest(
      pools, inDomain: known, on: data.examples, episodes: settings.episodes, count: settings.count,
      seed: settings.seed, leavingOutSmallClasses: settings.fewShot.leavesOutSmallClasses)
    let mode = settings.mode(otherClasses: others)
    report(test.leftOut, "")
    report(try test.leftOut(inSearchFor: mode), " of the search for a rate")
    try check(records, test)
    return Prepared(network: network, test: test, mode: mode)
  }

  private func report(_ leftOut: [EpisodeSampler.LeftOutClass], _ place: String) {
    guard !leftOut.isEmpty else { return }
    let shown = leftOut.prefix(5).map { "\n  \($0.pool)/\($0.name): \($0.examples) examples" }.joined()
    console.warn("\(leftOut.count) classes have too few examples and are left out\(place):\(shown)")
  }

  /// What a row's model says that it was trained on.
  private struct Record {
    let row: String
    let classes: TrainedClasses?
  }

  private func records() throws -> [Record] {
    try zip(rows, names).compactMap { row, name in
      try row.model.map { Record(row: name, classes: try MetaModel.trainedClasses(in: $0.folder)) }
    }
  }

  /// As it was given, or as the first model has it; none where every row is of a network that was not meta-tuned.
  private func inDomain(_ records: [Record], _ data: FewShotData) throws -> Set<String> {
    if let given = settings.inDomain {
      for name in given where !data.domains.contains(name) {
        throw FewShotError.unknownDataset(
          name, file: nil, known: data.domains, suggestion: Suggestion.didYouMean(name, among: data.domains))
      }
      return Set(given)
    }
    if records.isEmpty { return [] }
    if let recorded = records.lazy.compactMap(\.classes).first { return recorded.inDomain }
    return try Set(settings.training ?? data.poolsWhereThereAre(.training, among: nil).map(\.name))
  }

  /// Refuses what is tested on its own classes before the first row is measured, and warns where the columns are not every row's.
  private func check(_ records: [Record], _ test: MetaTest) throws {
    let tested = Set(test.pools.map(\.name))
    func list(_ names: Set<String>) -> String { names.isEmpty ? "none" : names.sorted().joined(separator: ", ") }
    for record in records {
      guard let classes = record.classes else {
        console.warn(
          "'\(record.row)' does not say what it was trained on: whether it has seen the tested classes cannot be checked"
        )
        continue
      }
      try test.check(record.row, trainedOn: classes)
      let (own, shown) = (classes.inDomain.intersection(tested), test.inDomain.intersection(tested))
      if own != shown {
        console.warn(
          "'\(record.row)' was trained on \(list(own)) of the tested data sets, and the tables call \(list(shown)) in domain"
        )
      }
    }
  }

  private func measure(_ row: MetaTestRow, _ name: String, _ prepared: Prepared, _ frozen: FrozenFeatures) async throws
    -> MetaTestResult
  {
    let subject = try await Self.subject(row, name, prepared.network)
    let console = console
    return try await prepared.test.run(subject, mode: prepared.mode, frozen: frozen) { progress in
      let what = "\(subject.name), \(progress.dataset)\(progress.isSearching ? ", searching a rate" : "")"
      console.progress.show(
        what, progress.completed, of: progress.total,
        metrics: progress.accuracy.map { [("accuracy", Quantity.percent($0))] } ?? [])
    }
  }

  @Compute
  private static func subject(_ row: MetaTestRow, _ name: String, _ network: any PretrainedNetwork) throws
    -> MetaTestSubject
  {
    guard let folder = row.model else { return .frozen(network, name: name) }
    return .model(name, try MetaModel.load(from: folder.folder, backbone: network), scale: row.scale)
  }

  // MARK: Results

  @inline(never)
  private func report(_ results: [MetaTestResult]) throws {
    let table = try MetaTestTable(title: "Few-shot accuracy", rows: results)
    console.result(table.text)
    if let differences = try table.differences { console.result(differences) }
    try console.json(table.json.text(.readable))
    guard let output = settings.output else { return }
    let tree = results.lazy.compactMap { try? TaskTree(of: $0) }.first
    try AtomicFolder.write(to: output) { folder in
      func write(_ text: String, _ name: String) throws {
        try AtomicFile.write(text, to: folder.appendingPathComponent(name))
      }
      let differences = try table.markdownDifferences.map { "\n\($0)" } ?? ""
      try write(table.markdown + differences, "test.md")
      try write(table.csv, "test.csv")
      try write(table.json.text(.readable) + "\n", "test.json")
      if let tree { try write(tree.figure, "task-tree.svg") }
    }
    console.note("tables in \(output.path)")
  }
}
