import Formats

/// A method that does not fit the sites it was given.
public enum AdapterError: Error, Equatable, CustomStringConvertible {
  case rank(Int, site: String, limit: Int)
  case outOfRange(String, Double, String)
  case notDivisible(dimension: Int, site: String, inFeatures: Int, outFeatures: Int)
  case groups(Int, of: Int, String)
  case noExperts
  case topK(Int, experts: Int)
  case twice(String)
  case unknown(String, String, known: [String])
  case placement(method: String, takes: String)
  case noBranch(method: String, kind: String?, block: Int)

  public var description: String {
    switch self {
    case .rank(let rank, let site, let limit):
      """
      Rank \(rank) does not fit '\(site)', whose ranks go from 1 to \(limit). Choose a rank in that range, or leave \
      '\(site)' out of the targets.
      """
    case .outOfRange(let name, let value, let range): "\(name) is \(value); it must be \(range)."
    case .notDivisible(let dimension, let site, let inFeatures, let outFeatures):
      """
      The Kronecker dimension \(dimension) does not divide both sides of '\(site)', \(inFeatures) and \(outFeatures). \
      Common divisors are \(Self.divisors(inFeatures, outFeatures)).
      """
    case .groups(let groups, let count, let what):
      "\(groups) groups do not divide \(what), \(count). Choose a divisor of \(count)."
    case .noExperts: "A mixture needs at least one expert. Give at least one rank."
    case .topK(let k, let experts): "topK is \(k); with \(experts) experts it must be 1 to \(experts)."
    case .twice(let site): "'\(site)' is adapted twice. Name a map once, or its parts, not both."
    case .unknown(let kind, let name, let known):
      "There is no \(kind) '\(name)' here.\(Suggestion.didYouMean(name, among: known))"
    case .placement(let method, let setting):
      "\(method) has its own places in the backbone and takes no \(setting). Leave '\(setting)' out."
    case .noBranch(let method, let kind, let block):
      """
      \(method) stands at the residual branches, and the backbone names no \(kind.map { "\($0) " } ?? "")branch in block \
      \(block). Choose other blocks, or a method for linear maps.
      """
    }
  }

  /// - Throws: `outOfRange` unless `rate` is a probability below 1.
  static func checkRate(_ name: String, _ rate: Double) throws(AdapterError) {
    guard (0..<1).contains(rate) else { throw .outOfRange(name, rate, "0 ..< 1") }
  }

  private static func divisors(_ first: Int, _ second: Int) -> String {
    (1...max(1, min(first, second, 512))).filter { first % $0 == 0 && second % $0 == 0 }
      .map(String.init).joined(separator: ", ")
  }
}
