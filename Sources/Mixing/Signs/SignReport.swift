import Adapters
import Foundation
import Reports

/// What the signs of adapters say about mixing them, arranged to be read.
public struct SignReport: Codable, Sendable {
  /// The FSD of all the adapters together, by every reducer.
  public struct Whole: Codable, Hashable, Sendable {
    public let pairwise: Double
    public let any: Double
    public let minority: Double
  }

  public struct EntryValue: Codable, Hashable, Sendable {
    public let name: String
    public let block: Int?
    public let weights: Int
    /// By the options' reducer.
    public let value: Double
  }

  public struct BlockValue: Codable, Hashable, Sendable {
    /// nil for what is outside the blocks.
    public let block: Int?
    public let value: Double
  }

  public let adapters: [String]
  public let options: SignOptions
  /// Of one adapter.
  public let weights: Int
  public let pairs: [[Double]]
  /// Of all the adapters; 0 for a single one.
  public let whole: Whole
  public let entries: [EntryValue]
  public let blocks: [BlockValue]
  /// nil where an adapter is zero.
  public let cosines: [[Double?]]
  /// nil where two adapters share no change of low rank; empty where it was not asked for.
  public let overlaps: [[SubspaceOverlap?]]
  public let warnings: [String]

  /// Pairs this near to 1/2 have the signs of chance.
  public static let chance = 0.49...0.51

  public init(
    _ statistics: SignStatistics, cosines: [[Double?]] = [], overlaps: [[SubspaceOverlap?]] = [],
    initialSeeds: [UInt64?] = []
  ) {
    let members = Array(statistics.names.indices)
    adapters = statistics.names
    options = statistics.options
    weights = statistics.weightCount
    pairs = statistics.pairs
    whole = Whole(
      pairwise: statistics.set(members, .pairwise), any: statistics.set(members, .any),
      minority: statistics.set(members, .minority))
    entries = zip(statistics.entries, statistics.byEntry(members)).map {
      EntryValue(name: $0.name, block: $0.block, weights: $0.count, value: $1)
    }
    blocks = statistics.byBlock(members).map { BlockValue(block: $0.block, value: $0.value) }
    self.cosines = cosines
    self.overlaps = overlaps
    warnings = Self.warnings(statistics, initialSeeds)
  }

  /// The report of adapters of one backbone, in the options' space; overlaps where their changes are linear.
  ///
  /// - Throws: as `SignStatistics(of:names:options:)`.
  public init(of models: [AdaptedModel], names: [String], options: SignOptions = SignOptions()) throws {
    let statistics = try SignStatistics(of: models, names: names, options: options)
    let cosines: [[Double?]]
    switch options.space {
    case .delta: cosines = try AdapterCosines.between(changesOf: models, names: names)
    case .factors:
      let initial = try options.reference == .raw ? nil : SignStatistics.initial(of: models, names: names)
      cosines = try AdapterCosines.between(
        models.map { try AdapterVector($0.adapter) }, initial: initial?.map { try AdapterVector($0.adapter) })
    }
    let areLinear = models.allSatisfy { $0.adapter.configuration.obstacleToMerging == nil }
    self.init(
      statistics, cosines: cosines, overlaps: areLinear ? try SubspaceOverlap.between(models, names: names) : [],
      initialSeeds: models.map(\.adapter.initialSeed))
  }

  /// Whether averaging these adapters can be expected to be of use: their starts must be the same, and signs that disagree as often
  /// as chance has it are those of adapters that have nothing to do with each other.
  private static func warnings(_ statistics: SignStatistics, _ seeds: [UInt64?]) -> [String] {
    var warnings: [String] = []
    let known = Set(seeds.compactMap(\.self))
    if known.count > 1 {
      warnings.append(
        """
        The adapters started from \(known.count) different initial seeds. Averages of adapters with different starts are \
        poor, and signs between them say nothing about their data: train them from one seed, align their hidden units, or \
        average outputs.
        """)
    }
    let members = statistics.names.indices
    let rates = members.flatMap { first in
      members.dropFirst(first + 1).map { statistics.conflictRate(first, $0) }
    }
    guard !rates.isEmpty, rates.allSatisfy({ $0.map(chance.contains) ?? false }) else { return warnings }
    warnings.append(
      """
      Every two adapters have opposite signs in .49 to .51 of the weights that both have, as unrelated numbers would: they started \
      differently, or have nothing in common. Do not expect their average to be of use.
      """)
    return warnings
  }

  /// The pairs as colours, from no disagreement to that of unrelated adapters or more.
  public var heatMap: HeatMap {
    let largest = pairs.joined().max() ?? 0
    return HeatMap(
      title: "Fraction of opposite signs", rows: adapters, columns: adapters,
      values: pairs.enumerated().map { row, values in values.enumerated().map { $0 == row ? nil : $1 } },
      range: 0...max(0.5, largest))
  }

  /// Indented JSON with sorted keys.
  public func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
  }
}
