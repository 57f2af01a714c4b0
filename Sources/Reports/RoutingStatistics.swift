import Foundation

/// How a mixture's routers spread the tokens of each domain over the experts, layer by layer.
///
/// Fed batch by batch with sums, so that any number of batches, processes or devices gives the same result after
/// `merge`. What is computed from the sums:
///
/// | quantity | of | formula |
/// |---|---|---|
/// | load | layer, domain, expert | fraction of the selections that fell on the expert: the hard routing |
/// | mean gate | layer, domain, expert | mean over tokens of the router's softmax probability: the soft routing |
/// | entropy | layer, domain | of the mean gates, `−Σ p log₂ p`, in bits: `log₂ N` when balanced, 0 when collapsed |
/// | CV² | layer, domain | of the loads: `variance / mean²` with the unbiased variance, 0 when balanced |
/// | mutual information | layer | between chosen expert and domain, `Σ p(e,d) log₂ p(e,d)/(p(e)p(d))`, in bits |
///
/// Soft balance can hide hard collapse (equal probabilities, one expert always first by a hair), so both are reported.
public struct RoutingStatistics: Equatable, Sendable {
  /// The sums of one layer on one domain.
  private struct Sums: Equatable, Sendable {
    var counts: [Int]
    var gates: [Double]
    var tokens: Int
  }

  /// Layers in the order in which they first appeared.
  public private(set) var layers: [String] = []
  /// Domains in the order in which they first appeared.
  public private(set) var domains: [String] = []
  private var sums: [String: [String: Sums]] = [:]

  public init() {}

  /// Adds one batch of one domain.
  ///
  /// - Parameters:
  ///   - expertCounts: per expert, how many tokens chose it; with top-k routing a token counts k times.
  ///   - gateSums: per expert, the sum over tokens of its softmax probability, before top-k.
  ///   - tokens: how many tokens the batch had, class tokens included.
  /// - Throws: `RoutingError`; nothing has been added then.
  public mutating func accumulate(
    layer: String, domain: String, expertCounts: [Int], gateSums: [Double], tokens: Int
  ) throws(RoutingError) {
    try add(Sums(counts: expertCounts, gates: gateSums, tokens: tokens), layer: layer, domain: domain)
  }

  /// Adds what another instance has accumulated, as if its batches had come here.
  ///
  /// - Throws: `RoutingError`; nothing has been added then.
  public mutating func merge(_ other: RoutingStatistics) throws(RoutingError) {
    var merged = self
    for layer in other.layers {
      for domain in other.domains {
        guard let sums = other.sums[layer]?[domain] else { continue }
        try merged.add(sums, layer: layer, domain: domain)
      }
    }
    self = merged
  }

  private mutating func add(_ batch: Sums, layer: String, domain: String) throws(RoutingError) {
    let known = sums[layer]?.values.first?.counts.count ?? batch.counts.count
    guard batch.counts.count == known, batch.gates.count == known, known > 0 else {
      throw .expertCountDiffers(layer: layer, counts: batch.counts.count, gates: batch.gates.count, expected: known)
    }
    guard batch.tokens >= 0, batch.counts.allSatisfy({ 0...batch.tokens ~= $0 }) else {
      throw .impossibleCounts(layer: layer, domain: domain, counts: batch.counts, tokens: batch.tokens)
    }
    guard batch.gates.allSatisfy({ $0.isFinite && $0 >= 0 }) else { throw .invalidGates(layer: layer, domain: domain) }

    var total =
      sums[layer]?[domain]
      ?? Sums(
        counts: [Int](repeating: 0, count: known), gates: [Double](repeating: 0, count: known), tokens: 0)
    let (tokens, tooMany) = total.tokens.addingReportingOverflow(batch.tokens)
    // No expert is chosen more often than there are tokens, so the counts fit where the tokens do.
    guard !tooMany else { throw .tooManyTokens(layer: layer, domain: domain) }
    total.tokens = tokens
    for expert in 0..<known {
      total.counts[expert] += batch.counts[expert]
      total.gates[expert] += batch.gates[expert]
    }
    if !layers.contains(layer) { layers.append(layer) }
    if !domains.contains(domain) { domains.append(domain) }
    sums[layer, default: [:]][domain] = total
  }

  // MARK: Results

  /// How the mutual information weighs domains of different size.
  public enum DomainWeights: String, Codable, Sendable {
    /// By their tokens, as they came.
    case tokens
    /// All the same, so that a large domain does not decide the result.
    case equal
  }

  /// Of one layer on one domain, or, with `domain` nil, on all of them together.
  public struct Routing: Equatable, Codable, Sendable {
    public var tokens: Int
    public var counts: [Int]
    public var load: [Double]
    public var meanGate: [Double]
    /// Bits.
    public var entropy: Double
    /// Of the hard loads.
    public var squaredVariation: Double

    enum CodingKeys: String, CodingKey {
      case tokens, counts, load
      case meanGate = "mean_gate"
      case entropy = "entropy_bits"
      case squaredVariation = "cv_squared"
    }
  }

  /// `nil` where no batch of this layer and domain has come.
  public func routing(layer: String, domain: String) -> Routing? {
    sums[layer]?[domain].map(Self.routing)
  }

  /// Over all domains; `nil` for an unknown layer.
  public func routing(layer: String) -> Routing? {
    guard let perDomain = sums[layer], let experts = perDomain.values.first?.counts.count else { return nil }
    var total = Sums(
      counts: [Int](repeating: 0, count: experts), gates: [Double](repeating: 0, count: experts), tokens: 0)
    for domain in domains {
      guard let sums = perDomain[domain] else { continue }
      // Saturates rather than traps: only a sum over domains near Int.max could overflow.
      total.tokens = Self.sum([total.tokens, sums.tokens])
      for expert in 0..<experts {
        total.counts[expert] = Self.sum([total.counts[expert], sums.counts[expert]])
        total.gates[expert] += sums.gates[expert]
      }
    }
    return Self.routing(total)
  }

  /// Bits of information that the chosen expert gives about the domain, `0...min(log₂ experts, log₂ domains)`: 0 when
  /// all domains are routed alike. Estimated from counts, which biases it upwards by about
  /// `(experts − 1)(domains − 1) / (2 ln 2 · tokens)`: small once thousands of tokens have come.
  public func mutualInformation(layer: String, weights: DomainWeights = .tokens) -> Double? {
    guard let perDomain = sums[layer] else { return nil }
    let counts = domains.compactMap { perDomain[$0]?.counts.map(Double.init) }.filter { $0.reduce(0, +) > 0 }
    guard let experts = counts.first?.count else { return nil }
    let all = counts.joined().reduce(0, +)
    // p(e, d), one row per domain.
    let joint = counts.map { row in
      let share = weights == .equal ? 1 / (Double(counts.count) * row.reduce(0, +)) : 1 / all
      return row.map { $0 * share }
    }
    let expertShare = (0..<experts).map { expert in joint.reduce(0) { $0 + $1[expert] } }
    var information = 0.0
    for row in joint {
      let domainShare = row.reduce(0, +)
      for (p, q) in zip(row, expertShare) where p > 0 { information += p * log2(p / (q * domainShare)) }
    }
    // Rounding can leave −1e-17 where the domains are routed alike.
    return max(0, information)
  }

  private static func routing(_ sums: Sums) -> Routing {
    let chosen = sums.counts.reduce(0.0) { $0 + Double($1) }
    let gates = sums.gates.reduce(0, +)
    return Routing(
      tokens: sums.tokens,
      counts: sums.counts,
      load: sums.counts.map { chosen > 0 ? Double($0) / chosen : 0 },
      meanGate: sums.gates.map { sums.tokens > 0 ? $0 / Double(sums.tokens) : 0 },
      entropy: sums.gates.reduce(0) { entropy, gate in
        let p = gates > 0 ? gate / gates : 0
        return p > 0 ? entropy - p * log2(p) : entropy
      },
      squaredVariation: squaredVariation(sums.counts.map(Double.init)))
  }

  /// `variance / (mean² + 1e-10)`, as the auxiliary loss has it; 0 for a single expert, where it would be 0/0.
  private static func squaredVariation(_ values: [Double]) -> Double {
    guard values.count > 1, let mean = Statistics.mean(values),
      let deviation = Statistics.standardDeviation(values, .sample)
    else { return 0 }
    return deviation * deviation / (mean * mean + 1e-10)
  }

  private static func sum(_ values: [Int]) -> Int {
    values.reduce(0) { total, value in
      let (sum, overflow) = total.addingReportingOverflow(value)
      return overflow ? .max : sum
    }
  }
}

// MARK: - On disk

/// The sums themselves, so that what several processes accumulated can be merged: a list with one entry per layer and
/// domain. What comes from a file passes the same checks as a batch.
extension RoutingStatistics: Codable {
  private struct Entry: Codable {
    var layer: String
    var domain: String
    var counts: [Int]
    var gates: [Double]
    var tokens: Int

    enum CodingKeys: String, CodingKey {
      case layer, domain, tokens
      case counts = "expert_counts"
      case gates = "gate_sums"
    }
  }

  public init(from decoder: any Decoder) throws {
    for entry in try [Entry](from: decoder) {
      try accumulate(
        layer: entry.layer, domain: entry.domain, expertCounts: entry.counts, gateSums: entry.gates,
        tokens: entry.tokens)
    }
  }

  public func encode(to encoder: any Encoder) throws {
    let entries = layers.flatMap { layer in
      domains.compactMap { domain in
        sums[layer]?[domain].map {
          Entry(layer: layer, domain: domain, counts: $0.counts, gates: $0.gates, tokens: $0.tokens)
        }
      }
    }
    try entries.encode(to: encoder)
  }
}

/// A batch that `RoutingStatistics` cannot take.
public enum RoutingError: Error, Equatable, CustomStringConvertible {
  case expertCountDiffers(layer: String, counts: Int, gates: Int, expected: Int)
  case impossibleCounts(layer: String, domain: String, counts: [Int], tokens: Int)
  case invalidGates(layer: String, domain: String)
  case tooManyTokens(layer: String, domain: String)

  public var description: String {
    switch self {
    case .expertCountDiffers(let layer, let counts, let gates, let expected):
      """
      Layer '\(layer)' has \(expected) experts, but \(counts) counts and \(gates) gate sums came. \
      Pass one of each per expert, at least one expert.
      """
    case .impossibleCounts(let layer, let domain, let counts, let tokens):
      """
      Layer '\(layer)' on '\(domain)': \(tokens) tokens cannot choose experts \(counts) times. \
      Each count must lie in 0...\(tokens).
      """
    case .invalidGates(let layer, let domain):
      "Layer '\(layer)' on '\(domain)': a gate sum is negative or not finite. Check the router for NaN."
    case .tooManyTokens(let layer, let domain):
      "Layer '\(layer)' on '\(domain)': the number of tokens exceeds what an integer holds."
    }
  }
}
