import Datasets
import Foundation
import Reports

extension FewShotReport {
  typealias Measured = (run: FewShotRun, result: FewShotResult)

  mutating func compute(_ measured: [Measured]) {
    var groups: [[Measured]] = []
    var places: [[String]: Int] = [:]
    for one in measured {
      let key = [one.run.backbone, one.run.method, one.run.rate.map { "\($0)" } ?? ""]
      if let place = places[key] {
        groups[place].append(one)
      } else {
        places[key] = groups.count
        groups.append([one])
      }
    }
    rows = groups.flatMap { group in
      var scales: [Double] = []
      for test in group[0].result.tests where !scales.contains(test.scale) { scales.append(test.scale) }
      return scales.compactMap { row(group, scale: $0) }
    }
    for group in groups where group[0].run.rate != nil {
      let run = group[0].run
      if run.method != reference,
        let other = groups.first(where: {
          $0[0].run.backbone == run.backbone && $0[0].run.method == reference && $0[0].run.rate == run.rate
        }), let comparison = comparison(group, with: other)
      {
        comparisons.append(comparison)
      }
      if let experts = experts(group) { self.experts.append(experts) }
    }
  }

  private func row(_ group: [Measured], scale: Double) -> Row? {
    func estimate(_ names: [String]) -> Estimate? {
      Estimate(
        group.compactMap { one in
          let means = names.compactMap { name in
            one.result.tests.first { $0.dataset == name && $0.scale == scale }
              .flatMap { Statistics.mean($0.accuracies) }
          }
          return means.count == names.count ? Statistics.mean(means) : nil
        })
    }
    guard let seen = estimate(seenDatasets), let unseen = estimate(unseenDatasets) else { return nil }
    let run = group[0].run
    return Row(
      backbone: run.backbone, method: run.method, rate: run.rate, scale: scale, seeds: group.map(\.run.seed),
      validation: Estimate(
        group.compactMap { one in one.result.validation.first { $0.scale == scale }?.accuracy }),
      seen: seen, unseen: unseen,
      datasets: Dictionary(
        uniqueKeysWithValues: (seenDatasets + unseenDatasets).compactMap { name in
          estimate([name]).map { (name, $0) }
        }),
      seconds: Statistics.median(group.map(\.result.seconds)) ?? 0)
  }

  // MARK: Against the reference

  private func comparison(_ group: [Measured], with reference: [Measured]) -> Comparison? {
    let pairs = group.compactMap { one in
      reference.first { $0.run.seed == one.run.seed }.map { (one.result, $0.result) }
    }
    guard !pairs.isEmpty else { return nil }
    /// The differences of the episodes of one data set and seed; those of several data sets are averaged, episode by episode.
    func differences(_ pair: (FewShotResult, FewShotResult), _ names: [String]) -> [Double] {
      let each = names.map { name in
        zip(Self.accuracies(pair.0, name), Self.accuracies(pair.1, name)).map { $0 - $1 }
      }
      let count = each.map(\.count).min() ?? 0
      return (0..<count).map { place in each.reduce(0) { $0 + $1[place] } / Double(each.count) }
    }
    func difference(_ names: [String]) -> Difference {
      let bySeed = pairs.map { differences($0, names) }
      let all = bySeed.flatMap { $0 }
      return Difference(
        mean: Statistics.mean(all) ?? .nan, interval: Statistics.confidenceInterval(all),
        seeds: bySeed.map { Statistics.mean($0) ?? .nan })
    }
    let run = group[0].run
    return Comparison(
      backbone: run.backbone, method: run.method, reference: self.reference, rate: run.rate ?? 0,
      seen: difference(seenDatasets), unseen: difference(unseenDatasets),
      datasets: Dictionary(
        uniqueKeysWithValues: (seenDatasets + unseenDatasets).map { ($0, difference([$0])) }))
  }

  private static func accuracies(_ result: FewShotResult, _ name: String) -> [Double] {
    result.tests.first { $0.dataset == name && $0.scale == 1 }?.accuracies ?? []
  }

  // MARK: Experts

  private func experts(_ group: [Measured]) -> Experts? {
    let all = group.compactMap(\.result.experts)
    let sparsities = all.flatMap(\.sparsity)
    guard let least = sparsities.min(), let most = sparsities.max() else { return nil }
    let overlaps = all.flatMap(\.overlaps)
    let density = 1 - (Statistics.mean(sparsities) ?? 0)
    func mean(_ value: (FewShotResult.Experts) -> Double) -> Double { Statistics.mean(all.map(value)) ?? 0 }
    let run = group[0].run
    return Experts(
      backbone: run.backbone, method: run.method, rate: run.rate ?? 0, sparsity: least...most, union: mean(\.union),
      overlap: Statistics.mean(overlaps),
      overlaps: overlaps.min().flatMap { least in overlaps.max().map { least...$0 } },
      chance: overlaps.isEmpty ? nil : density / (2 - density), between: mean(\.between),
      specialization: group.compactMap { Self.permutationTest($0.result, seed: $0.run.seed) })
  }

  /// How far the data sets' mean α lie from the mean of all, squared and summed, against 999 random relabellings of the
  /// episodes: the fraction, the true labels counted in, that lies as far. nil where nothing is mixed.
  static func permutationTest(_ result: FewShotResult, seed: UInt64, draws: Int = 999) -> Double? {
    let tests = result.tests.filter { $0.scale == 1 && !$0.mixings.isEmpty }
    guard tests.count > 1, let width = tests[0].mixings.first?.count, width > 1 else { return nil }
    let counts = tests.map(\.mixings.count)
    var episodes = tests.flatMap(\.mixings)
    guard episodes.allSatisfy({ $0.count == width }) else { return nil }
    func spread() -> Double {
      let overall = (0..<width).map { expert in
        episodes.reduce(0) { $0 + $1[expert] } / Double(episodes.count)
      }
      var (start, sum) = (0, 0.0)
      for count in counts {
        for expert in 0..<width {
          let mean = episodes[start..<start + count].reduce(0) { $0 + $1[expert] } / Double(count)
          sum += Double(count) * (mean - overall[expert]) * (mean - overall[expert])
        }
        start += count
      }
      return sum
    }
    let found = spread()
    var generator = Xoshiro256(seed: seed, stream: 0x7065_726d)
    var asFar = 1
    for _ in 0..<draws {
      generator.shuffle(&episodes)
      if spread() >= found * (1 - 1e-12) { asFar += 1 }
    }
    return Double(asFar) / Double(draws + 1)
  }
}
