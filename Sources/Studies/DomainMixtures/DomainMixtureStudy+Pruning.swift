import Datasets
import Foundation
import Mixing
import Reports
import Training

extension DomainMixtureStudy {
  /// One measurement of the pruning curve.
  private struct PruningStep: Hashable {
    var criterion: String
    var order: PruningRecord.Order
    var density: Double
    var set: MixtureSet
  }

  /// Mixtures that are pruned: that of all domains, and one drawn for each size, the same for every kind of adapter.
  func prunedSets(_ pruning: StudyConfiguration.PruningCurve, seed: UInt64) -> [MixtureSet] {
    let drawn = pruning.sizes.map { size in
      var generator = Xoshiro256(seed: seed, stream: 0x7072_756e, UInt64(size))
      var places = Array(domains.indices)
      generator.shuffle(&places)
      return MixtureSet(places.prefix(size))
    }
    let all = MixtureSet(domains.indices)
    return [all] + drawn.filter { $0 != all }
  }

  /// Adapters pruned to each density by each criterion: alone, pruned and then mixed, mixed and then pruned; and the
  /// mixtures without any weight that members disagree in.
  @Compute
  func measurePruning(_ run: StudyRun, _ tests: TestBatches, _ progress: (Int, Int) -> Void) throws {
    guard let pruning = configuration.pruning else { return try folder(of: run).markDone() }
    let members = try members(of: run)
    let evaluator = MixtureEvaluator(
      backbone: backbone, members: members, tests: tests, precision: configuration.precision)
    let sets = prunedSets(pruning, seed: run.seed)
    let file = RecordFile<PruningRecord>(in: folder(of: run).url)
    var records = try file.read(testCounts)
    let known = Set(
      records.map {
        PruningStep(criterion: $0.criterion, order: $0.order, density: $0.density, set: MixtureSet($0.members))
      })
    let curve = pruning.densities.flatMap { density in pruning.criteria.map { (density, $0) } }
    // By density and criterion, each set's single adapters and both orders of its mixture; then the consensus of each
    // set.
    let count = curve.count * (domains.count + 2 * sets.count) + sets.count

    func measure(_ step: PruningStep, kept: Double, _ pruned: [AdapterVector], _ vector: AdapterVector) throws {
      let places = step.set.members
      var record = PruningRecord(
        criterion: step.criterion, order: step.order, density: step.density, kept: kept, members: places,
        correct: try evaluator.correct(vector, on: places))
      if pruned.count > 1 {
        let all = Array(pruned.indices)
        record.ignoringZeros = try SignStatistics(pruned, options: SignOptions(zeros: .ignore)).set(all)
        record.excludingZeros = try SignStatistics(pruned, options: SignOptions(zeros: .exclude)).set(all)
      }
      records.append(record)
      try file.write(records)
      progress(records.count, count)
    }

    for (density, criterion) in curve {
      let pruned = try domains.indices.map { place in
        try members.pruned(
          place, Pruning(density: density, criterion: criterion, seed: run.seed), in: MixtureSet(domains.indices))
      }
      for place in domains.indices {
        let step = PruningStep(
          criterion: criterion.rawValue, order: .single, density: density, set: MixtureSet([place]))
        guard !known.contains(step) else { continue }
        try measure(step, kept: pruned[place].density, [], pruned[place].vector)
      }
      for set in sets {
        let rule = Pruning(density: density, criterion: criterion, seed: run.seed)
        var step = PruningStep(criterion: criterion.rawValue, order: .pruneThenMix, density: density, set: set)
        if !known.contains(step) {
          let parts =
            set.count == domains.count ? pruned : try set.members.map { try members.pruned($0, rule, in: set) }
          let vectors = parts.map(\.vector)
          let kept = parts.reduce(0) { $0 + $1.density } / Double(parts.count)
          try measure(step, kept: kept, vectors, SparseMean.all(vectors))
        }
        step.order = .mixThenPrune
        // What compares adapters has none to compare a mixture with.
        guard !criterion.comparesAdapters, !known.contains(step) else { continue }
        let (vector, mask) = try rule(members.mean(of: set))
        try measure(step, kept: mask.density, [], vector)
      }
    }
    for set in sets {
      let step = PruningStep(
        criterion: PruningRecord.consensus, order: .mixThenPrune, density: 0, set: set)
      guard !known.contains(step) else { continue }
      let mask = try PruningMask.consensus(of: set.members.map { members.vectors[$0] })
      try measure(step, kept: mask.density, [], mask.applied(to: members.mean(of: set)))
    }
    try folder(of: run).markDone()
  }
}

extension StudyMembers {
  /// One member, pruned among those that it is mixed with.
  fileprivate func pruned(_ place: Int, _ rule: Pruning, in set: MixtureSet) throws
    -> (vector: AdapterVector, density: Double)
  {
    let others = set.members.filter { $0 != place }.map { vectors[$0] }
    let (vector, mask) = try rule(vectors[place], among: rule.criterion.comparesAdapters ? others : [])
    return (vector, mask.density)
  }

  fileprivate func mean(of set: MixtureSet) throws -> AdapterVector {
    try SparseMean.all(set.members.map { vectors[$0] })
  }
}
