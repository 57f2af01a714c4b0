import NeuralNetworks

/// A method whose update has a rank and an alpha at each site.
public protocol RankedConfiguration: AdapterConfiguration {
  var rank: Int { get set }
  var alpha: Double { get set }
  /// What multiplies the update.
  var scale: Double { get }
  /// Where rank or alpha are others than those of the method, by the site's name.
  var overrides: [String: SiteOverride] { get set }
}

/// What is different at one site; nil for what is not.
public struct SiteOverride: Codable, Hashable, Sendable {
  public var rank: Int?
  public var alpha: Double?

  public init(rank: Int? = nil, alpha: Double? = nil) {
    self.rank = rank
    self.alpha = alpha
  }
}

extension RankedConfiguration {
  /// The settings with the rank and the alpha of one site.
  func settings(at site: Site) -> Self {
    guard let override = overrides[site.name] else { return self }
    var settings = self
    settings.rank = override.rank ?? rank
    settings.alpha = override.alpha ?? alpha
    settings.overrides = [:]
    return settings
  }

  /// The rank and the scale of one site.
  func strength(at site: Site) -> (rank: Int, scale: Double) {
    let settings = settings(at: site)
    return (settings.rank, settings.scale)
  }

  /// - Throws: `AdapterError.unknown` for an override of a site that is not adapted, `.outOfRange` for an alpha that is not
  ///   finite, `.rank` for a rank that does not fit a site.
  func validateRanks(_ sites: [Site], limit: (Site) -> Int = { min($0.inFeatures, $0.outFeatures) }) throws {
    let names = Set(sites.map(\.name))
    if let unknown = overrides.keys.sorted().first(where: { !names.contains($0) }) {
      throw AdapterError.unknown("adapted site", unknown, known: names.sorted())
    }
    for settings in [self] + sites.map(settings(at:)) where !settings.alpha.isFinite {
      throw AdapterError.outOfRange("alpha", settings.alpha, "a finite number")
    }
    for site in sites {
      let (rank, limit) = (settings(at: site).rank, limit(site))
      guard rank >= 1, rank <= limit else { throw AdapterError.rank(rank, site: site.name, limit: limit) }
    }
  }
}
