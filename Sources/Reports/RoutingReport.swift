import Foundation

/// `RoutingStatistics` worked out and arranged to be read: what is written as JSON beside the pictures.
public struct RoutingReport: Equatable, Codable, Sendable {
  public var layers: [Layer]

  public struct Layer: Equatable, Codable, Sendable {
    public var layer: String
    public var experts: Int
    public var overall: RoutingStatistics.Routing
    public var domains: [Domain]
    /// Bits, domains weighted by their tokens.
    public var mutualInformation: Double
    /// Bits, domains weighted alike.
    public var balancedMutualInformation: Double

    enum CodingKeys: String, CodingKey {
      case layer, experts, overall, domains
      case mutualInformation = "mutual_information_bits"
      case balancedMutualInformation = "mutual_information_equal_domains_bits"
    }
  }

  public struct Domain: Equatable, Codable, Sendable {
    public var domain: String
    public var routing: RoutingStatistics.Routing
  }

  public init(_ statistics: RoutingStatistics) {
    layers = statistics.layers.compactMap { layer in
      guard let overall = statistics.routing(layer: layer) else { return nil }
      return Layer(
        layer: layer,
        experts: overall.counts.count,
        overall: overall,
        domains: statistics.domains.compactMap { domain in
          statistics.routing(layer: layer, domain: domain).map { Domain(domain: domain, routing: $0) }
        },
        mutualInformation: statistics.mutualInformation(layer: layer) ?? 0,
        balancedMutualInformation: statistics.mutualInformation(layer: layer, weights: .equal) ?? 0)
    }
  }

  /// Indented JSON with sorted keys.
  public func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
  }
}
