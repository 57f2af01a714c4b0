import Foundation
import Mixing
import Reports
import Training

extension DomainMixtureStudy {
  /// The sets of a run: a part of those chosen, or what orders of adding domains come by beside them.
  func sets(of run: StudyRun, _ members: StudyMembers) throws -> [MixtureSet] {
    let chosen = configuration.sets.sets(of: domains.count)
    guard run.phase == .orders else {
      let start = (run.part ?? 0) * Self.setsInPart
      return Array(chosen[start..<Swift.min(start + Self.setsInPart, chosen.count)])
    }
    let orders = try AdditionOrders(
      names: domains.map(\.name), pairs: members.signs(.raw).pairs, similarities: try similarities(),
      randomOrders: configuration.randomOrders)
    return Set(orders.sets).subtracting(chosen).sorted()
  }

  func similarities() throws -> [[Double]] {
    guard let run = runs.first(where: { $0.phase == .similarity }) else { return [] }
    let file = RecordFile<SimilarityRecord>(in: folder(of: run).url)
    guard let record = try file.read(testCounts).first else {
      throw StudyError.damaged(file: file.url.path, problem: "does not have the similarities of the domains")
    }
    return record.similarities
  }

  /// Every set of the run that has no record yet.
  @Compute
  func measureMixtures(_ run: StudyRun, _ tests: TestBatches, _ progress: (Int, Int) -> Void) throws {
    let members = try members(of: run)
    let (raw, delta) = (try members.signs(.raw), try members.signs(.delta))
    let sets = try sets(of: run, members)
    let file = RecordFile<MixtureRecord>(in: folder(of: run).url)
    var records = try file.read(testCounts)
    let known = Set(records.map(\.set))
    let evaluator = MixtureEvaluator(
      backbone: backbone, members: members, tests: tests, precision: configuration.precision)
    var sum = MixtureSum(of: members.vectors)
    for set in sets where !known.contains(set) {
      let places = set.members
      let correct = try evaluator.correct(sum.mean(of: set), on: places)
      records.append(
        MixtureRecord(
          members: places, correct: correct,
          signs: MixtureRecord.Signs(
            pairwise: raw.set(places, .pairwise), any: raw.set(places, .any), minority: raw.set(places, .minority),
            pairwiseDelta: delta.set(places, .pairwise), anyDelta: delta.set(places, .any),
            minorityDelta: delta.set(places, .minority))))
      try file.write(records)
      progress(records.count, sets.count)
    }
    try folder(of: run).markDone()
  }
}
