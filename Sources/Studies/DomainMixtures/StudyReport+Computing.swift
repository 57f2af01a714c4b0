import Mixing
import Reports

extension StudyReport.Kind {
  init(
    name: String, parameters: Int, space: MixingSpace, cells: [MeasuredCell], domains: [String], testCounts: [Int],
    similarities: [[Double]], randomOrders: Int
  ) throws {
    self.name = name
    self.parameters = parameters
    self.space = space
    seeds = cells.map(\.cell.seed)
    single = cells.isEmpty ? [] : domains.indices.compactMap { domain in .init(cells.map { $0.single[domain] }) }
    sizes = (1...domains.count).compactMap { StudyReport.Size($0, cells) }
    correlations = cells.isEmpty ? [] : StudyReport.Correlation.Signs.allCases.map { .init($0, cells, domains.count) }
    pairs = Self.pairs(cells, domains.count, \.pairwise)
    pairsDelta = Self.pairs(cells, domains.count, \.pairwiseDelta)
    orders = try Self.orders(cells, domains, similarities, randomOrders)
    pruning = Self.pruning(cells, testCounts)
    attacks = Self.attacks(cells)
    points = cells.flatMap { cell in
      cell.records.filter { $0.members.count > 1 }.compactMap { record in
        Statistics.mean(cell.relative(record)).map {
          .init(size: record.members.count, signs: record.signs.pairwise, accuracy: $0)
        }
      }
    }
  }

  /// The mean over seeds; 0 on the diagonal.
  private static func pairs(
    _ cells: [MeasuredCell], _ count: Int, _ value: KeyPath<MixtureRecord.Signs, Double>
  ) -> [[Double]] {
    var pairs = [[Double]](repeating: [Double](repeating: 0, count: count), count: count)
    for cell in cells {
      for record in cell.records where record.members.count == 2 {
        let share = record.signs[keyPath: value] / Double(cells.count)
        pairs[record.members[0]][record.members[1]] += share
        pairs[record.members[1]][record.members[0]] += share
      }
    }
    return pairs
  }

  private static func orders(
    _ cells: [MeasuredCell], _ domains: [String], _ similarities: [[Double]], _ randomOrders: Int
  ) throws -> [StudyReport.OrderCurve] {
    // By rule, then cell, then size.
    var means: [AdditionOrders.Rule: [[Double?]]] = [:]
    for cell in cells {
      let orders = try AdditionOrders(
        names: domains, pairs: pairs([cell], domains.count, \.pairwise), similarities: similarities,
        randomOrders: randomOrders)
      for (rule, targets) in orders.orders {
        let bySize = domains.indices.map { size -> Double? in
          let values = targets.enumerated().flatMap { target, orders in
            orders.map { cell.accuracy(MixtureSet($0[...size]), on: target) }
          }
          return values.contains(nil) ? nil : Statistics.mean(values.compactMap(\.self))
        }
        means[rule, default: []].append(bySize)
      }
    }
    return AdditionOrders.Rule.allCases.compactMap { rule in
      guard let cells = means[rule] else { return nil }
      let larger = cells.compactMap { Statistics.mean($0.dropFirst().compactMap(\.self)) }
      return StudyReport.OrderCurve(
        rule: rule.rawValue,
        accuracies: domains.indices.map { size in StudyReport.Estimate(cells.compactMap { $0[size] }) },
        mean: StudyReport.Estimate(larger))
    }
  }

  private static func pruning(_ cells: [MeasuredCell], _ testCounts: [Int]) -> [StudyReport.PruningPoint] {
    struct Key: Hashable {
      var criterion: String
      var order: String
      var size: Int
      var density: Double
    }
    func accuracy(_ record: PruningRecord) -> Double {
      zip(record.members, record.correct).reduce(0) { $0 + Double($1.1) / Double(testCounts[$1.0]) }
        / Double(record.members.count)
    }
    var order: [Key] = []
    // By cell: single adapters are averaged over domains before seeds.
    var found: [Key: [[PruningRecord]]] = [:]
    for cell in cells {
      var own: [Key: [PruningRecord]] = [:]
      for record in cell.cell.pruning {
        let key = Key(
          criterion: record.criterion, order: record.order.rawValue, size: record.members.count,
          density: record.density)
        if found[key] == nil, own[key] == nil { order.append(key) }
        own[key, default: []].append(record)
      }
      for (key, records) in own { found[key, default: []].append(records) }
    }
    return order.compactMap { key in
      let seeds = found[key] ?? []
      func estimate(_ value: (PruningRecord) -> Double?) -> StudyReport.Estimate? {
        .init(seeds.compactMap { Statistics.mean($0.compactMap(value)) })
      }
      guard let kept = estimate({ $0.kept }), let accuracy = estimate(accuracy) else { return nil }
      return StudyReport.PruningPoint(
        criterion: key.criterion, order: key.order, size: key.size,
        density: key.criterion == PruningRecord.consensus ? nil : key.density, kept: kept, accuracy: accuracy,
        ignoringZeros: estimate(\.ignoringZeros), excludingZeros: estimate(\.excludingZeros))
    }
  }

  private static func attacks(_ cells: [MeasuredCell]) -> [StudyReport.AttackResult] {
    let records = cells.map(\.cell.attacks)
    var names: [String] = []
    for record in records.joined() where !names.contains(record.attack) { names.append(record.attack) }
    let sizes = Set(records.joined().map(\.members.count)).sorted()
    return names.flatMap { name in
      sizes.compactMap { size -> StudyReport.AttackResult? in
        let seeds = records.map { $0.filter { $0.attack == name && $0.members.count == size } }.filter { !$0.isEmpty }
        func share(_ part: (AttackRecord) -> Int) -> StudyReport.Estimate? {
          .init(seeds.compactMap { Statistics.mean($0.map { Double(part($0)) / Double(max(1, $0.examples)) }) })
        }
        guard let before = share(\.correct), let after = share(\.withstood) else { return nil }
        let all = seeds.joined()
        let words = all.reduce(0) { $0 + $1.words }
        return StudyReport.AttackResult(
          attack: name, size: size, before: before, after: after,
          queries: Double(all.reduce(0) { $0 + $1.queries }) / Double(max(1, all.reduce(0) { $0 + $1.examples })),
          changed: words == 0 ? nil : Double(all.reduce(0) { $0 + $1.changedWords }) / Double(words))
      }
    }
  }
}

extension StudyReport.Size {
  fileprivate init?(_ size: Int, _ cells: [MeasuredCell]) {
    let groups = cells.map { cell in
      let records = cell.records.filter { $0.members.count == size }
      return (
        accuracies: records.flatMap { cell.accuracies[$0.set] ?? [] }, relative: records.flatMap(cell.relative)
      )
    }
    let (all, relative) = (groups.flatMap(\.accuracies), groups.flatMap(\.relative))
    guard let accuracy = StudyReport.Estimate(groups.compactMap { Statistics.mean($0.accuracies) }),
      let relativeMean = StudyReport.Estimate(groups.compactMap { Statistics.mean($0.relative) }),
      let low = all.min(), let high = all.max(), let relativeLow = relative.min(), let relativeHigh = relative.max(),
      let deviation = Statistics.standardDeviation(all, .population),
      let relativeDeviation = Statistics.standardDeviation(relative, .population)
    else { return nil }
    count = size
    measured = all.count
    self.accuracy = accuracy
    (minimum, maximum, self.deviation) = (low, high, deviation)
    self.relative = relativeMean
    (relativeMinimum, relativeMaximum, self.relativeDeviation) = (relativeLow, relativeHigh, relativeDeviation)
  }
}

extension StudyReport.Correlation.Signs {
  var value: KeyPath<MixtureRecord.Signs, Double> {
    switch self {
    case .pairwise: \.pairwise
    case .any: \.any
    case .minority: \.minority
    case .pairwiseDelta: \.pairwiseDelta
    case .anyDelta: \.anyDelta
    case .minorityDelta: \.minorityDelta
    }
  }
}

extension StudyReport.Correlation {
  fileprivate init(_ signs: Signs, _ cells: [MeasuredCell], _ domains: Int) {
    typealias Observation = SignAccuracyCorrelation.Observation
    let whole = cells.map { cell in
      SignAccuracyCorrelation(
        cell.mixed.compactMap { record in
          Statistics.mean(cell.relative(record)).map {
            Observation(size: record.members.count, signs: record.signs[keyPath: signs.value], accuracy: $0)
          }
        })
    }
    let targets = cells.map { cell in
      (0..<domains).map { target in
        SignAccuracyCorrelation(
          cell.mixed.compactMap { record in
            cell.accuracy(record.set, on: target).map {
              Observation(size: record.members.count, signs: record.signs[keyPath: signs.value], accuracy: $0)
            }
          })
      }
    }
    self.signs = signs
    pearson = .init(whole.compactMap(\.overall.pearson))
    spearman = .init(whole.compactMap(\.overall.spearman))
    var within: [Int: StudyReport.Estimate] = [:]
    for size in 2...max(2, domains) {
      let values = whole.compactMap { $0.within.first { $0.size == size }?.correlation.spearman }
      if let estimate = StudyReport.Estimate(values) { within[size] = estimate }
    }
    self.within = within
    withinMean = .init(whole.compactMap { Statistics.mean($0.within.compactMap(\.correlation.spearman)) })
    perTarget = .init(targets.compactMap { Statistics.mean($0.compactMap(\.overall.spearman)) })
    perTargetWithin = .init(
      targets.compactMap { targets in
        Statistics.mean(targets.flatMap { $0.within.compactMap(\.correlation.spearman) })
      })
  }
}

extension MeasuredCell {
  /// Sets of two or more.
  fileprivate var mixed: [MixtureRecord] { records.filter { $0.members.count > 1 } }
}
