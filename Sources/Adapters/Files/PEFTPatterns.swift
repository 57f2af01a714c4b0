import Formats
import NeuralNetworks

/// The ranks and alphas of modules as `r`, `alpha` and patterns for what differs.
struct PEFTPatterns {
  let rank: Int
  let alpha: Double
  let rankPattern: JSONObject
  let alphaPattern: JSONObject

  /// - Parameter alpha: of a rank and a scale.
  init(_ modules: [SiteLayout.Module], alpha: (Int, Double) -> Double) {
    // The most frequent ones are the rule, and the first of them where several are.
    func mostFrequent<Value: Hashable>(_ values: [Value]) -> Value? {
      var counts: [Value: Int] = [:]
      for value in values { counts[value, default: 0] += 1 }
      let most = counts.values.max() ?? 0
      return values.first { counts[$0] == most }
    }
    let alphas = modules.map { alpha($0.rank, $0.scale) }
    rank = mostFrequent(modules.map(\.rank)) ?? 1
    self.alpha = mostFrequent(alphas) ?? 1
    var (ranks, others): ([String: JSONValue], [String: JSONValue]) = ([:], [:])
    for (module, alpha) in zip(modules, alphas) {
      let key = module.map.target.replacing(".", with: #"\."#)
      if module.rank != rank { ranks[key] = .integer(module.rank) }
      if alpha != self.alpha { others[key] = Self.number(alpha) }
    }
    rankPattern = Self.sorted(ranks)
    alphaPattern = Self.sorted(others)
  }

  private static func sorted(_ members: [String: JSONValue]) -> JSONObject {
    var object = JSONObject()
    for (key, value) in members.sorted(by: { $0.key < $1.key }) { object[key] = value }
    return object
  }

  static func number(_ value: Double) -> JSONValue { Int(exactly: value).map { .integer($0) } ?? .double(value) }
}

extension RankedConfiguration {
  /// Overrides for the modules of a file whose rank or alpha differ.
  mutating func readOverrides(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], _ alphaField: String) throws {
    for map in maps {
      let (rank, alpha) = (try file.rank(of: map.target), try file.alpha(of: map.target, alphaField))
      guard rank != self.rank || alpha != self.alpha else { continue }
      overrides[map.site.name] = SiteOverride(
        rank: rank == self.rank ? nil : rank, alpha: alpha == self.alpha ? nil : alpha)
    }
  }
}

extension PEFTPatterns {
  func fields(alpha field: String) -> JSONObject {
    [
      "r": .integer(rank), field: PEFTPatterns.number(alpha), "rank_pattern": .object(rankPattern),
      "alpha_pattern": .object(alphaPattern),
    ]
  }
}
